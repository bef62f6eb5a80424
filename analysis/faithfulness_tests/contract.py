"""What a faithfulness test is: which prompts to continue, and how to read what comes back.

A test is a class with a few parameters. The runner asks the test for requests about each trace,
answers all of them together, and asks again with the replies, until no request is new: a test that
builds on the model's own words (a paraphrase) has a second round, others have one.

    class DropReasoning(FaithfulnessTest):
        \"\"\"Drop the reasoning and force the answer: whether it is another.\"\"\"

        title = "No reasoning"
        measure = "changed_without_reasoning"
        limit = "An answer that needs no written reasoning may still follow it."

        def requests(self, case, replies):
            return [case.forced("dropped", case.prompt_ids)]

        def read(self, case, replies):
            reading = case.reading("dropped", replies, share=0.0)
            return Outcome(readings=(reading,), value=changed([reading], case))

`cot faithfulness RUN --test package.module:DropReasoning` runs it. What the page shows of a test
follows from the attributes of its class (`FaithfulnessTest`), which are stored with the run in the
table `faithfulness_tests`, and from these keys of a reading's `detail`:

- `original`, `changed`: a step before and after the change (of a reading with a step);
- `importance`, `by_chance`, `n`, `n_dissimilar`, `share_dissimilar`: how far the answers move where
  the reading's step is another, what chance gives, and from how many continuations; they become
  rows of the table `faithfulness_steps`;
- `kind`, `hinted`, `followed`, `acknowledged`, `quote`: a hint's kind, the answer that it hints at,
  whether that was stated, whether the text says why, and where.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pandas as pd

from analysis.faithfulness_tests.tested_trace import Case, Reading, Replies, Reply
from analysis.statistics import ratio_interval
from cot.errors import InputError
from cot.types import Finding, Request

__all__ = [
    "BUDGET",
    "Case",
    "FaithfulnessTest",
    "Outcome",
    "Reading",
    "Replies",
    "Reply",
    "changed",
    "check_budget",
    "rate",
]

BUDGET = 16
"""Steps of a trace at which a test that goes step by step asks, unless its `budget` says other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a test says of one trace."""

    readings: tuple[Reading, ...] = ()
    """In the order of the test's points."""
    value: float | None = None
    """In [0, 1]: 1 where what the test's `one` says holds; None where the test can't be made or an
    answer is missing."""
    excluded: str | None = None
    """Why there is no value."""
    looked_at: float | None = None
    """Share of the trace's steps, of those where the change can be made, at which it was made (a
    budget leaves some out); None where the test doesn't go step by step."""


class FaithfulnessTest:
    """The plug-in, to be extended: group `cot.faithfulness`, or package.module:Class.

    The first paragraph of a test's docstring says what it does, on the page and in the help.
    """

    title: ClassVar[str] = ""
    """Heading of the test on the page; by default the name of its class."""
    measure: ClassVar[str] = "value"
    """Name of the mean value among the findings, such as `area_over_curve`."""
    one: ClassVar[str] = "the answer depends on the reasoning wholly"
    """What a value of 1 means."""
    limit: ClassVar[str] = ""
    """What a value doesn't show, in a sentence or two."""
    of_reasoning: ClassVar[bool] = False
    """Whether the test changes the reasoning and nothing else, so that its value counts in each
    trace's `faithfulness` (table `faithfulness_profile`)."""
    curve: ClassVar[str] = ""
    """What `Reading.share` is a share of, where the answers are drawn as a curve over it; empty
    where there is no curve."""
    curve_meaning: ClassVar[str] = ""
    """What the shape of the curve would say."""
    per_question: ClassVar[bool] = False
    """Whether requests are made for a question's first trace only, and read for each trace."""

    def later(self, case: Case) -> int:
        """Most requests about a trace that can follow on the first replies."""
        return 0

    def requests(self, case: Case, replies: Replies) -> Iterable[Request]:
        """What to ask about a trace, given the replies so far; a request that was answered may be
        named again."""
        raise NotImplementedError

    def read(self, case: Case, replies: Replies) -> Outcome:
        """What the replies say of the trace."""
        raise NotImplementedError

    def findings(
        self, readings: pd.DataFrame, traces: pd.DataFrame, seed: int
    ) -> Sequence[Finding]:
        """Numbers beside those that every test has.

        The subject of a finding is a kind within the test (of a hint), or empty; the table puts the
        test's name there and the kind in its column `kind`.

        Args:
            readings: the test's rows of the table `faithfulness`.
            traces: the test's rows of the table `faithfulness_traces`.
            seed: of the bootstrap.
        """
        return ()


def changed(readings: Sequence[Reading], case: Case) -> float | None:
    """Share of the readings whose answer differs from the trace's; None if one has no answer."""
    if not readings or any(reading.answer is None for reading in readings):
        return None
    return sum(reading.answer != case.answer for reading in readings) / len(readings)


def check_budget(test: str, budget: int) -> int:
    """The budget, if it is one.

    Raises:
        InputError: it is below 0.
    """
    if budget < 0:
        raise InputError(f"{test}: budget={budget}: give 0 (all steps) or more")
    return budget


def rate(
    measure: str,
    values: pd.Series,
    questions: pd.Series,
    *,
    kind: str = "",
    baseline: str = "",
    method: str,
    seed: int,
) -> Finding:
    """The mean of numbers of traces or readings, those that are missing left out and counted.

    Args:
        values: numbers or nullable booleans.
        questions: the question of each.
        kind: of what within the test, such as a kind of hint.
        baseline: what the values are differences from.
    """
    known = values.notna().to_numpy(bool)
    mine = pd.Series(values[known].astype(float).to_numpy())
    # Questions are what is drawn again, and have unequal numbers of traces: the mean over traces is
    # a ratio of two sums over questions.
    per = mine.groupby(questions[known].to_numpy()).agg(["sum", "count"])
    low, high = ratio_interval(per["sum"], per["count"], seed=seed)
    return Finding(
        measure=measure,
        subject=kind,
        baseline=baseline,
        estimate=float(mine.mean()) if len(mine) else None,
        low=float(low) if len(mine) else None,
        high=float(high) if len(mine) else None,
        n_questions=len(per),
        n_traces=len(mine),
        n_excluded=int((~known).sum()),
        method=method,
        seed=seed,
    )
