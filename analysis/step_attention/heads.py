"""Receiver heads: those whose later steps agree on few steps, beyond what place and noise give.

A head's numbers are means over a question's traces, then over questions. Two one-sided t-tests over
questions ask whether the receiver score exceeds that of the place alone, and whether the adjusted
score exceeds that of permuted later steps (see `analysis.step_attention.scores`); the larger p is
taken, as both must hold, and Holm's correction is over all heads. A head with a corrected p of at
most .05 is a receiver head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.stored_states import MAX_GAP
from analysis.statistics import resample
from analysis.statistics.corrections import holm
from analysis.step_attention.reading import NUMBERS, StepTrace, matrix_steps
from analysis.step_attention.scores import (
    LEAST,
    correlation,
    kurtosis,
    n_scored,
    place_scores,
    spearman_brown,
)

__all__ = ["HeadNumbers", "Heads", "matrices_table", "read_heads", "steps_table"]

Floats = NDArray[np.float64]
Reading = Mapping[str, NDArray[np.float32]]
ALPHA = 0.05
LEAST_QUESTIONS = 3
ROUNDING = 1e-3
"""Kurtoses that differ by less are the same: weights are float32."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HeadNumbers:
    """Of some traces, shape [trace, layer, head] each."""

    kurtosis: Floats
    """The receiver score; NaN where the trace has too few scored steps, or all scores are alike."""
    position: Floats
    """The same of what places foretell; NaN with one question."""
    adjusted: Floats
    """Kurtosis of the scores over what places foretell; likewise."""
    permuted: Floats
    """Kurtosis where later steps are permuted, over what they then get on average, mean over
    draws."""
    halves: Floats
    """Correlation of the scores by odd and by even later steps; NaN where it is unknown."""
    shares: Floats
    """Attention of the steps' tokens on the sequence's first token, on the prompt and on their own
    step, shape [3, trace, layer, head]."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heads:
    """What was found."""

    table: pd.DataFrame
    """`attention_heads`."""
    reliability: tuple[float, float, float]
    """Of the heads' receiver scores, between odd and even questions, with its interval; NaN."""
    n_questions: int
    """With a receiver score."""
    n_traces: int
    """With a receiver score."""
    n_short: int
    """Traces with too few steps for one."""
    n_read: int
    """Traces whose attention was read."""


def shaped(reading: Reading, trace: StepTrace, nearest: int) -> dict[str, Floats]:
    """A reading as it was before it was stored flat; the heads follow from its size."""
    n_steps, n_kept = len(trace.steps), len(matrix_steps(trace.steps)) if trace.matrix else 0
    shapes = {
        "vertical": (n_scored(n_steps, nearest),),
        "to_first": (n_steps,),
        "by_distance": (n_steps,),
        "matrix": (n_kept, n_kept),
    }
    found = {}
    for name in NUMBERS:
        flat = np.asarray(reading[name], float).reshape(-1)
        lead = (3,) if name == "shares" else ()
        found[name] = flat.reshape(*lead, -1, *shapes.get(name, ())) if flat.size else flat
    return found


def within_gap(readings: Mapping[tuple[str, int], Reading]) -> list[tuple[str, int]]:
    """Keys of traces whose log-probabilities the model gives again, or that have none stored."""
    return [key for key, each in readings.items() if not each["gap"][0] > MAX_GAP]


# -- numbers of heads ------------------------------------------------------------------------------


def read_heads(
    traces: Sequence[StepTrace],
    readings: Mapping[tuple[str, int], Reading],
    n_layers: int,
    nearest: int,
    seed: int,
) -> Heads:
    """The table `attention_heads` and what it rests on.

    Args:
        traces: those whose attention was read.
        readings: of each, what was stored.
    """
    own = {each.key: shaped(readings[each.key], each, nearest) for each in traces}
    places = _by_place(traces, own, nearest)
    n_heads = len(own[traces[0].key]["kurtosis"])

    def stack(name: str) -> Floats:
        return np.stack([own[each.key][name] for each in traces], axis=-2)

    numbers = HeadNumbers(
        kurtosis=stack("kurtosis"),
        position=np.stack([places[each.key][0] for each in traces]),
        adjusted=np.stack([places[each.key][1] for each in traces]),
        permuted=stack("permuted"),
        halves=stack("halves"),
        shares=stack("shares"),
    )
    names = pd.factorize(np.array([each.question_id for each in traces], object))[0]
    short = np.array([n_scored(len(each.steps), nearest) < LEAST for each in traces])
    by_question = {
        name: _by_question(getattr(numbers, name), names)
        for name in ("kurtosis", "position", "adjusted", "permuted", "halves")
    }
    scored = ~np.isnan(numbers.kurtosis)
    table = _table(by_question, n_layers, seed)
    names_of = ("to_first_token", "to_prompt", "to_own_step")
    for name, share in zip(names_of, numbers.shares, strict=True):
        table[name] = share.mean(axis=0)
    table["n_questions"] = (~np.isnan(by_question["kurtosis"])).sum(axis=0)
    table["n_traces"] = scored.sum(axis=0)
    table["n_excluded"] = len(traces) - table["n_traces"]
    assert len(table) == n_heads
    return Heads(
        table=table,
        reliability=_reliability(by_question["kurtosis"], seed),
        n_questions=int((~np.isnan(by_question["kurtosis"])).any(axis=1).sum()),
        n_traces=int(scored.any(axis=1).sum()),
        n_short=int(short.sum()),
        n_read=len(traces),
    )


