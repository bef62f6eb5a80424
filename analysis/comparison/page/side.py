"""One of the runs that are compared, as the page knows it."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.page.evidence import Evidence, Notice, gather
from cot.errors import InputError
from cot.store.run import Run, open_run

__all__ = ["Side", "letter_of", "read_sides"]

READ = ("answers", "votes", "greedy_answers", "steps", "sections", "step_checks", "paths")
"""Tables of each run from which its traces are shown; those that there are."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """A run."""

    letter: str
    """What it is called where there is no room for its name: A, B, ..."""
    name: str
    """Its readable name, unique among those compared."""
    evidence: Evidence
    """Its questions, traces, and the tables that a trace's view needs."""

    @property
    def notices(self) -> list[Notice]:
        """Which of its tables are stale."""
        return self.evidence.notices(*READ)

    @property
    def n_questions(self) -> int:
        """Its questions."""
        return len(self.evidence.questions)

    @property
    def n_traces(self) -> int:
        """Its traces."""
        return len(self.evidence.traces)


def read_sides(run: Run) -> list[Side]:
    """The runs in the order in which they were compared.

    Raises:
        InputError: one is no longer where it was.
    """
    paths = run.table("compared_settings").drop_duplicates("run")[["run", "path"]]
    sides = []
    for place, (name, path) in enumerate(paths.itertuples(index=False)):
        try:
            opened = run if place == 0 else open_run(path)
        except InputError as error:
            raise InputError(f"run {name!r}, which was compared: {error}") from None
        sides.append(
            Side(letter=letter_of(place), name=str(name), evidence=gather(opened, only=READ))
        )
    return sides


def letter_of(place: int) -> str:
    """A to Z, then AA, AB, ...

    >>> letter_of(0), letter_of(25), letter_of(26)
    ('A', 'Z', 'AA')
    """
    before, last = divmod(place, 26)
    return (letter_of(before - 1) if before else "") + chr(ord("A") + last)
