"""What a run holds when the page is made: the tables that are there, which are stale, what makes
the others, and the counts that stand at the top of the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import pandas as pd

from cot.answers.readers import WEAK
from cot.answers.table import MOST_WEAK
from cot.store.identity import as_mapping
from cot.store.run import Run

__all__ = ["MAKERS", "Evidence", "gather", "overview"]

MAKERS = {
    "answers": "answers",
    "greedy_answers": "answers",
    "steps": "paths",
    "paths": "paths",
    "step_checks": "paths",
    "path_names": "paths",
    "path_map": "paths",
    "path_questions": "paths",
    "findings_paths": "paths",
    "votes": "vote",
    "findings_vote": "vote",
    "curve": "curve",
    "curve_comparison": "curve",
    "findings_stop": "stop",
    "calibration": "calibration",
    "calibration_curves": "calibration",
    "findings_calibration": "calibration",
    "fidelity": "capture",
    "probes": "probe",
    "probe_scores": "probe",
    "probe_steps": "probe",
    "findings_probe": "probe",
    "lens": "lens",
    "lens_traces": "lens",
    "lens_tokens": "lens",
    "findings_lens": "lens",
    "hidden_clusters": "geometry",
    "similarity": "geometry",
    "dimension": "geometry",
    "eigen_scores": "geometry",
    "state_map": "geometry",
    "trajectories": "geometry",
    "findings_geometry": "geometry",
    "agreement": "agree",
    "agreement_coefficients": "agree",
    "agreement_places": "agree",
    "agreement_raters": "agree",
    "agreement_rater_pairs": "agree",
    "agreement_comparison": "agree",
    "findings_agree": "agree",
    "faithfulness": "faithfulness",
    "faithfulness_traces": "faithfulness",
    "faithfulness_curves": "faithfulness",
    "findings_faithfulness": "faithfulness",
}
"""Each table that the page reads, and the command that makes it."""

OPTIONS = {
    "vote": " --rule majority",
    "curve": " --rule majority",
    "stop": " --rule asc_beta",
    "probe": " --target correct",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A run's questions, traces and tables, read once."""

    run: Run
    """Where they come from."""
    questions: pd.DataFrame
    """As `Run.questions` gives them."""
    traces: pd.DataFrame
    """question_id, sample_index, text, finish_reason."""
    tables: Mapping[str, pd.DataFrame]
    """The derived tables that exist, by name."""
    stale: Mapping[str, str]
    """Why a table no longer follows from its inputs, for those that don't."""

    def get(self, name: str) -> pd.DataFrame:
        """The table, or an empty frame without columns where there is none."""
        return self.tables.get(name, pd.DataFrame())

    def command(self, table: str) -> str:
        """The command that makes a table, as typed."""
        verb = MAKERS[table]
        return f"cot {verb} {self.run.path}{OPTIONS.get(verb, '')}"

    def notices(self, *tables: str) -> list[dict[str, str]]:
        """What to say above a section that reads these tables: which are missing or stale."""
        found: dict[str, str] = {}
        for name in tables:
            if name not in self.tables:
                text = f"There is no table {name} yet."
            elif name in self.stale:
                text = f"The table {name} is stale: {self.stale[name]}."
            else:
                continue
            found.setdefault(self.command(name), text)
        return [{"text": text, "command": command} for command, text in found.items()]


def gather(run: Run) -> Evidence:
    """Read everything that the page shows."""
    names = [name for name in run.tables() if name in MAKERS]
    return Evidence(
        run=run,
        questions=run.questions(),
        traces=run.traces(["text", "finish_reason"]),
        tables={name: run.table(name) for name in names},
        stale={name: reason for name in names if (reason := run.stale(name))},
    )


def overview(evidence: Evidence) -> dict[str, Any]:
    """Title, counts and settings."""
    identity = evidence.run.identity
    imported = identity.imported.file if identity.imported else None
    dataset = identity.dataset or imported or evidence.run.path.name
    return {
        "dataset": PurePath(str(dataset)).name if imported else str(dataset),
        "model": identity.model or "an unnamed model (imported traces)",
        "run": evidence.run.path.name,
        "counts": _counts(evidence),
        "settings": [*_settings(as_mapping(identity)), *_reading(evidence.get("answers"))],
    }


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
