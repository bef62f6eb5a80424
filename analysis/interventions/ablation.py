"""Ablation: a direction is taken out of the states of every generated token of one layer.

    h ← h − (h·ŵ) ŵ            fill=zero
    h ← h − ((h − m)·ŵ) ŵ      fill=mean: m is the mean state that the direction was fitted on

If the model uses what lies along ŵ, the trace's own answer loses log-odds. Controls: random
directions, and the direction that is fitted on shuffled labels.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.edits import Change, Project
from analysis.interventions.cases import Case
from analysis.interventions.contract import Arm, Intervention, Lab, Row
from analysis.interventions.directions import Direction
from analysis.interventions.steering import directions_of
from cot.errors import InputError

__all__ = ["Ablation"]


class Ablation(Intervention):
    """Take a direction out of the states of every generated token: how much log-odds the own answer
    loses.

    Args:
        fill: what takes its place: zero, or the mean.
    """

    title = "Ablation"
    directed = True
    controls = ("random", "shuffled")

    def __init__(self, fill: str = "zero") -> None:
        if fill not in ("zero", "mean"):
            raise InputError(f"ablation: fill={fill}: give zero or mean")
        self.fill = fill

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        for direction in lab.directions:
            pair = lab.rivals.other_answer(case, direction.labels)
            if pair is None or case.question_id not in direction.folds:
                continue
            fold = direction.folds[case.question_id]
            made = list(self._edits(direction, fold, lab))
            tokens = range(0, pair.read + 1)
            branches = [
                Branch(changes=(Change(layer=direction.layer, tokens=tokens, edit=edit),))
                for *_, edit in made
            ]
            before, after = lab.log_odds(case, branches, [pair] * len(branches))
            for (control, draw, _), own, changed in zip(made, before, after, strict=True):
                yield Row(
                    pair=pair,
                    target=direction.target,
                    layer=direction.layer,
                    position="generated",
                    control=control,
                    draw=draw,
                    before=own,
                    after=changed,
                    effect=own - changed,
                )

    def arms(self, lab: Lab) -> Iterator[Arm]:
        for direction in lab.directions:
            for fold in sorted(set(direction.folds.values())):
                for control, draw, edit in self._edits(direction, fold, lab):
                    yield Arm(
                        target=direction.target,
                        layer=direction.layer,
                        strength=None,
                        control=control,
                        draw=draw,
                        edit=edit,
                        questions=frozenset(
                            name for name, own in direction.folds.items() if own == fold
                        ),
                    )

    def _edits(
        self, direction: Direction, fold: int, lab: Lab
    ) -> Iterator[tuple[str, int, Project]]:
        centre = direction.mean[fold] if self.fill == "mean" else None
        for control, draw, vector in directions_of(direction, fold, lab):
            yield control, draw, Project(vector[:, None], vector[None], centre)
