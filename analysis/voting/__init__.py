"""Votes: which answer the traces of a question choose, under any rule, and how often it is right.

A rule is a *weigher*: a function of the valid ballots (a DataFrame with question_id, sample_index,
answer and the trace columns named in its `needs`) that returns one weight a ballot. To add one,
write that function and register it under `votes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.prerequisites import need
from analysis.voting.accuracy import accuracies
from analysis.voting.tally import tally
from cot.errors import InputError
from cot.registry import find
from cot.run import Run

__all__ = ["Weigher", "ballots_of", "vote"]

Weigher = Callable[[pd.DataFrame], NDArray[np.float64]]
"""Valid ballots -> one weight each."""


def vote(run: Run, rules: Sequence[str] = ("majority",), seed: int = 0) -> pd.DataFrame:
    """Vote by each rule; writes and returns the table `votes`, one row a question and rule.

    Columns: question_id, rule (as typed), answer, share, margin, tied, abstained (no valid ballot),
    n_ballots, n_excluded (traces without a valid answer), correct (nullable boolean; an abstention
    is not correct).

    Also writes `findings_vote`: accuracy of each rule, of the mean single trace and of the greedy
    trace, and each rule's paired gain over the single trace, all over the questions with gold,
    with 95% intervals by bootstrap over questions.

    Args:
        rules: names of vote rules.
        seed: of the bootstrap.

    Raises:
        InputError: an unknown rule (the message lists the valid ones).
    """
    weighers = {rule: find("votes", rule) for rule in rules}
    if not weighers:
        raise InputError("name at least one rule, such as majority")
    answers = need(run, "answers")
    votes = pd.concat(
        [_outcomes(answers, rule, weigher) for rule, weigher in weighers.items()],
        ignore_index=True,
    )
    parameters = {"rules": list(rules), "seed": seed}
    run.write_table(
        "votes", votes, command="vote", parameters=parameters, inputs=["answers", "questions"]
    )
    greedy = run.table("greedy_answers") if "greedy_answers" in run.tables() else None
    inputs = ["votes", "answers", *(["greedy_answers"] if greedy is not None else [])]
    run.write_table(
        "findings_vote",
        accuracies(answers, votes, greedy, seed),
        command="vote",
        parameters=parameters,
        inputs=inputs,
    )
    return votes


def ballots_of(answers: pd.DataFrame) -> pd.DataFrame:
    """The rows of an answers table that vote: status `ok`."""
    return answers[answers["status"] == "ok"]


def _outcomes(answers: pd.DataFrame, rule: str, weigh: Weigher) -> pd.DataFrame:
    ballots = ballots_of(answers)
    outcome = tally(ballots, weigh(ballots)).set_index("question_id")
    questions = answers.groupby("question_id", sort=False)
    frame = outcome.reindex(questions.size().index)
    has_gold = questions["correct"].count() > 0
    right = ballots.loc[ballots["correct"].fillna(False).astype(bool), ["question_id", "answer"]]
    right = right.drop_duplicates("question_id").set_index("question_id")["answer"]
    frame["abstained"] = frame["answer"].isna()
    frame["tied"] = frame["tied"].fillna(False).astype(bool)
    frame["n_ballots"] = frame["n_ballots"].fillna(0).astype(int)
    frame["n_excluded"] = questions.size() - frame["n_ballots"]
    correct = (frame["answer"] == right.reindex(frame.index)).astype("boolean")
    frame["correct"] = correct.where(has_gold, pd.NA)
    return frame.reset_index().assign(rule=rule)[
        ["question_id", "rule", "answer", "share", "margin", "tied", "abstained", "n_ballots"]
        + ["n_excluded", "correct"]
    ]
