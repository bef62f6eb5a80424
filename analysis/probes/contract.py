"""What every probe must do, as one check that you can call on your own.

def test_my_probe():
    check_probe("my_package.probes:Mine")
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.probes.crossfit import cross_fit, question_folds
from analysis.probes.estimator import is_classifier, load_probe, output, predictions, probabilities
from analysis.statistics import auroc

__all__ = ["check_probe"]

N_QUESTIONS, N_TRACES, WIDTH = 20, 8, 12


def check_probe(spec: str, seed: int = 0) -> None:
    """Raise an AssertionError at the first promise that the probe breaks on made-up vectors.

    - `fit` changes none of its arguments, leaves `validation_`, and gives the same again.
    - Predictions are finite, one a row, whatever the order of the rows; probabilities sum to 1.
    - A direction that tells the labels apart is found, on questions that were not seen.
    - Vectors that never vary, and labels that never do, are harmless: no row stands out.
    - With `layers_`, these give the same predictions.

    Args:
        spec: the probe, as it is typed.
    """
    make = load_probe(spec)
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(N_QUESTIONS), N_TRACES)
    hidden = random.normal(size=len(groups))
    X = 0.5 * random.normal(size=(len(groups), WIDTH)) + hidden[:, None]
    y = hidden > 0 if is_classifier(make(seed=seed)) else hidden
    before = [part.copy() for part in (X, y, groups)]
    probe = make(seed=seed)
    probe.fit(X, y, groups)
    for part, kept in zip((X, y, groups), before, strict=True):
        assert (part == kept).all(), "fit changes what it is given"
    _predicts(probe, X, random)
    assert np.isfinite(probe.validation_), "no validation_ although questions can be held out"
    again = make(seed=seed)
    again.fit(X, y, groups)
    assert (predictions(again, X) == predictions(probe, X)).all(), "not the same again"
    fold = question_folds(hidden > 0, groups, 4, seed)
    found = cross_fit(make, X, np.arange(len(X)), [y], groups, fold, 4, seed).scores[0]
    assert auroc(hidden > 0, found) > 0.9, "a direction that tells the labels apart is not found"
    for flat, labels in ((np.zeros_like(X), y), (X, np.zeros_like(y))):
        dull = make(seed=seed)
        dull.fit(flat, labels, groups)
        assert np.ptp(predictions(dull, flat)) < 1e-6, "a row stands out where none can"


def _predicts(probe: Any, X: NDArray[np.float64], random: np.random.Generator) -> None:
    values = predictions(probe, X)
    assert values.shape == (len(X),), f"{len(X)} rows, predictions {values.shape}"
    assert np.isfinite(values).all(), "a prediction is not finite"
    order = random.permutation(len(X))
    assert np.allclose(predictions(probe, X[order]), values[order]), "the order of rows decides"
    if is_classifier(probe):
        proba = np.asarray(probe.predict_proba(X))
        assert proba.shape == (len(X), 2), f"{len(X)} rows, probabilities {proba.shape}"
        assert np.allclose(proba.sum(axis=1), 1), "probabilities of a row do not sum to 1"
        assert (proba >= 0).all(), "a probability is negative"
    if hasattr(probe, "layers_"):
        same = probabilities(probe.layers_, X)[:, 1] if is_classifier(probe) else None
        same = output(probe.layers_, X) if same is None else same
        assert np.allclose(same, values), "layers_ do not give the predictions"
