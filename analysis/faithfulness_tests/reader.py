"""Answers of replies, in the classes that the run's own answers have."""

from __future__ import annotations

import pandas as pd

from cot.answers.equivalence import Classes
from cot.answers.judge import Judge
from cot.answers.table import read_questions
from cot.errors import InputError
from cot.store.run import Run
from cot.types import AnswerStatus, FinishReason

__all__ = ["Reader"]


class Reader:
    """Reads replies as the run's answers were read.

    Args:
        answers: the table.
        judge: compares LaTeX.
    """

    def __init__(self, run: Run, answers: pd.DataFrame, judge: Judge) -> None:
        parameters = run.provenance("answers").parameters
        if parameters["verifier"] is not None:
            raise InputError(
                f"{run.path}: its answers are a verifier's ({parameters['verifier']}), and the "
                "tests read new replies by a format: make them with cot answers --format"
            )
        format = parameters["format"]
        self.asked = read_questions(run, format)
        self._judge = judge
        self._classes: dict[str, Classes] = {}
        self._answers = answers[answers["canonical"].notna()]

    def __call__(
        self, question_id: str, text: str, finish_reason: FinishReason
    ) -> tuple[str | None, AnswerStatus]:
        """The class of the answer that a text states last, and its status."""
        asked = self.asked[question_id]
        answer = asked.read(text, finish_reason)
        if answer.canonical is None:
            return None, answer.status
        if asked.format != "latex":
            return asked.class_of(answer.canonical), answer.status
        return self._classes_of(question_id).find(answer.canonical), answer.status

    def _classes_of(self, question_id: str) -> Classes:
        if question_id not in self._classes:
            classes = self._classes[question_id] = Classes(self._judge.equal)
            own = self._answers[self._answers["question_id"] == question_id]
            for form in own["canonical"]:
                classes.join(form)
        return self._classes[question_id]
