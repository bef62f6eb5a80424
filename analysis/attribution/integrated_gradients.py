"""Integrated gradients: the gradient averaged along the straight line from a baseline to the input.

    value(token) = Σ_d (x_d − b_d) ∫₀¹ ∂F/∂x_d (b + α (x − b)) dα            arXiv 1703.01365

The values sum to F(x) − F(b), up to the error of the integral, which is taken at `steps` points of
a Gauss–Legendre rule (captum). That error is the completeness gap, and stands beside the values: a
large one says that more points are needed: on a language model the line is rough, and a gap as
large as the whole is met at few points. All tokens move together from the vocabulary's mean
embedding, of prompt and trace alike.
"""

from __future__ import annotations

from analysis.attribution.contract import Attribution, Cost, Lab, Values
from analysis.attribution.grad_x_input import BASELINES
from analysis.attribution.parts import Target
from cot.errors import InputError

__all__ = ["IntegratedGradients"]

LEAST = 8


class IntegratedGradients(Attribution):
    """Gradients of the log-odds, averaged from the mean embedding to each token's own: its values
    sum to what the tokens change, up to a gap. Costs as many passes forward and back as it has
    steps."""

    title = "Integrated gradients"
    captum = True

    def __init__(self, steps: int = 32, baseline: str = "mean") -> None:
        if steps < LEAST:
            raise InputError(f"integrated_gradients: steps is {steps}: give {LEAST} or more")
        if baseline not in BASELINES:
            raise InputError(
                f"integrated_gradients: baseline is {baseline!r}: give {' or '.join(BASELINES)}"
            )
        self.steps, self.baseline = steps, baseline

    def measure(self, target: Target, lab: Lab, seed: int) -> Values:
        import torch
        from captum.attr import IntegratedGradients as Integral

        forward, embedded = lab.forward(target), lab.embedded(target)
        baseline = lab.baseline(self.baseline).expand_as(embedded).contiguous()
        values = Integral(forward).attribute(
            embedded, baseline, n_steps=self.steps, internal_batch_size=lab.rows(target)
        )
        with torch.no_grad():
            total, start = float(forward(embedded)), float(forward(baseline))
            tokens = values[0].double().sum(dim=1).cpu().numpy()
        return Values(parts=target.summed(tokens), total=total, baseline=start, tokens=tokens)

    def cost(self, target: Target, most_steps: int) -> Cost:
        n = len(target.token_ids)
        return Cost(forward=(self.steps + 2) * n, backward=self.steps * n)
