"""A measure of one run: what it is, and what each question adds to it.

>>> values = pd.Series([1.0, 0.0], index=["q0", "q1"])
>>> majority = Measure(
...     family="accuracy", measure="accuracy", subject="majority", unit="share of questions",
...     method="the vote is right", rows=mean_of(values), n_traces=pd.Series(8, values.index),
... )
>>> majority.key
('accuracy', 'accuracy', 'majority', None)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.catalogue import maker_of, need
from analysis.comparison.sums import RATIO, Statistic
from cot.errors import ConsilienceError
from cot.store.run import Run

__all__ = ["ABSENT", "Compared", "Key", "Measure", "Missing", "counted", "mean_of", "share_of"]

Key = tuple[str, str, str, int | None]
"""Family, measure, subject, n_samples: what makes two runs' measures the same one."""
ABSENT = "there is none"
"""Why a table that nothing has made can't be read."""
CHEAP = ("answers", "votes")
"""Tables that are made where a run lacks them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measure:
    """A measure of one run."""

    family: str
    """One of `analysis.comparison.tables.FAMILIES`."""
    measure: str
    """What is measured, such as `accuracy`."""
    subject: str = ""
    """Of what: a vote rule, a test, a pair, a signal; empty where the measure says all."""
    n_samples: int | None = None
    """Traces a question, of a point of a curve and of pass@k; None elsewhere."""
    unit: str
    """What the number is in, such as `share of questions`."""
    method: str
    """How it is computed, in one line."""
    rows: pd.DataFrame | None = None
    """What each question adds, as `statistic` takes it, indexed by question_id. None where the run
    keeps nothing of single questions: then the measure is `stated`, and is not paired."""
    statistic: Statistic = RATIO
    """What they are put together by."""
    n_traces: pd.Series[Any] | None = None
    """Traces behind the rows, indexed by question_id; None where that is not known."""
    stated: Mapping[str, Any] = field(default_factory=dict)
    """Without rows: estimate, low, high, n_questions, n_traces, n_excluded."""

    @property
    def key(self) -> Key:
        """By which runs' measures are matched."""
        return (self.family, self.measure, self.subject, self.n_samples)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What a run lacks to be compared."""

    run: str
    """Its name."""
    family: str
    """Of the measures that can't be read."""
    what: str
    """The table, or the measure."""
    why: str
    """What is the matter."""
    command: str
    """What adds it; empty where nothing does."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """One of the runs that are compared."""

    name: str
    """Readable, unique among them."""
    run: Run
    """The run."""
    missing: list[Missing] = field(default_factory=list)
    """What it lacks, as it was found."""
    read: set[str] = field(default_factory=set)
    """The tables that were read."""

    def files(self) -> list[Path]:
        """What the comparison follows from: the tables that were read, and the questions. The list
        of calls is left out: a call that samples nothing adds a line too, and one that samples
        changes the answers."""
        folder = self.run.path.resolve()
        tables = [folder / "tables" / f"{name}.parquet" for name in sorted(self.read)]
        files = [*tables, folder / "questions.parquet"]
        return [file for file in files if file.exists()]

    def table(self, name: str, family: str) -> pd.DataFrame | None:
        """A table, current with its inputs; where there is none, None, which is noted.

        A stale table is made again, and a cheap one that is missing is made.
        """
        if name not in self.run.tables() and name not in CHEAP:
            self.lacks(family, f"table {name}", ABSENT, _command(name, self))
            return None
        self.read.add(name)
        try:
            return need(self.run, name)
        except ConsilienceError as error:
            self.lacks(family, f"table {name}", f"not made again: {error}", _command(name, self))
            return None

    def all_tables(self, names: Sequence[str], family: str) -> list[pd.DataFrame] | None:
        """Several tables, as `table`; None at the first that can't be read."""
        found = []
        for name in names:
            table = self.table(name, family)
            if table is None:
                return None
            found.append(table)
        return found

    def lacks(self, family: str, what: str, why: str, command: str = "") -> None:
        """Note what can't be read, once."""
        lack = Missing(run=self.name, family=family, what=what, why=why, command=command)
        if lack not in self.missing:
            self.missing.append(lack)


def _command(table: str, compared: Compared) -> str:
    return f"cot {maker_of(table).name} {compared.run.path}"


def mean_of(values: pd.Series[Any]) -> pd.DataFrame:
    """Rows of a mean over questions; a question without a value has no row.

    Args:
        values: one a question, indexed by question_id.
    """
    known = values.dropna().astype(float)
    return pd.DataFrame({"above": known, "below": 1.0}).rename_axis(index="question_id")


def share_of(traces: pd.DataFrame, above: str, below: str | None = None) -> pd.DataFrame:
    """Rows of a mean over traces, or of Σ above / Σ below; traces without a value are left out.

    Args:
        traces: question_id and the columns that are named.
        above: column of numbers or booleans.
        below: column of numbers; 1 a trace where None.
    """
    known = traces[traces[above].notna()]
    columns = {"above": known[above].astype(float)}
    columns["below"] = 1.0 if below is None else known[below].astype(float)
    frame = pd.DataFrame(columns).assign(question_id=known["question_id"])
    return frame.groupby("question_id")[["above", "below"]].sum()  # sorted, as `rate` has them


def counted(traces: pd.DataFrame, value: str) -> pd.Series[Any]:
    """Traces of each question that have a value."""
    return traces[traces[value].notna()].groupby("question_id", sort=False).size()
