"""Shapley values of the steps: what a step adds, averaged over all orders in which they may come.

    value(step) = mean over orders of F(those before it and the step) − F(those before it)

F(S) is the log-odds where the steps outside S are *hidden*: no later token attends to them, with
the mask of a knock-out (`analysis.interventions.knockout`), so that all tokens stay in place.
Prompt and cue are never hidden and get no value. The values sum to F(all) − F(none), exactly.

Of few steps all orders are taken; of more, `samples` orders are drawn (captum's sampling, after
Castro et al. 2009), and a second seed says how far the ranks depend on the draw. A set of steps is
run once a trace, however many orders meet it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import factorial

import numpy as np
from numpy.typing import NDArray

from analysis.attribution.contract import Attribution, Cost, Lab, Values
from analysis.attribution.parts import Target
from cot.errors import InputError

__all__ = ["Shapley", "shapley_values"]

Floats = NDArray[np.float64]
TOGETHER = 16
"""Sets that are asked for at a time."""


class Shapley(Attribution):
    """What each step adds to the log-odds, averaged over orders of the steps; those that have not
    come yet are hidden from all that follows, as in a knock-out."""

    title = "Shapley values"
    captum = True

    def __init__(self, samples: int = 25) -> None:
        if samples < 1:
            raise InputError(f"shapley: samples is {samples}: give 1 or more")
        self.samples = samples

    def measure(self, target: Target, lab: Lab, seed: int) -> Values:
        steps = target.some_steps(lab.most_steps)

        def game(present: NDArray[np.bool_]) -> Floats:
            sets = [
                frozenset(step for step, there in zip(steps, row, strict=True) if not there)
                for row in present
            ]
            return lab.hidden(target, sets)

        some = np.array([[False], [True]]).repeat(len(steps), axis=1)
        if self._all_sets(len(steps)):  # all at once: each call runs the unchanged trace too
            some = np.array(list(product([False, True], repeat=len(steps))))
        worths = game(some)
        none, every = worths[0], worths[-1]
        values = shapley_values(game, len(steps), self.samples, seed) if steps else ()
        return Values(
            parts={step: float(value) for step, value in zip(steps, values, strict=True)},
            total=float(every),
            baseline=float(none),
            sampled=factorial(len(steps)) > self.samples,
        )

    def cost(self, target: Target, most_steps: int) -> Cost:
        steps = target.some_steps(most_steps)
        n, whole = len(steps), len(target.token_ids)
        if not steps:
            return Cost(forward=whole)
        orders = 2 * self.samples  # two seeds
        sets, calls = (
            (2**n, 1) if self._all_sets(n) else (orders * n, 1 + orders * (1 + n // TOGETHER))
        )
        trace = target.pair.read + 1
        hidden = sets * (trace - steps[0].spans[0].stop)
        # the prompt's last token is run with the trace each time
        return Cost(forward=whole + calls * (trace + 1) + hidden)

    def _all_sets(self, n: int) -> bool:
        """Whether all sets of steps are no more than the orders would meet."""
        return bool(2**n <= self.samples * n)


def shapley_values(
    game: Callable[[NDArray[np.bool_]], Floats], n_players: int, n_samples: int, seed: int
) -> Floats:
    """Shapley values of a game, shape [player]: over all orders where they are no more than
    `n_samples`, else over so many that are drawn.

    Args:
        game: sets of players [set, player] to their worth [set].
    """
    import torch
    from captum.attr import ShapleyValues, ShapleyValueSampling

    def worth(present: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(game(present.numpy() > 0.5))

    every = torch.ones(1, n_players, dtype=torch.float64)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        if factorial(n_players) <= n_samples:
            found = ShapleyValues(worth).attribute(every, perturbations_per_eval=TOGETHER)
        else:
            found = ShapleyValueSampling(worth).attribute(
                every, n_samples=n_samples, perturbations_per_eval=TOGETHER
            )
    values: Floats = found[0].double().numpy()
    return values
