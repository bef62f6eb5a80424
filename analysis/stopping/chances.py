"""Each trace's chance of being right, as rules take it that read confidences.

A confidence is calibrated by a logistic regression of correctness on it (Platt scaling), fitted on
other questions' traces: questions fall into five folds by the order of their names, as for vote
rules with fit=true (`analysis.voting.fitting`).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.columns import LOGPROBS, columns
from analysis.voting.fitting import FOLDS
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["calibrated", "chances"]

Floats = NDArray[np.float64]


def chances(run: Run, answers: pd.DataFrame, confidence: str, fit: bool) -> Floats:
    """In [0, 1] for each row of the answers table with a valid answer, else NaN.

    Args:
        confidence: a column of `analysis.columns`.
        fit: calibrate it; else it is taken as it is, or, a log-probability, exponentiated.

    Raises:
        InputError: the run lacks what the column is made from, a trace with an answer has none, it
            is no probability, or there is no gold to calibrate on.
    """
    valid = (answers["status"] == "ok").to_numpy()
    values = columns(run, answers, [confidence])[confidence].to_numpy(dtype=float)
    values = np.where(valid, values, np.nan)
    if n_lacking := int(np.isnan(values[valid]).sum()):
        raise InputError(
            f"{run.path}: {n_lacking} of its {int(valid.sum())} traces with an answer have no "
            f"{confidence}, and the rule weighs each by it: choose a confidence that all have"
        )
    if fit:
        return calibrated(values, answers)
    found = np.exp(values) if confidence in LOGPROBS else values
    if not ((found >= 0) & (found <= 1))[valid].all():
        raise InputError(
            f"{confidence} is no probability (values from {np.nanmin(found):g} to "
            f"{np.nanmax(found):g}): calibrate it with fit=true"
        )
    return found


def calibrated(values: Floats, answers: pd.DataFrame) -> Floats:
    """P(correct) by confidence, for each question from the other folds' traces.

    Args:
        values: of each row of the answers table, NaN where there is none.
        answers: question_id and correct (missing without gold).
    """
    from sklearn.linear_model import LogisticRegression

    codes, names = pd.factorize(answers["question_id"], sort=True)
    fold = codes % FOLDS
    judged = answers["correct"].notna().to_numpy() & ~np.isnan(values)
    right = answers["correct"].fillna(False).to_numpy(dtype=bool)
    found = np.full(len(values), np.nan)
    for held in range(min(FOLDS, len(names))):
        rows = (fold == held) & ~np.isnan(values)
        others = judged & (fold != held)
        if not others.any():
            raise InputError(
                "a confidence is calibrated on gold of other questions, and there is none for "
                "questions of at least two folds: give them gold, or take a confidence that is a "
                "probability as it is, with fit=false"
            )
        mean, spread = values[others].mean(), values[others].std() or 1.0
        y = right[others]
        if not rows.any():
            continue
        if y.all() or not y.any():  # nothing to tell apart: the rule of succession
            found[rows] = (y.sum() + 1) / (len(y) + 2)
            continue
        model = LogisticRegression().fit(((values[others] - mean) / spread)[:, None], y)
        found[rows] = model.predict_proba(((values[rows] - mean) / spread)[:, None])[:, 1]
    return found
