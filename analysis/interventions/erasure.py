"""Erasure: all that a linear probe can read of a label is taken out of every generated token.

LEACE (arXiv 2306.03819; see leace.py) is fitted on other questions' states and labels, and applied
to one layer. If the model uses what tells the labels apart, the trace's own answer loses log-odds.
That the label is gone is shown beside it: the probe's AUROC on held-out questions, before and
after. Controls: random subspaces of the same rank, and the eraser of shuffled labels.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.interventions.contract import Lab
from analysis.interventions.directions import Direction, random_directions
from analysis.interventions.generated import Compared, Directed
from analysis.interventions.leace import take_out
from cot.errors import InputError

__all__ = ["Erasure"]


class Erasure(Directed):
    """Erase what tells the labels apart from the states of every generated token: how much log-odds
    the own answer loses."""

    title = "Erasure"

    def edits(self, direction: Direction, fold: int, lab: Lab) -> Iterator[Compared]:
        if direction.eraser is None:
            raise InputError(
                f"{direction.source}: a direction from a file has no eraser: give the target or "
                "labels that it is fitted on instead"
            )
        yield Compared("", 0, None, direction.eraser[fold])
        if direction.shuffled_eraser is not None:
            yield Compared("shuffled", 0, None, direction.shuffled_eraser[fold])
        for draw, vector in enumerate(random_directions(lab.n_random, lab.d_model, lab.seed)):
            # as the eraser does, to the mean state: what is fitted stays where it is on average
            yield Compared("random", draw, None, take_out(vector[None], direction.mean[fold]))
