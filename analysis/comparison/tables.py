"""The comparison's tables: their columns and types, and the families of measures.

They are written into the tables of the first run that is compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

__all__ = ["COLUMNS", "FAMILIES", "MAKES", "as_frame"]

MAKES = {
    "compared_differences": "each run against another, measure by measure, paired by question",
    "compared_measures": "each run's measures, as its tables have them",
    "compared_settings": "the settings of each run, and which of them differ",
    "compared_questions": "each run's majority answer to each question",
    "compared_missing": "what a run lacks to be compared, and the command that adds it",
}
"""Table to a sentence on it; the first is the main one."""

FAMILIES = {
    "accuracy": "accuracy of vote rules, a single trace and a greedy one",
    "curve": "expected accuracy at each number of samples, and pass@k",
    "agreement": "whether answers, reasoning and hidden states agree",
    "calibration": "whether confidence predicts correctness",
    "faithfulness": "behavioural tests of the reasoning",
    "steps": "false equations",
    "causal": "effects of interventions",
    "depth": "commitment layer, internal consistency",
    "cost": "tokens and seconds",
}
"""Family of measures to what it holds, in the order in which they are shown."""

COLUMNS: dict[str, dict[str, str]] = {
    "compared_settings": {
        "run": "string",  # readable name, unique among those compared
        "path": "string",  # its folder
        "setting": "string",  # as in an experiment file, such as chat_args.enable_thinking
        "value": "string",
        "differs": "bool",  # not the same in all runs
    },
    "compared_measures": {
        "run": "string",
        "family": "string",
        "measure": "string",
        "subject": "string",
        "n_samples": "Int64",  # traces a question, of a point of a curve and of pass@k
        "unit": "string",
        "estimate": "float64",
        "low": "float64",
        "high": "float64",
        "n_questions": "Int64",
        "n_traces": "Int64",
        "n_excluded": "Int64",
        "method": "string",
        "seed": "Int64",
    },
    "compared_differences": {
        "run": "string",
        "against": "string",
        "family": "string",
        "measure": "string",
        "subject": "string",
        "n_samples": "Int64",
        "unit": "string",
        "value": "float64",  # the run's, over the common questions
        "other": "float64",  # that of `against`, over the same
        "estimate": "float64",  # value - other
        "low": "float64",
        "high": "float64",
        "p": "float64",
        "p_holm": "float64",
        "n_comparisons": "Int64",  # that Holm's correction counted
        "n_questions": "Int64",  # in both runs
        "n_excluded": "Int64",  # of either run, not in both
        "n_settings": "Int64",  # in which the two runs differ
        "method": "string",
        "seed": "Int64",
    },
    "compared_questions": {
        "run": "string",
        "question_id": "string",
        "question": "string",
        "gold": "string",
        "answer": "string",  # the majority's
        "correct": "boolean",
        "share": "float64",  # of the majority's answer among valid ones
        "accuracy": "float64",  # of a single trace: the mean over the question's traces
        "n": "Int64",  # traces
    },
    "compared_missing": {
        "run": "string",
        "family": "string",
        "what": "string",
        "why": "string",
        "command": "string",  # empty where nothing adds it
    },
}
"""Table to its columns and their types."""


def as_frame(table: str, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as one of the tables, with all of its columns, also where there is no row."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS[table]))
    # text is object, as a stored table is read back
    kinds = {name: object if kind == "string" else kind for name, kind in COLUMNS[table].items()}
    return frame.astype(kinds)
