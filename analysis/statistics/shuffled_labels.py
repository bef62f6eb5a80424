"""Labels that hold nothing: a probe's numbers are worth what they exceed these by.

The control task of Hewitt & Liang 2019 (arXiv 1909.03368) gives each *word type* a random label,
which a strong probe can memorise. Here questions are held out whole, so that nothing memorised
helps: the control stays near 0.5, and `selectivity`, the pooled AUROC minus that of the labels
shuffled over all traces, is what the vectors say and the procedure does not.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["shuffled", "shuffled_within"]

Label = TypeVar("Label", bound=np.generic)


def shuffled(y: NDArray[Label], seed: int) -> NDArray[Label]:
    """Labels shuffled over all rows: pooled AUROC must come out near 0.5."""
    return np.random.default_rng(seed).permutation(y)


def shuffled_within(y: NDArray[Label], groups: NDArray[Any], seed: int) -> NDArray[Label]:
    """Labels shuffled among each question's rows: the *within-question* AUROC must come out near
    0.5; the pooled one stays as high as the questions' difficulty makes it."""
    codes = pd.factorize(groups)[0]
    # rows sorted by question and, within it, at random: no loop over questions is needed
    mixed = np.lexsort((np.random.default_rng(seed).random(len(y)), codes))
    changed = np.empty_like(y)
    changed[np.argsort(codes, kind="stable")] = y[mixed]
    return changed
