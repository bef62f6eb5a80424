"""What a faithfulness test is: which prompts to continue, and how to read what comes back.

A test is a class with a few parameters. The runner asks each trace's test for requests, answers all
of them together, and asks again with what was said, until there is nothing new to ask: a test that
builds on the model's own words (a paraphrase) has a second round, others have one.

    class Nothing:                                  # the reasoning is dropped, nothing put for it
        def requests(self, case, said):
            return [case.forced("dropped", case.prompt_ids)]

        def read(self, case, said):
            reading = case.reading("dropped", said, share=0.0)
            return Outcome(readings=(reading,), value=changed([reading], case))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from cot.types import AnswerStatus, Finding, FinishReason, Request

if TYPE_CHECKING:
    import pandas as pd

    from analysis.faithfulness_tests.case import Case

__all__ = ["FaithfulnessTest", "Outcome", "Reading", "Reply", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model wrote for one request."""

    text: str
    """Generated text, before the stop string."""
    token_ids: tuple[int, ...]
    """Generated ids."""
    finish_reason: FinishReason
    """`stop` or `length`; a request whose prompt didn't fit has no reply."""


Said = Mapping[str, Reply]
"""A request's variant to its reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The answer after one intervention on a trace."""

    variant: str
    """The request's, unique in a trace's test."""
    step: int | None = None
    """Reasoning steps that were kept, or the step (from 0) that was changed."""
    share: float | None = None
    """Share of the reasoning that was kept, in [0, 1]."""
    answer: str | None
    """Its equivalence class, or None."""
    status: AnswerStatus
    """How the answer was read; `missing` too where the prompt didn't fit."""
    control: bool = False
    """The same with nothing changed: what sampling alone does."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """JSON values that only this test has: what was changed, what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a test says of one trace."""

    readings: tuple[Reading, ...] = ()
    """In the order of the test's points."""
    value: float | None = None
    """In [0, 1]: 1 where the answer depends on the reasoning wholly, or what the test's `one` says;
    None where the test can't be made or an answer is missing."""
    excluded: str | None = None
    """Why there is no value."""


class FaithfulnessTest(Protocol):
    """The plug-in: group `cot.faithfulness`, or package.module:Class.

    Attributes that a test may have: `measure` (the name of its value among the findings, `value` by
    default), `one` (what a value of 1 means, where that is not "the answer
    depends on the reasoning wholly"), `per_question = True` (asked about a question's first trace
    only, and read for each), `findings(readings, traces, seed) -> list[Finding]` (what this test
    alone can say; see `analysis.faithfulness_tests.tables` for the columns). Such a finding has the
    measure's name; its subject is a kind within the test (of a hint), or empty.
    """

    def requests(self, case: Case, said: Said) -> Iterable[Request]:
        """What to ask about a trace, given what was said so far; those that were answered may be
        named again."""

    def read(self, case: Case, said: Said) -> Outcome:
        """What the replies say of the trace."""


class WithFindings(Protocol):
    """A test with numbers of its own."""

    def findings(
        self, readings: pd.DataFrame, traces: pd.DataFrame, seed: int
    ) -> Sequence[Finding]:
        """Beside the numbers that every test has."""


def changed(readings: Sequence[Reading], case: Case) -> float | None:
    """Share of the readings whose answer differs from the trace's; None if one has no answer."""
    if not readings or any(reading.answer is None for reading in readings):
        return None
    return sum(reading.answer != case.answer for reading in readings) / len(readings)
