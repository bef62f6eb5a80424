"""Ablation: a direction is taken out of the states of every generated token of one layer.

    h ← h − (h·ŵ) ŵ            fill=zero
    h ← h − ((h − m)·ŵ) ŵ      fill=mean: m is the mean state that the direction was fitted on

If the model uses what lies along ŵ, the trace's own answer loses log-odds. Controls: random
directions, and the direction that is fitted on shuffled labels.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.hidden_states.edits import Project
from analysis.interventions.contract import Lab
from analysis.interventions.directions import Direction
from analysis.interventions.generated import Compared, Directed, directions_of
from cot.errors import InputError

__all__ = ["Ablation"]


class Ablation(Directed):
    """Take a direction out of the states of every generated token: how much log-odds the own answer
    loses.

    Args:
        fill: what takes its place: zero, or the mean.
    """

    title = "Ablation"

    def __init__(self, fill: str = "zero") -> None:
        if fill not in ("zero", "mean"):
            raise InputError(f"ablation: fill={fill}: give zero or mean")
        self.fill = fill

    def edits(self, direction: Direction, fold: int, lab: Lab) -> Iterator[Compared]:
        centre = direction.mean[fold] if self.fill == "mean" else None
        for control, draw, vector in directions_of(direction, fold, lab):
            yield Compared(control, draw, None, Project(vector[:, None], vector[None], centre))
