"""Votes: which answer the traces of a question choose, under any rule, and how often it is right.

A rule is a *weigher*, one function in one file; `analysis.voting.rule` shows how to add one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.answer_table import ballots_of
from analysis.catalogue import first_questions, need
from analysis.declaration import Shown, analysis
from analysis.voting.accuracy import COUNTS, GREEDY, SINGLE, accuracies
from analysis.voting.evidence import ALL, evidence
from analysis.voting.rule import Rule, Weigher, load_rule, weigher
from analysis.voting.tally import random_tie_accuracy, tally
from cot.store.run import Run

__all__ = [
    "ALL",
    "Rule",
    "Weigher",
    "evidence",
    "load_rule",
    "outcomes",
    "vote",
    "weigher",
]


def _show(run: Run, votes: pd.DataFrame) -> Shown:
    findings = run.table("findings_vote").rename(columns={"subject": "rule"})
    is_gain = findings["baseline"] == SINGLE
    shown = ["rule", "accuracy", "low", "high", "random_tie", "n_questions", *COUNTS]
    accuracy = findings[~is_gain].rename(columns={"estimate": "accuracy"})[shown]
    shown = ["rule", "baseline", "gain", "low", "high", "n_questions"]
    gains = findings[is_gain].rename(columns={"estimate": "gain"})[shown].to_dict("records")
    rows = accuracy.to_dict("records")
    of_rule = {row["rule"]: row for row in rows}
    json = {
        "rules": [of_rule[each] for each in votes["rule"].unique()],
        "single": of_rule[SINGLE]["accuracy"],
        "greedy": of_rule[GREEDY]["accuracy"] if GREEDY in of_rule else None,
        "gains": gains,
    }
    return Shown(json=json, tables=[rows, gains])


@analysis(
    makes={
        "votes": "one row a question and rule: the vote's answer, share and margin",
        "findings_vote": "accuracy of each rule, of a single trace and of the greedy trace",
    },
    choices={"rule": "votes"},
    show=_show,
)
def vote(
    run: Run,
    rule: Sequence[str] = ("majority",),
    seed: int = 0,
    limit: int | None = None,
    model: str | None = None,
    engine: str | None = None,
) -> pd.DataFrame:
    """Vote by each rule; writes and returns the table `votes`, one row a question and rule.

    Columns: question_id, rule (as typed), answer, share, margin, tied, abstained (no valid ballot),
    n_ballots, n_excluded (traces without a valid answer, or that the rule can't weigh), correct
    (nullable boolean; an abstention is not correct), expected_accuracy (with random tie-breaking:
    1 / number tied if gold is among the tied answers; NaN without gold).

    Also writes `findings_vote`: accuracy of each rule, of the mean single trace and of the greedy
    trace, and each rule's paired gain over the single trace, all over the questions with gold,
    with 95% intervals by bootstrap over questions.

    Args:
        rule: vote rules, with parameters after a colon: cisc:T=2.
        seed: of the bootstrap.
        limit: only the first questions.
        model: asked by rules that ask one; the run's own by default.
        engine: runs that model; the run's own by default.

    Raises:
        InputError: an unknown rule (the message lists the valid ones), or one that needs what the
            run lacks (the message says how to get it).
    """
    answers = first_questions(need(run, "answers"), limit)
    loaded, known = evidence(run, answers, rule, model, engine)
    votes = pd.concat([outcomes(known, each) for each in loaded], ignore_index=True)
    run.write_table("votes", votes)
    greedy = run.table("greedy_answers") if "greedy_answers" in run.tables() else None
    if greedy is not None:
        greedy = greedy[greedy["question_id"].isin(answers["question_id"])]
    run.write_table("findings_vote", accuracies(answers, votes, greedy, seed))
    return votes


def outcomes(answers: pd.DataFrame, rule: Rule) -> pd.DataFrame:
    """Each question's vote under one rule; the columns of the table `votes`.

    Args:
        answers: rows of the answers table, with the columns that the rule needs.
    """
    ballots = ballots_of(answers)
    ballots = ballots if "group" in ballots else ballots.assign(group=ballots["question_id"])
    weights = np.asarray(rule.weigh(ballots), dtype=float)
    weighed = ~np.isnan(weights)
    outcome = tally(ballots[weighed], weights[weighed]).set_index("question_id")
    question, ids = pd.factorize(answers["question_id"])
    frame = outcome.reindex(pd.Index(ids, name="question_id"))
    size = np.bincount(question, minlength=len(ids))
    has_gold = np.bincount(question, answers["correct"].notna(), len(ids)) > 0
    right = ballots.loc[ballots["correct"].fillna(False).astype(bool), ["question_id", "answer"]]
    right = right.drop_duplicates("question_id").set_index("question_id")["answer"]
    frame["abstained"] = frame["answer"].isna()
    frame["tied"] = frame["tied"].fillna(False).astype(bool)
    frame["n_ballots"] = frame["n_ballots"].fillna(0).astype(int)
    frame["n_excluded"] = size - frame["n_ballots"]
    correct = (frame["answer"] == right.reindex(frame.index)).astype("boolean")
    frame["correct"] = correct.where(has_gold, pd.NA)
    judged = weighed & ballots["correct"].notna().to_numpy()
    expected = random_tie_accuracy(ballots[judged], weights[judged])
    expected = expected.reindex(frame.index).fillna(0.0)  # no ballot: an abstention is not correct
    frame["expected_accuracy"] = np.where(has_gold, expected, np.nan)
    return frame.reset_index().assign(rule=rule.name)[
        ["question_id", "rule", "answer", "share", "margin", "tied", "abstained", "n_ballots"]
        + ["n_excluded", "correct", "expected_accuracy"]
    ]
