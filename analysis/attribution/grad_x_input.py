"""Gradient × input: what the log-odds would change, to first order, from a baseline to the input.

    value(token) = Σ_d ∂F/∂x_d (x_d − b_d)        F: log-odds, x: the token's embedding, b: baseline

The baseline is the vocabulary's mean embedding, and not zero as in the textbook form (arXiv
1312.6034, 1412.6815): a norm makes the gradient orthogonal to the state itself, so that with zero
whatever a block reads through a norm vanishes. `baseline=zero` gives the textbook's.
"""

from __future__ import annotations

from analysis.attribution.contract import Attribution, Cost, Lab, Values
from analysis.attribution.parts import Target
from cot.errors import InputError

__all__ = ["BASELINES", "GradXInput"]

BASELINES = ("mean", "zero")


class GradXInput(Attribution):
    """Gradient of the log-odds times what each token's embedding differs from the mean embedding:
    one pass forward and back, first order only."""

    title = "Gradient × input"
    captum = True

    def __init__(self, baseline: str = "mean") -> None:
        if baseline not in BASELINES:
            raise InputError(
                f"grad_x_input: baseline is {baseline!r}: give {' or '.join(BASELINES)}"
            )
        self.baseline = baseline

    def measure(self, target: Target, lab: Lab, seed: int) -> Values:
        import torch
        from captum.attr import Saliency

        forward, embedded = lab.forward(target), lab.embedded(target)
        baseline = lab.baseline(self.baseline).expand_as(embedded)
        gradients = Saliency(forward).attribute(embedded, abs=False)
        with torch.no_grad():
            total, start = float(forward(embedded)), float(forward(baseline))
            tokens = (gradients * (embedded - baseline))[0].double().sum(dim=1).cpu().numpy()
        return Values(parts=target.summed(tokens), total=total, baseline=start, tokens=tokens)

    def cost(self, target: Target, most_steps: int) -> Cost:
        n = len(target.token_ids)
        return Cost(forward=3 * n, backward=n)
