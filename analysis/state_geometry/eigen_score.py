"""EigenScore: how widely a question's traces spread inside (INSIDE, arXiv 2402.03744).

The mean natural-log eigenvalue of C + 1e-3 I, where C is the K × K covariance of the question's K
vectors over the d dimensions. Low where all traces have one state, high where each goes its own
way. It grows with K: compare questions with as many traces.

    >>> round(eigen_score(np.ones((5, 8))), 3)  # identical: nothing but the 1e-3
    -6.908
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.stored_states import captured, within_gap
from analysis.state_geometry.trace_states import read_rows
from analysis.statistics import mean_interval
from cot.store.run import Run

__all__ = ["eigen_score", "mean_scores", "score_questions"]

ALPHA = 1e-3
"""Added to each eigenvalue, the paper's."""


def eigen_score(states: NDArray[np.floating]) -> float:
    """EigenScore of one question's K states, shape [K, d]; NaN for fewer than two.

    Each row is centred over d; C is divided by d − 1.
    """
    if len(states) < 2:
        return float("nan")
    # float64: eigenvalues of states that are nearly equal lie far below 1e-3 of the largest
    Z = np.asarray(states, dtype=np.float64)
    Z = Z - Z.mean(axis=1, keepdims=True)
    C = Z @ Z.T / (Z.shape[1] - 1)
    values = np.maximum(np.linalg.eigvalsh(C), 0) + ALPHA  # rounding gives eigenvalues below 0
    return float(np.log(values).mean())


def score_questions(
    run: Run, layers: Sequence[int] | None = None, positions: Sequence[str] | None = None
) -> pd.DataFrame:
    """EigenScore of each question at each place; the table `eigen_scores`.

    Columns: question_id, layer, position, eigen_score (NaN where n < 2), n (traces). Not at
    `prompt_end`, where a question's traces share one vector.

    Args:
        layers: captured layers; all where None.
        positions: captured positions; all but `prompt_end` where None. `step_end` is read at the
            last step.
    """
    traces = within_gap(run)
    rows: list[dict[str, Any]] = []
    for layer, position in captured(run, layers, positions):
        if position == "prompt_end":
            continue
        frame, X = read_rows(run, traces, layer, position)
        for question_id, mine in frame.groupby("question_id", sort=False).indices.items():
            row = {"question_id": question_id, "layer": layer, "position": position}
            rows.append({**row, "eigen_score": eigen_score(X[mine]), "n": len(mine)})
    kinds = {"question_id": "str", "layer": "int64", "position": "str", "eigen_score": "float64"}
    return pd.DataFrame(rows, columns=[*kinds, "n"]).astype({**kinds, "n": "int64"})


def mean_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """EigenScore by layer and position over questions; the table `eigen_layers`.

    Columns: layer, position, eigen_score (mean over the questions that have one), low, high (95%,
    bootstrap over questions), n_questions, n_excluded (with fewer than two states).

    Args:
        scores: the table `eigen_scores`.
    """
    rows = []
    for (layer, position), here in scores.groupby(["layer", "position"], sort=False):
        known = here["eigen_score"].dropna().to_numpy(float)
        low, high = mean_interval(known)
        mean = known.mean() if len(known) else np.nan
        rows.append((layer, position, mean, low, high, len(known), len(here) - len(known)))
    kinds = {"layer": "int64", "position": "str", "eigen_score": "float64"}
    kinds |= {"low": "float64", "high": "float64", "n_questions": "int64", "n_excluded": "int64"}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)
