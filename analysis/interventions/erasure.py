"""Erasure: all that a linear probe can read of a label is taken out of every generated token.

LEACE (arXiv 2306.03819; see leace.py) is fitted on other questions' states and labels, and applied
to one layer. If the model uses what tells the labels apart, the trace's own answer loses log-odds.
That the label is gone is shown beside it: the probe's AUROC on held-out questions, before and
after. Controls: random subspaces of the same rank, and the eraser of shuffled labels.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.edits import Change, Project
from analysis.interventions.cases import Case
from analysis.interventions.contract import Arm, Intervention, Lab, Row
from analysis.interventions.directions import Direction, random_directions
from analysis.interventions.leace import take_out
from cot.errors import InputError

__all__ = ["Erasure"]


class Erasure(Intervention):
    """Erase what tells the labels apart from the states of every generated token: how much log-odds
    the own answer loses."""

    title = "Erasure"
    directed = True
    controls = ("random", "shuffled")

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        for direction in lab.directions:
            pair = lab.rivals.other_answer(case, direction.labels)
            if pair is None or case.question_id not in direction.folds:
                continue
            made = list(_edits(direction, direction.folds[case.question_id], lab))
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
                for control, draw, edit in _edits(direction, fold, lab):
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


def _edits(direction: Direction, fold: int, lab: Lab) -> Iterator[tuple[str, int, Project]]:
    """Control ("" for the eraser itself), number and edit of all that is compared."""
    if direction.eraser is None:
        raise InputError(
            f"{direction.source}: a direction from a file has no eraser: give the target or labels "
            "that it is fitted on instead"
        )
    yield "", 0, direction.eraser[fold]
    if direction.shuffled_eraser is not None:
        yield "shuffled", 0, direction.shuffled_eraser[fold]
    for draw, vector in enumerate(random_directions(lab.n_random, lab.d_model, lab.seed)):
        # as the eraser does, to the mean state: what is fitted is left where it is on average
        yield "random", draw, take_out(vector[None], direction.mean[fold])
