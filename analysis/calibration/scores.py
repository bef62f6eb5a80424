"""One signal's numbers: how well it ranks right above wrong, and how well it is calibrated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.calibration.metrics import (
    average_precision,
    brier,
    expected_calibration_error,
    prediction_rejection_ratio,
    reliability,
    risks,
)
from analysis.calibration.signals import Signal
from analysis.calibration.targets import Target
from analysis.statistics import (
    auroc,
    auroc_interval,
    mean_interval,
    pairs_per_question,
    ratio_interval,
)

__all__ = ["Score", "score"]

Floats = NDArray[np.float64]
POINTS = 100
"""Points of a risk-coverage curve."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """A row of the table `calibration`. None is undefined, and `note` says why."""

    signal: str
    """Its name."""
    unit: str
    """`question`: it predicts a right majority; `trace`: a right trace."""
    confident: str
    """`high` or `low`: which end should be right."""
    probability: bool
    """Scored as a probability of being right."""
    auroc: float | None
    """Chance that a right item is more confident than a wrong one, ties one half."""
    low: float | None
    """Lower end of its 95% interval, by bootstrap over questions."""
    high: float | None
    """Upper end."""
    auprc: float | None
    """Average precision; chance is `prevalence`."""
    prevalence: float | None
    """Share of the items that are right."""
    brier: float | None
    """Mean squared difference to the outcome; lower is better. Probabilities only."""
    ece: float | None
    """Expected calibration error; lower is better. Probabilities only."""
    prr: float | None
    """Prediction-rejection ratio: 1 is the oracle, 0 chance."""
    aurc: float | None
    """Area under the risk-coverage curve; lower is better, chance is 1 - `prevalence`."""
    wqd: float | None
    """Within-question discrimination (arXiv 2502.06233): share of the run's pairs of a right and a
    wrong trace of one question in which the right one is more confident, ties one half."""
    wqd_low: float | None
    """Lower end of its 95% interval, by bootstrap over questions."""
    wqd_high: float | None
    """Upper end."""
    within_question_auroc: float | None
    """Mean over questions with both: each question counts once, not each pair."""
    within_low: float | None
    """Lower end of its 95% interval, by bootstrap over questions."""
    within_high: float | None
    """Upper end."""
    n_within: int
    """Questions with right and wrong traces."""
    n: int
    """Items scored: questions or traces."""
    n_questions: int
    """Questions that they are of."""
    n_tied: int
    """Majorities among them that were a tie, which the lowest sample_index decided."""
    no_gold: int
    """Items left out: their question has no gold."""
    no_answer: int
    """Items left out: an abstention, or a trace without a valid answer or past its run's stop."""
    no_signal: int
    """Items left out: the signal is missing."""
    note: str
    """What to know when reading the row."""


def score(
    signal: Signal, values: Floats, target: Target, *, bins: int = 10, seed: int = 0
) -> tuple[Score, pd.DataFrame]:
    """The signal's numbers, and its curves (rows of the table `calibration_curves`).

    Args:
        values: the signal, NaN where it is missing, shape [item].
        target: what it predicts.
        bins: of equal width, for reliability and ECE.
        seed: of the bootstrap.
    """
    there = ~np.isnan(values)
    y, value, question = target.correct[there], values[there], target.question[there]
    confidence = value if signal.confident == "high" else -value
    probability = signal.probability and bool(((value >= 0) & (value <= 1)).all())
    bars = reliability(y, value, bins) if probability else _curve([], [], [])
    mixed = bool(y.any() and not y.all())
    risk = risks(y, confidence) if mixed else np.zeros(0)
    low, high = auroc_interval(y, confidence, question, seed=seed)
    by_question = _pairs(y, confidence, question) if signal.unit == "trace" else _NONE
    wins, pairs = by_question["wins"].to_numpy(), by_question["pairs"].to_numpy()
    wqd_low, wqd_high = ratio_interval(wins, pairs, seed=seed)
    within_low, within_high = mean_interval(wins / pairs, seed=seed)
    row = Score(
        signal=signal.name,
        unit=signal.unit,
        confident=signal.confident,
        probability=probability,
        auroc=_known(auroc(y, confidence)),
        low=_known(low),
        high=_known(high),
        auprc=_known(average_precision(y, confidence)) if mixed else None,
        prevalence=float(y.mean()) if len(y) else None,
        brier=_known(brier(y, value)) if probability else None,
        ece=_known(expected_calibration_error(bars)) if probability else None,
        prr=_known(prediction_rejection_ratio(y, confidence)),
        aurc=float(risk.mean()) if mixed else None,
        wqd=float(wins.sum() / pairs.sum()) if len(pairs) else None,
        wqd_low=_known(wqd_low),
        wqd_high=_known(wqd_high),
        within_question_auroc=float((wins / pairs).mean()) if len(pairs) else None,
        within_low=_known(within_low),
        within_high=_known(within_high),
        n_within=len(pairs),
        n=len(y),
        n_questions=len(np.unique(question)),
        n_tied=int(target.tied[there].sum()),
        no_gold=target.no_gold,
        no_answer=target.no_answer,
        no_signal=int((~there).sum()),
        note="; ".join(filter(None, [signal.note, _remark(signal.unit, y, value, len(pairs))])),
    )
    k = np.unique(np.ceil(len(risk) * np.arange(1, POINTS + 1) / POINTS).astype(int))
    k = k[k > 0]
    drawn = {"reliability": bars, "risk_coverage": _curve(k / len(y), risk[k - 1], k)}
    frames = [frame.assign(signal=signal.name, kind=kind) for kind, frame in drawn.items()]
    return row, pd.concat(frames)[["signal", "kind", "x", "y", "n"]]


def _remark(unit: str, y: NDArray[np.bool_], value: Floats, n_within: int) -> str:
    """Why something is not scored, or says nothing."""
    items = "majorities" if unit == "question" else "traces"
    if not len(y):
        return f"no {items} to score"
    if y.all() or not y.any():
        return f"all {len(y)} {items} are {'right' if y.all() else 'wrong'}: no ranking is scored"
    if value.min() == value.max():
        return "constant: it ranks nothing"
    if unit == "trace" and not n_within:
        return "no question has right and wrong traces"
    return ""


def _pairs(y: NDArray[np.bool_], confidence: Floats, question: NDArray[np.int64]) -> pd.DataFrame:
    pairs = pairs_per_question(y, confidence, question)
    return pairs[pairs["pairs"] > 0]


def _curve(x: ArrayLike, y: ArrayLike, n: ArrayLike) -> pd.DataFrame:
    kinds = {"x": float, "y": float, "n": int}
    return pd.DataFrame({"x": x, "y": y, "n": n}).astype(kinds)


_NONE = pd.DataFrame({"wins": [], "pairs": []}, dtype=float)
"""A question's own signals have no pairs within it."""


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