def _by_place(
    traces: Sequence[StepTrace], own: Mapping[tuple[str, int], Mapping[str, Floats]], nearest: int
) -> dict[tuple[str, int], Floats]:
    """Of each trace, from the traces of other questions: the kurtosis of the scores that places
    foretell, and that of the own scores over these; shape [2, head of all layers]."""
    longest = max(len(each.steps) for each in traces)
    n_heads = len(own[traces[0].key]["kurtosis"])
    sums: dict[str, Floats] = {}
    counts: dict[str, Floats] = {}
    for each in traces:
        n = len(each.steps)
        mine = sums.setdefault(each.question_id, np.zeros((2, n_heads, longest)))
        pairs = counts.setdefault(each.question_id, np.zeros((2, longest)))
        if n_scored(n, nearest):
            mine[0, :, :n] += own[each.key]["to_first"]
            mine[1, :, :n] += own[each.key]["by_distance"]
            distance = np.arange(nearest + 1, n)
            pairs[0, distance] += 1
            pairs[1, distance] += n - 1 - distance  # as many pairs without the first step
    all_sums = np.sum(list(sums.values()), axis=0)
    all_pairs = np.sum(list(counts.values()), axis=0)
    found = {}
    for question in sums:
        pairs = all_pairs - counts[question]
        known = [int(np.flatnonzero(each).max(initial=-1)) + 1 for each in pairs]
        usable = min(known) > nearest + 1
        means = [
            (all_sums[i] - sums[question][i])[:, : known[i]] / np.maximum(pairs[i, : known[i]], 1)
            for i in range(2)
        ]
        for each in traces:
            if each.question_id == question:
                n = len(each.steps)
                found[each.key] = np.full((2, n_heads), np.nan)
                if usable and n_scored(n, nearest) >= LEAST:
                    foretold = place_scores(means[0], means[1], n, nearest)
                    with np.errstate(invalid="ignore", divide="ignore"):
                        adjusted = own[each.key]["vertical"] / foretold
                    found[each.key] = np.stack([kurtosis(foretold), kurtosis(adjusted)])
    return found


def _by_question(values: Floats, names: NDArray[np.int64]) -> Floats:
    """Means over a question's traces of what is known, [trace, head] to [question, head]."""
    known = ~np.isnan(values)
    n = int(names.max(initial=-1)) + 1
    total, count = np.zeros((2, n, values.shape[1]))
    np.add.at(total, names, np.where(known, values, 0.0))
    np.add.at(count, names, known)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _table(by_question: Mapping[str, Floats], n_layers: int, seed: int) -> pd.DataFrame:
    score = by_question["kurtosis"]
    n_heads = score.shape[1] // n_layers
    ends = [_interval(column, seed) for column in score.T]
    beyond = {
        "permuted": by_question["adjusted"] - by_question["permuted"],
        "position": score - by_question["position"],
    }
    p = [
        max(_above(beyond["permuted"][:, head]), _above(beyond["position"][:, head]))
        for head in range(score.shape[1])
    ]
    corrected = holm([float(each) for each in p])
    halves = _nan_mean(by_question["halves"])
    table = pd.DataFrame(
        {
            "layer": np.repeat(np.arange(1, n_layers + 1), n_heads),
            "head": np.tile(np.arange(n_heads), n_layers),
            "kurtosis": _nan_mean(score),
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "position": _nan_mean(by_question["position"]),
            "adjusted": _nan_mean(by_question["adjusted"]),
            "permuted": _nan_mean(by_question["permuted"]),
        }
    )
    for name, values in beyond.items():
        pairs = [_interval(column, seed) for column in values.T]
        table[f"beyond_{name}"] = _nan_mean(values)
        table[f"beyond_{name}_low"] = [low for low, _ in pairs]
        table[f"beyond_{name}_high"] = [high for _, high in pairs]
    odd, even = (_nan_mean(score[start::2]) for start in (0, 1))
    return table.assign(
        p=p,
        p_holm=corrected,
        receiver=[each <= ALPHA for each in corrected],
        reliability=spearman_brown(np.asarray(halves)),
        kurtosis_odd=odd,
        kurtosis_even=even,
    )


