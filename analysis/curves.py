"""Accuracy against the number of samples: what a vote over n traces would be worth.

The value at n is the expected accuracy over random n-subsets, drawn without replacement from a
question's N stored traces. It is exact at n = 1 (the mean single trace) and at n = N (the vote
itself); in between it is the mean over seeded subsets, in each of which a tie earns its expected
credit: 1 / (number of tied answers) if gold is among them. Traces without a valid answer stay in
the subset and don't vote. With `order="file"` the first n traces vote, and a tie falls to the
lowest sample_index.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.findings import mean_finding
from analysis.prerequisites import need
from analysis.voting import Weigher, ballots_of
from analysis.voting.tally import TIE
from cot.errors import InputError
from cot.registry import find
from cot.run import Run

__all__ = ["curve", "expected_accuracy"]

log = logging.getLogger("cot")
Floats = NDArray[np.float64]


def curve(
    run: Run,
    rules: Sequence[str] = ("majority",),
    n: Sequence[int] | None = None,
    order: str = "random",
    subsets: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Expected accuracy at each n; writes and returns the table `curve`.

    Columns: rule, n, accuracy, low, high (95%, bootstrap over questions), n_questions, n_excluded
    (questions with gold but fewer than n traces), method, seed.

    Args:
        rules: names of vote rules.
        n: sample counts; by default 1, 2, 3, 5, 8, 12, 16, 24, 32, 40, ... up to all.
        order: `random` subsets, or the first n in `file` order.
        subsets: drawn a question, at least 200.
        seed: of subsets and bootstrap.

    Raises:
        InputError: an unknown rule or order, an n below 1 or above every question's traces.
    """
    if order not in ("random", "file"):
        raise InputError(f"unknown order {order!r}: choose from random, file")
    if subsets < 200:
        raise InputError(f"subsets is {subsets}: at least 200 are needed for a steady estimate")
    answers = need(run, "answers")
    with_gold = answers[answers["correct"].notna()]
    sizes = with_gold.groupby("question_id").size()
    most = int(sizes.max()) if len(sizes) else 0
    if not most:
        raise InputError(f"{run.path}: no question has gold, so that there is no accuracy to draw")
    counts = _default_counts(most) if n is None else sorted(set(n))
    if counts[0] < 1 or counts[-1] > most:
        raise InputError(f"n must lie between 1 and {most}, the most traces of a question")
    rows = []
    for rule in rules:
        values = _per_question(with_gold, find("votes", rule), counts, order, subsets, seed)
        for count in counts:
            known = values[count].dropna()
            exact = order == "file" or (count == 1 or (sizes == count).all())
            how = "exact" if exact else f"mean of {subsets} subsets"
            finding = mean_finding(
                rule,
                known,
                n_traces=int(sizes.reindex(known.index).sum()),
                n_excluded=len(values) - len(known),
                method=f"{how}, {order} order",
                seed=seed,
            )
            rows.append(
                {
                    "rule": rule,
                    "n": count,
                    "accuracy": finding.estimate,
                    "low": finding.low,
                    "high": finding.high,
                    "n_questions": finding.n_questions,
                    "n_excluded": finding.n_excluded,
                    "method": finding.method,
                    "seed": seed,
                }
            )
    frame = pd.DataFrame(rows)
    run.write_table(
        "curve",
        frame,
        command="curve",
        parameters={
            "rules": list(rules),
            "n": None if n is None else list(n),
            "order": order,
            "subsets": subsets,
            "seed": seed,
        },
        inputs=["answers"],
    )
    return frame


def _default_counts(most: int) -> list[int]:
    usual = [1, 2, 3, 5, 8, 12, 16, 24, 32, 40, 64, 100, 200, 500, 1000]
    return sorted({count for count in usual if count < most} | {most})


def _per_question(
    answers: pd.DataFrame,
    weigh: Weigher,
    counts: Sequence[int],
    order: str,
    subsets: int,
    seed: int,
) -> pd.DataFrame:
    """Expected accuracy by question (rows) and n (columns); NaN where it has fewer traces."""
    ballots = ballots_of(answers)
    weights = pd.Series(0.0, index=answers.index)
    weights[ballots.index] = weigh(ballots)
    table = {}
    for index, (question_id, rows) in enumerate(answers.groupby("question_id", sort=False)):
        rows = rows.sort_values("sample_index")
        classes = pd.factorize(rows["answer"])[0]  # -1: no valid answer
        classes[rows["status"].to_numpy() != "ok"] = -1
        right = rows["correct"].to_numpy(dtype=bool)
        gold = int(classes[right][0]) if right.any() else None
        generator = np.random.default_rng([seed, index])
        table[question_id] = expected_accuracy(
            classes, weights[rows.index].to_numpy(), gold, counts, order, subsets, generator
        )
    return pd.DataFrame.from_dict(table, orient="index", columns=list(counts))


def expected_accuracy(
    classes: NDArray[np.int64],
    weights: Floats,
    gold: int | None,
    counts: Sequence[int],
    order: str,
    subsets: int,
    generator: np.random.Generator,
) -> Floats:
    """One question's expected accuracy at each n, shape [n]; NaN where n exceeds its traces.

    Args:
        classes: answer class of each trace in order of sample_index, -1 for none, shape [trace].
        weights: of each trace, shape [trace].
        gold: the class that is right, or None if no trace has it.
    """
    total = len(classes)
    values = np.full(len(counts), np.nan)
    if gold is None:
        values[np.asarray(counts) <= total] = 0.0
        return values
    ballots = np.zeros((total, int(classes.max()) + 1))
    present = np.zeros_like(ballots)
    valid = classes >= 0
    present[valid, classes[valid]] = 1.0
    ballots[valid, classes[valid]] = weights[valid]
    identity = np.arange(total)[None]
    shuffled = generator.permuted(np.repeat(identity, subsets, axis=0), axis=1)
    for place, count in enumerate(counts):
        if count > total:
            continue
        if count == 1:
            chosen = classes if order == "random" else classes[:1]
            values[place] = float((chosen == gold).mean())
        elif order == "file" or count == total:
            values[place] = _file_order(classes[:count], ballots[:count], gold)
        else:
            drawn = shuffled[:, :count]
            sums = ballots[drawn].sum(axis=1)
            weightless = sums.max(axis=1) <= 0  # then all answers in the subset weigh the same
            sums[weightless] = present[drawn[weightless]].any(axis=1)
            top = sums.max(axis=1, keepdims=True)
            tied = (sums >= top * (1 - TIE)) & (top > 0)
            values[place] = float((tied[:, gold] / np.maximum(tied.sum(axis=1), 1)).mean())
    return values


def _file_order(classes: NDArray[np.int64], ballots: Floats, gold: int) -> float:
    """1 if the vote over these traces is right; a tie falls to the class that comes first."""
    sums = ballots.sum(axis=0)
    tied = np.flatnonzero(sums >= sums.max() * (1 - TIE))
    if sums.max() <= 0:
        tied = np.unique(classes[classes >= 0])
    winners = [int(label) for label in classes if label in tied]
    return float(bool(winners) and winners[0] == gold)
