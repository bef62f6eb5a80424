"""Steering: a step along a direction at every generated token of one layer.

    h ← h + c · σ · ŵ

ŵ is a direction that tells the target's labels apart (of a probe that was fitted on other
questions), σ the mean norm of the states that it was fitted on, c the strength, of both signs. If
the model uses the direction, the log-odds of the positive label's answer rise with c. Controls: as
long a step along random directions, and along the direction that is fitted on shuffled labels.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.hidden_states.edits import Add
from analysis.interventions.contract import Lab
from analysis.interventions.directions import Direction
from analysis.interventions.generated import Compared, Directed, directions_of

__all__ = ["Steering"]


class Steering(Directed):
    """Push the states of every generated token along a direction: how far the log-odds of the
    positive label's answer follow, by strength."""

    title = "Steering"
    toward_positive = True

    def edits(self, direction: Direction, fold: int, lab: Lab) -> Iterator[Compared]:
        for control, draw, vector in directions_of(direction, fold, lab):
            for strength in lab.strengths:
                step = Add(strength * direction.sigma[fold] * vector)
                yield Compared(control, draw, strength, step)