def _interval(values: Floats, seed: int) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not len(known):
        return np.nan, np.nan
    means = resample(len(known), seed=seed) @ known / len(known)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _above(differences: Floats) -> float:
    """One-sided t-test over questions of a mean of at most 0; NaN for too few questions."""
    from scipy.stats import ttest_1samp

    known = differences[~np.isnan(differences)]
    if len(known) < LEAST_QUESTIONS:
        return np.nan
    known = np.where(np.abs(known) < ROUNDING, 0.0, known)
    if np.ptp(known) < ROUNDING:
        return 0.0 if known.mean() > ROUNDING else 1.0
    return float(ttest_1samp(known, 0.0, alternative="greater").pvalue)


def _reliability(score: Floats, seed: int) -> tuple[float, float, float]:
    """Correlation over heads of the mean scores of odd and of even questions, Spearman–Brown, with
    a 95% bootstrap over the questions of each half."""
    known = score[~np.isnan(score).all(axis=1)]
    heads = ~np.isnan(known).any(axis=0)
    halves = [known[start::2][:, heads] for start in (0, 1)]
    if min(len(each) for each in halves) < 2 or heads.sum() < LEAST_QUESTIONS:
        return np.nan, np.nan, np.nan
    own = spearman_brown(correlation(halves[0].mean(axis=0), halves[1].mean(axis=0)))
    drawn = [resample(len(each), seed=seed + i) @ each for i, each in enumerate(halves)]
    values = spearman_brown(correlation(drawn[0], drawn[1]))
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(own), float(low), float(high)


def _nan_mean(values: Floats) -> Floats:
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


# -- tables of traces ------------------------------------------------------------------------------


def steps_table(
    traces: Sequence[StepTrace],
    readings: Mapping[tuple[str, int], Reading],
    n_layers: int,
    nearest: int,
) -> pd.DataFrame:
    """The table `attention_steps`."""
    parts = []
    for each in traces:
        n = n_scored(len(each.steps), nearest)
        if not n:
            continue
        values = shaped(readings[each.key], each, nearest)["vertical"]
        parts.append(_long(each, values.reshape(n_layers, -1, n), list(each.steps)[:n]))
    columns = ["question_id", "sample_index", "layer", "head", "step", "score"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def matrices_table(
    traces: Sequence[StepTrace],
    readings: Mapping[tuple[str, int], Reading],
    n_layers: int,
    nearest: int,
) -> pd.DataFrame:
    """The table `attention_matrices`."""
    columns = ["question_id", "sample_index", "layer", "head", "later", "step", "attention"]
    parts = []
    for each in traces:
        if not each.matrix:
            continue
        numbers = list(each.steps)
        kept = np.array([numbers[place] for place in matrix_steps(each.steps)])
        later, step = np.tril_indices(len(kept))
        values = shaped(readings[each.key], each, nearest)["matrix"]
        flat = values.reshape(n_layers, -1, len(kept), len(kept))[:, :, later, step]
        pairs = _long(each, flat, range(len(step)))
        place = pairs.pop("step").to_numpy()
        parts.append(
            pairs.rename(columns={"score": "attention"}).assign(
                later=kept[later][place], step=kept[step][place]
            )[columns]
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def _long(trace: StepTrace, values: Floats, steps: Sequence[int]) -> pd.DataFrame:
    """Values [layer, head, step] as rows."""
    n_layers, n_heads, n = values.shape
    return pd.DataFrame(
        {
            "question_id": trace.question_id,
            "sample_index": trace.sample_index,
            "layer": np.repeat(np.arange(1, n_layers + 1), n_heads * n),
            "head": np.tile(np.repeat(np.arange(n_heads), n), n_layers),
            "step": np.tile(np.asarray(steps, np.int64), n_layers * n_heads),
            "score": values.reshape(-1),
        }
    )
