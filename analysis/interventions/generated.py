"""Changes of every generated token of one layer, along what tells labels apart.

Steering, ablation and erasure differ in what becomes of a state, and in which way an effect counts.
A direction acts on no question that it was fitted on; it is compared with random directions, and
with what shuffled labels give.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.edits import Change, Edit
from analysis.interventions.cases import Case
from analysis.interventions.contract import Arm, Intervention, Lab, Row
from analysis.interventions.directions import Direction, random_directions

__all__ = ["Compared", "Directed", "directions_of"]


class Compared(NamedTuple):
    """One edit, and what it is compared as."""

    control: str
    """Which control it is; empty for the change itself."""
    draw: int
    """Number of the random direction."""
    strength: float | None
    """Of a step along a direction, in mean norms; None where there is none."""
    edit: Edit
    """What becomes of each state."""


class Directed(Intervention):
    """Extended by interventions that act along a direction."""

    directed = True
    controls = ("random", "shuffled")
    toward_positive: ClassVar[bool] = False
    """Whether an effect is how far the positive label's answer gains; else what the own answer
    loses."""

    def edits(self, direction: Direction, fold: int, lab: Lab) -> Iterator[Compared]:
        """All that is compared, for the questions of a fold."""
        raise NotImplementedError

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        for direction in lab.directions:
            pair = lab.rivals.other_answer(case, direction.labels)
            label = direction.labels.get(case.key)
            if pair is None or label is None or case.question_id not in direction.folds:
                continue
            compared = list(self.edits(direction, direction.folds[case.question_id], lab))
            tokens = range(0, pair.read + 1)
            branches = [
                Branch(changes=(Change(layer=direction.layer, tokens=tokens, edit=one.edit),))
                for one in compared
            ]
            before, after = lab.log_odds(case, branches, [pair] * len(branches))
            sign = 1.0 if self.toward_positive and label else -1.0
            for one, own, changed in zip(compared, before, after, strict=True):
                yield Row(
                    pair=pair,
                    target=direction.target,
                    layer=direction.layer,
                    position="generated",
                    strength=one.strength,
                    control=one.control,
                    draw=one.draw,
                    before=own,
                    after=changed,
                    effect=sign * (changed - own),
                )

    def arms(self, lab: Lab) -> Iterator[Arm]:
        for direction in lab.directions:
            for fold in sorted(set(direction.folds.values())):
                mine = frozenset(name for name, own in direction.folds.items() if own == fold)
                for one in self.edits(direction, fold, lab):
                    yield Arm(
                        target=direction.target,
                        layer=direction.layer,
                        strength=one.strength,
                        control=one.control,
                        draw=one.draw,
                        edit=one.edit,
                        questions=mine,
                    )


def directions_of(
    direction: Direction, fold: int, lab: Lab
) -> Iterator[tuple[str, int, NDArray[np.floating]]]:
    """Control ("" for the direction itself), number and unit vector of all that is compared."""
    yield "", 0, direction.unit[fold]
    if direction.shuffled is not None:
        yield "shuffled", 0, direction.shuffled[fold]
    for draw, vector in enumerate(random_directions(lab.n_random, lab.d_model, lab.seed)):
        yield "random", draw, vector
