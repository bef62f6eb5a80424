"""Where each trace stands on its question's map: the table `path_map`, scaled to the picture.

Both axes of a question are divided by the longer of its two ranges, so that shapes are kept, places
lie in [-0.5, 0.5], and three decimals are enough whatever the method's units were.

    >>> read_places(evidence)[("q00", 3)]                                        # doctest: +SKIP
    [0.127, -0.5]
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.page.evidence import Evidence

__all__ = ["methods", "read_places"]


def read_places(evidence: Evidence) -> dict[tuple[str, int], list[float]]:
    """[x, y] by (question_id, sample_index); traces without finite coordinates are left out."""
    table = _finite(evidence)
    if not len(table):
        return {}
    sides = table.groupby("question_id")[["x", "y"]]
    low, high = sides.transform("min"), sides.transform("max")
    length = (high - low).max(axis=1).replace(0.0, 1.0)
    scaled = (table[["x", "y"]] - (low + high) / 2).div(length, axis=0).round(3)
    keys = zip(table["question_id"], table["sample_index"].astype(int), strict=True)
    return dict(zip(keys, scaled.to_numpy().tolist(), strict=True))


def methods(evidence: Evidence) -> dict[str, str]:
    """How each question's map was made (pca, tsne, umap), by question_id."""
    table = _finite(evidence)
    if not len(table):
        return {}
    first = table.groupby("question_id")["method"].first()
    return {str(key): str(method) for key, method in first.items()}


def _finite(evidence: Evidence) -> pd.DataFrame:
    table = evidence.get("path_map")
    return table[np.isfinite(table[["x", "y"]]).all(axis=1)] if len(table) else table
