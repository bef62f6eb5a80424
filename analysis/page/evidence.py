"""What a run holds when the page is made: the tables that are there, which are stale, what makes
the others, and the counts that stand at the top of the page.

Which tables there can be, and what makes each, follows from the declarations of the analyses.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pandas as pd

from analysis.catalogue import analyses
from analysis.declaration import Analysis
from analysis.figures.text import number
from cot.answers.readers import WEAK
from cot.answers.table import MOST_WEAK
from cot.errors import InputError
from cot.store.identity import as_mapping
from cot.store.run import Run

__all__ = ["Evidence", "Notice", "Overview", "detail_of", "gather", "overview"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A table of a section that is stale."""

    text: str
    """Which, and why."""
    command: str
    """What makes it, as typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A run's questions, traces and tables, read once."""

    run: Run
    """Where they come from."""
    questions: pd.DataFrame
    """As `Run.questions` gives them."""
    traces: pd.DataFrame
    """question_id, sample_index, prompt_sha, text, finish_reason."""
    makers: Mapping[str, Analysis]
    """Every table that an analysis declares, and the analysis."""
    tables: Mapping[str, pd.DataFrame]
    """The declared tables that exist, by name."""
    stale: Mapping[str, str]
    """Why a table no longer follows from its inputs, for those that don't."""

    def get(self, name: str) -> pd.DataFrame:
        """The table, or an empty frame without columns where there is none."""
        return self.tables.get(name, pd.DataFrame())

    @property
    def most_suspicious(self) -> list[str]:
        """Ids of all questions, the most suspicious first, else in the order of the run."""
        known = {
            key: number(row["suspicion"]) for key, row in self.by_question("agreement").items()
        }
        ids = [str(key) for key in self.questions["question_id"]]
        return sorted(ids, key=lambda key: -1.0 if (x := known.get(key)) is None else -x)

    def by_question(self, name: str) -> dict[str, dict[Any, Any]]:
        """The rows of a table that has one a question, by question_id."""
        return {str(row["question_id"]): row for row in self.get(name).to_dict("records")}

    def votes(self) -> dict[str, dict[Any, Any]]:
        """Each question's vote by majority, or by the first rule where that wasn't asked for."""
        votes = self.get("votes")
        if not len(votes):
            return {}
        rules = list(votes["rule"].unique())
        chosen = votes[votes["rule"] == ("majority" if "majority" in rules else rules[0])]
        return {str(row["question_id"]): row for row in chosen.to_dict("records")}

    def command(self, table: str) -> str:
        """The command that makes a table, as typed.

        Raises:
            InputError: no analysis declares it.
        """
        if table not in self.makers:
            raise InputError(f"a section of the page reads {table}, which no analysis makes")
        return f"cot {self.makers[table].name} {self.run.path}"

    def notices(self, *tables: str) -> list[Notice]:
        """What to say above a section that reads these tables: which are stale. Those that are
        missing stand in one list on the first screen (see `analysis.page.section.unmeasured`)."""
        found: dict[str, str] = {}
        for name in tables:
            if name in self.stale:
                text = f"The table {name} is stale: {self.stale[name]}."
                found.setdefault(self.command(name), text)
        return [Notice(text=text, command=command) for command, text in found.items()]


def gather(run: Run, only: Collection[str] | None = None) -> Evidence:
    """Read everything that the page shows.

    Args:
        only: the tables to read; all where None.
    """
    makers = {table: each for each in analyses() for table in each.makes}
    there = [name for name in run.tables() if name in makers]
    names = [name for name in there if only is None or name in only]
    return Evidence(
        run=run,
        questions=run.questions(),
        traces=run.traces(["prompt_sha", "text", "finish_reason"]),
        makers=makers,
        tables={name: run.table(name) for name in names},
        stale={name: reason for name in names if (reason := run.stale(name))},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What stands at the top of the page."""

    dataset: str
    """Where the questions come from."""
    model: str
    """Which model was sampled."""
    run: str
    """The folder's name."""
    counts: list[tuple[str, int, str]]
    """Name, count, and a note on it."""
    settings: list[tuple[str, str]]
    """The run's identity and how answers were read, in words."""


def detail_of(cell: Any) -> Mapping[str, Any]:
    """The detail of a reading (table `faithfulness`); empty where it isn't an object in JSON."""
    try:
        found = json.loads(cell)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def overview(evidence: Evidence) -> Overview:
    """Title, counts and settings."""
    identity = evidence.run.identity
    imported = identity.imported.file if identity.imported else None
    dataset = identity.dataset or imported or evidence.run.path.name
    return Overview(
        dataset=PurePath(str(dataset)).name if imported else str(dataset),
        model=identity.model_named or "an unnamed model (imported traces)",
        run=evidence.run.path.name,
        counts=_counts(evidence),
        settings=[*_settings(as_mapping(identity)), *_reading(evidence.get("answers"))],
    )


def _counts(evidence: Evidence) -> list[tuple[str, int, str]]:
    """Name, count, and a note on it."""
    questions, traces = evidence.questions, evidence.traces
    spread = sorted(set(traces.groupby("question_id").size())) or [0]
    each = f"{spread[0]}" if len(spread) == 1 else f"{spread[0]} to {spread[-1]}"
    counts = [
        ("questions", len(questions), f"{int(questions['gold'].isna().sum())} without gold"),
        ("traces", len(traces), f"{each} a question"),
    ]
    answers = evidence.get("answers")
    if answers.empty:
        cut = int((traces["finish_reason"] == "length").sum())
        return [*counts, ("cut off", cut, "ended at the token limit")]
    statuses = answers["status"].value_counts()
    notes = {
        "truncated": "cut off before an answer",
        "missing": "no answer stated",
        "unparsed": "answer not understood",
    }
    counts += [(name, int(statuses.get(name, 0)), note) for name, note in notes.items()]
    found = _patterns(answers)
    weak = int(found[found.index.isin(WEAK)].sum())
    if weak > MOST_WEAK * found.sum():
        note = "whatever stands last in a text that states no answer: look at some"
        counts.append(("weakly read", weak, note))
    return counts


def _patterns(answers: pd.DataFrame) -> pd.Series[int]:
    """How many answers each pattern found, the commonest first."""
    return answers.loc[answers["status"] == "ok", "pattern"].value_counts()


def _reading(answers: pd.DataFrame) -> list[tuple[str, str]]:
    """How the answers were read, in words."""
    if answers.empty:
        return []
    found = _patterns(answers).items()
    return [
        (
            "answers read by",
            ", ".join(f"{str(name).replace('_', ' ')} {n:,}" for name, n in found) or "none",
        )
    ]


def _settings(identity: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The run's identity, flattened to names and values in words."""
    rows = []
    for name, value in identity.items():
        if isinstance(value, Mapping):
            rows += [(inner.replace("_", " "), text) for inner, text in _settings(value)]
        elif value is not None and value != "":
            text = value[:12] if "sha256" in name else value
            rows.append((name.replace("_", " "), _plain(text)))
    return rows


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(repr(item) for item in value) or "none"
    return str(value)
