"""Labels of rows: what a target becomes before it is probed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Labels"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """A target's rows: traces, steps (with a column `step`), or questions (no `sample_index`)."""

    target: str
    """As it was asked for."""
    rows: pd.DataFrame
    """question_id, sample_index, y, text (the answer masked), characters, tokens (lengths), in run
    order."""
    kind: Literal["boolean", "number", "choice"] = "boolean"
    """What y is: a boolean, a number, or the place of a choice in `choices`."""
    choices: tuple[str, ...] = ()
    """Choices, one against the rest each."""
    positions: tuple[str, ...] | None = None
    """Where it can be read; None is everywhere."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason to the number of rows without a label."""

    @property
    def keys(self) -> list[str]:
        """The columns that name a row."""
        names = ("question_id", "sample_index", "step")
        return [name for name in names if name in self.rows]

    def tasks(self, y: NDArray[Any]) -> list[NDArray[Any]]:
        """What probes are fitted to: y itself, or each choice against the rest."""
        if self.kind == "choice":
            return [y == place for place in range(len(self.choices))]
        return [y.astype(bool) if self.kind == "boolean" else y.astype(np.float64)]

    def truths(self, y: NDArray[Any]) -> list[NDArray[np.bool_]]:
        """What an AUROC is measured against: `tasks`; of a number, whether it is above the median
        of all rows."""
        if self.kind == "number":
            return [y > np.median(self.rows["y"].to_numpy(float))]
        return self.tasks(y)

    def spread(self) -> NDArray[np.bool_]:
        """What folds share out evenly, shape [row]."""
        y = self.rows["y"].to_numpy()
        return y == 0 if self.kind == "choice" else self.truths(y)[0]

    def undefined(self, y: NDArray[Any], groups: NDArray[Any]) -> str | None:
        """Why no probe can be tested on rows with these labels, or None where one can."""
        if not len(y):
            return "no row has both a label and a vector"
        for name, truth in zip(self.choices or ("",), self.truths(y), strict=True):
            if why := _untestable(truth, groups):
                return f"choice {name}: {why}" if name else why
        return None


def _untestable(y: NDArray[np.bool_], groups: NDArray[Any]) -> str | None:
    if y.all() or not y.any():
        return f"all {len(y)} rows are {'positive' if y.all() else 'negative'}"
    questions = [len(np.unique(groups[y == label])) for label in (True, False)]
    if min(questions) < 2:
        return f"only one question has {'positives' if questions[0] < 2 else 'negatives'}"
    return None
