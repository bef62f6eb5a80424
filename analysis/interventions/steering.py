"""Steering: a step along a direction at every generated token of one layer.

    h ← h + c · σ · ŵ

ŵ is a direction that tells the target's labels apart (of a probe that was fitted on other
questions), σ the mean norm of the states that it was fitted on, c the strength, of both signs. If
the model uses the direction, the log-odds of the positive label's answer rise with c. Controls: as
long a step along random directions, and along the direction that is fitted on shuffled labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.edits import Add, Change
from analysis.interventions.cases import Case
from analysis.interventions.contract import Arm, Intervention, Lab, Row
from analysis.interventions.directions import Direction, random_directions

__all__ = ["Steering", "directions_of"]


class Steering(Intervention):
    """Push the states of every generated token along a direction: how far the log-odds of the
    positive label's answer follow, by strength."""

    title = "Steering"
    directed = True
    controls = ("random", "shuffled")

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        for direction in lab.directions:
            pair = lab.rivals.other_answer(case, direction.labels)
            label = direction.labels.get(case.key)
            if pair is None or label is None or case.question_id not in direction.folds:
                continue
            fold = direction.folds[case.question_id]
            sign = 1.0 if label else -1.0
            made = [
                (control, draw, strength, Add(strength * direction.sigma[fold] * vector))
                for control, draw, vector in directions_of(direction, fold, lab)
                for strength in lab.strengths
            ]
            tokens = range(0, pair.read + 1)
            branches = [
                Branch(changes=(Change(layer=direction.layer, tokens=tokens, edit=edit),))
                for *_, edit in made
            ]
            before, after = lab.log_odds(case, branches, [pair] * len(branches))
            for (control, draw, strength, _), own, changed in zip(made, before, after, strict=True):
                yield Row(
                    pair=pair,
                    target=direction.target,
                    layer=direction.layer,
                    position="generated",
                    strength=strength,
                    control=control,
                    draw=draw,
                    before=own,
                    after=changed,
                    effect=sign * (changed - own),
                )

    def arms(self, lab: Lab) -> Iterator[Arm]:
        for direction in lab.directions:
            for fold in sorted(set(direction.folds.values())):
                for control, draw, vector in directions_of(direction, fold, lab):
                    for strength in lab.strengths:
                        yield Arm(
                            target=direction.target,
                            layer=direction.layer,
                            strength=strength,
                            control=control,
                            draw=draw,
                            edit=Add(strength * direction.sigma[fold] * vector),
                            questions=frozenset(
                                name for name, own in direction.folds.items() if own == fold
                            ),
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
