"""Votes: which answer the traces of a question choose, under any rule, and how often it is right.

A rule is one function in one file, which gives each trace a vote weight; `analysis.voting.rule`
shows how to add one. Accuracy is correct / questions with gold. An abstention, and a trace without
a valid answer, is not correct; both are counted. Two accuracies of one run are compared by their
paired difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from analysis.answer_table import ballots_of
from analysis.catalogue import first_questions, need
from analysis.declaration import Shown, analysis
from analysis.findings import as_table, mean_finding
from analysis.voting.loading import ALL, load_rules
from analysis.voting.rule import Rule, Weigher, load_rule, weigher
from analysis.voting.tally import random_tie_accuracy, tally
from cot.store.run import Run
from cot.types import Finding

__all__ = [
    "ALL",
    "Rule",
    "Weigher",
    "load_rule",
    "load_rules",
    "outcomes",
    "vote",
    "weigher",
]


SINGLE, GREEDY = "single", "greedy"
"""Subjects beside the rules: the mean single trace, and the greedy trace."""
COUNTS = ("ties", "abstained", "excluded")
"""Counts beside each accuracy."""


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
        seed: seed of the bootstrap.
        limit: number of questions, from the first; all by default.
        model: the model for rules that ask one; by default the one that sampled the run.
        engine: the engine that runs that model: transformers or vllm.

    Raises:
        InputError: an unknown rule (the message lists the valid ones), or one that needs what the
            run lacks (the message says how to get it).
    """
    answers = first_questions(need(run, "answers"), limit)
    loaded, known = load_rules(run, answers, rule, model, engine)
    votes = pd.concat([outcomes(known, each) for each in loaded], ignore_index=True)
    run.write_table("votes", votes)
    greedy = run.table("greedy_answers") if "greedy_answers" in run.tables() else None
    if greedy is not None:
        greedy = greedy[greedy["question_id"].isin(answers["question_id"])]
    notes = {each.name: f"; {each.note(ballots_of(known))}" for each in loaded if each.note}
    run.write_table("findings_vote", _accuracies(answers, votes, greedy, notes, seed))
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


def _accuracies(
    answers: pd.DataFrame,
    votes: pd.DataFrame,
    greedy: pd.DataFrame | None,
    notes: Mapping[str, str],
    seed: int,
) -> pd.DataFrame:
    """The table `findings_vote`: the accuracy of each rule, of `single`, of `greedy`, and of each
    rule against `single`.

    Columns beside those of `Finding`: random_tie (the accuracy with random tie-breaking instead of
    the lowest sample_index: where many are tied, the difference is luck), ties, abstained, excluded
    (traces without a valid answer).

    Args:
        notes: of rules that have one, what follows their method.
    """
    if "surplus" in answers:
        answers = answers[~answers["surplus"]]
    with_gold = answers[answers["correct"].notna()]
    n_traces = len(with_gold)
    no_gold = answers["question_id"].nunique() - with_gold["question_id"].nunique()
    invalid = int((with_gold["status"] != "ok").sum())
    single = with_gold["correct"].astype(float).groupby(with_gold["question_id"], sort=False).mean()
    common = "; 95% bootstrap over questions; questions without gold excluded"
    findings: list[Finding] = []
    counts: list[tuple[float, int, int, int]] = []
    gains: list[Finding] = []
    for rule, rows in votes.groupby("rule", sort=False):
        judged = rows[rows["correct"].notna()].set_index("question_id")
        right = judged["correct"].astype(float)
        findings.append(
            mean_finding(
                "accuracy",
                right,
                subject=str(rule),
                n_traces=n_traces,
                n_excluded=no_gold,
                method=f"share of questions on which the {rule} vote is right{common}"
                + notes.get(str(rule), ""),
                seed=seed,
            )
        )
        ties, abstained = (int(judged[name].sum()) for name in ("tied", "abstained"))
        counts.append((float(judged["expected_accuracy"].mean()), ties, abstained, invalid))
        gains.append(
            mean_finding(
                "accuracy",
                right - single.reindex(right.index),
                subject=str(rule),
                baseline=SINGLE,
                n_traces=n_traces,
                n_excluded=no_gold,
                method=f"{rule} vote minus mean single trace, paired by question" + common,
                seed=seed,
            )
        )
    findings.append(
        mean_finding(
            "accuracy",
            single,
            subject=SINGLE,
            n_traces=n_traces,
            n_excluded=no_gold,
            method="mean over questions of the share of right traces" + common,
            seed=seed,
        )
    )
    counts.append((np.nan, 0, 0, invalid))
    if greedy is not None:
        judged = greedy[greedy["correct"].notna()]
        findings.append(
            mean_finding(
                "accuracy",
                judged["correct"].astype(float),
                subject=GREEDY,
                n_traces=len(judged),
                n_excluded=len(greedy) - len(judged),
                method="share of questions on which the greedy trace is right" + common,
                seed=seed,
            )
        )
        counts.append((np.nan, 0, 0, int((judged["status"] != "ok").sum())))
    counts += [(np.nan, 0, 0, invalid)] * len(gains)
    extra = dict(zip(("random_tie", *COUNTS), zip(*counts, strict=True), strict=True))
    return as_table("vote", [*findings, *gains], **extra)
