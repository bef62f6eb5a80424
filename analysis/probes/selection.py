"""The headline, from a cell that was not chosen on the questions it is tested on.

For each outer fold the cell is the one whose probe told right from wrong best *within* the
questions of inner folds, all of them training questions of that fold; the fold's traces keep that
cell's scores. (The pooled AUROC would choose what knows hard questions from easy ones.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.probes.measures import discrimination
from cot.types import Finding

__all__ = ["choose_cells", "headlines", "nested_scores"]

NAMES = ("probe pooled AUROC", "probe within-question AUROC")


def choose_cells(validation: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cell of each outer fold, shape [cell, fold] -> [fold]; the first of equals."""
    best: NDArray[np.int64] = np.argmax(np.nan_to_num(validation, nan=-1.0), axis=0)
    return best


def nested_scores(scores: Sequence[pd.DataFrame], chosen: NDArray[np.int64]) -> pd.DataFrame:
    """Each fold's rows of its chosen cell; every frame has the column `fold`."""
    parts = [scores[cell].query("fold == @fold") for fold, cell in enumerate(chosen)]
    return pd.concat(parts, ignore_index=True)


def headlines(
    nested: pd.DataFrame | None, *, seed: int, n_excluded: int, note: str
) -> list[Finding]:
    """Pooled and within-question AUROC of the nested scores (columns question_id, y, score), or
    nulls where there are none.

    Args:
        n_excluded: traces without a label.
        note: how the scores were made, or why there are none.
    """
    if nested is None:
        return [
            Finding(
                name=name,
                estimate=None,
                low=None,
                high=None,
                n_questions=0,
                n_traces=0,
                n_excluded=n_excluded,
                method=note,
                seed=seed,
            )
            for name in NAMES
        ]
    y, groups = nested["y"].to_numpy(bool), nested["question_id"].to_numpy()
    found = discrimination(y, nested["score"].to_numpy(float), groups, seed)
    columns = (("auroc", "low", "high"), ("within_question_auroc", "within_low", "within_high"))
    counts = (nested["question_id"].nunique(), int(found["n_within"]))
    return [
        Finding(
            name=name,
            estimate=_known(found[estimate]),
            low=_known(found[low]),
            high=_known(found[high]),
            n_questions=count,
            n_traces=len(nested),
            n_excluded=n_excluded,
            method=note,
            seed=seed,
        )
        for name, (estimate, low, high), count in zip(NAMES, columns, counts, strict=True)
    ]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
