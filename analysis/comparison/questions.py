"""The questions of the runs that are compared: that an id is one question, and who got it right."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.comparison.tables import as_frame
from analysis.figures.text import shorten
from analysis.voting import load_rule, outcomes
from cot.errors import InputError

__all__ = ["check_same_questions", "questions_table"]

log = logging.getLogger("cot")


def check_same_questions(asked: Mapping[str, pd.DataFrame]) -> None:
    """Refuse runs in which an id stands for different questions.

    A question whose text or gold alone differs may be the same one in other words; that is said.

    Args:
        asked: run to its questions.

    Raises:
        InputError: an id with another text and another gold than in the first run that has it.
    """
    first: dict[str, tuple[str, Any, str]] = {}
    for run, frame in asked.items():
        unlike: list[str] = []
        columns = (frame[name].tolist() for name in ("question_id", "text", "gold"))
        for question_id, text, gold in zip(*columns, strict=True):
            known_text, known_gold, where = first.setdefault(question_id, (text, gold, run))
            texts, golds = known_text.split() != text.split(), known_gold != gold
            if texts and golds:
                raise InputError(
                    f"question {question_id!r} is not the same in {where} and {run}: "
                    f"{shorten(known_text, 60)!r} (gold {known_gold}), {shorten(text, 60)!r} (gold "
                    f"{gold}): runs are paired by question id, so give different questions "
                    "different ids"
                )
            if texts or golds:
                unlike.append(question_id)
        if unlike:
            log.warning(
                "%s: %d questions have another text or another gold than in the runs before it: %s",
                *(run, len(unlike), shorten(", ".join(unlike), 80)),
            )


def questions_table(
    asked: Mapping[str, pd.DataFrame], answers: Mapping[str, pd.DataFrame | None]
) -> pd.DataFrame:
    """The table `compared_questions`.

    Args:
        asked: run to its questions.
        answers: run to its answers; None where they can't be read.
    """
    parts = []
    majority = load_rule("majority")
    for run, frame in asked.items():
        mine = frame[["question_id", "text", "gold"]].rename(columns={"text": "question"})
        table = answers[run]
        if table is not None and len(table):
            votes = outcomes(table, majority).set_index("question_id")
            per = table.groupby("question_id", sort=False)
            with_gold = table[table["correct"].notna()]
            right = with_gold["correct"].astype(float).groupby(with_gold["question_id"]).mean()
            voted = votes[["answer", "correct", "share"]].assign(accuracy=right, n=per.size())
            mine = mine.join(voted, on="question_id")
        parts.append(as_frame("compared_questions", mine.assign(run=run).to_dict("records")))
    return pd.concat(parts, ignore_index=True)
