"""What a probe's numbers are worth beside nothing: shuffled labels, and the trace's length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["length_features", "shuffled", "shuffled_within"]


def shuffled(y: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
    """Labels shuffled over all traces: pooled AUROC must come out near 0.5."""
    return np.random.default_rng(seed).permutation(y)


def shuffled_within(y: NDArray[np.bool_], groups: NDArray[Any], seed: int) -> NDArray[np.bool_]:
    """Labels shuffled among each question's traces: the *within-question* AUROC must come out near
    0.5; the pooled one stays as high as the questions' difficulty makes it."""
    codes = pd.factorize(groups)[0]
    mixed = np.lexsort((np.random.default_rng(seed).random(len(y)), codes))
    changed = np.empty_like(y)
    changed[np.argsort(codes, kind="stable")] = y[mixed]
    return changed


def length_features(traces: pd.DataFrame) -> NDArray[np.float64]:
    """log(1 + characters) and log(1 + tokens), shape [trace, 2]."""
    lengths = traces[["characters", "tokens"]].to_numpy(dtype=np.float64)
    logs: NDArray[np.float64] = np.log1p(lengths)
    return logs
