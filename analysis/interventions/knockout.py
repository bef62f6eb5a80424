"""Knock-out: a step is hidden from everything after it, by masking attention in all layers.

No token after the step attends to it; the step's own tokens see themselves and one another. Two
things are read. The *answer*: what the own answer loses in log-odds. The *later steps*: the mean
over their tokens of KL(unchanged ‖ changed), where a token's prediction is read at the token before
it. The masking is that of arXiv 2506.19143, which hides the step from itself too, and reads logits
that are not shifted; both are traps.

Controls: a random span of as many tokens, one after another, of the other steps before the
answer's; and the same step in other words, in the question's other traces (`importance.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from analysis.hidden_states.changed_pass import Branch
from analysis.interventions.cases import Case
from analysis.interventions.contract import Intervention, Lab, Profile, Row
from cot.sampling.sampler import trace_seed

__all__ = ["Knockout"]


class Knockout(Intervention):
    """Hide a step from everything that follows it: how much log-odds the own answer loses, and how
    far the later steps' predictions move."""

    title = "Knock-out"
    controls = ("random_span",)

    def measure(self, case: Case, lab: Lab) -> Iterator[Row | Profile]:
        pair = lab.rivals.other_answer(case)
        steps = case.some_steps(lab.most_steps)
        if pair is None or not steps:
            return
        seed = trace_seed(lab.seed, case.question_id, case.sample_index, "knockout")
        spans = {step: other_span(case.steps, step, seed) for step in steps}
        made = [("", step, tokens) for step, tokens in steps.items()]
        made += [("random_span", step, span) for step, span in spans.items() if span]
        branches = [Branch(hidden=[tokens]) for *_, tokens in made]
        last = pair.read + 1  # the token that decides: its prediction is read
        first = min(tokens.stop for tokens in steps.values())
        before, after, kl = lab.divergence(case, branches, pair, range(first, last + 1))
        moved = {(control, step): row for (control, step, _), row in zip(made, kl, strict=True)}
        lost: dict[tuple[str, int], float] = {}
        for (control, step, _), own, changed in zip(made, before, after, strict=True):
            lost[control, step] = float(own - changed)
            yield Row(
                pair=pair,
                position="step",
                step=step,
                control=control,
                before=own,
                after=changed,
                effect=own - changed,
            )
        for step, tokens in steps.items():
            own, like = moved["", step], moved.get(("random_span", step))
            later = {n: each for n, each in case.steps.items() if each.start >= tokens.stop}
            for number, where in [*later.items(), (None, range(last, last + 1))]:
                places = slice(where.start - first, where.stop - first)
                yield Profile(
                    step=step,
                    later=number,
                    kl=float(own[places].mean()),
                    control_kl=None if like is None else float(like[places].mean()),
                    effect=lost["", step] if number is None else None,
                    control_effect=lost.get(("random_span", step)) if number is None else None,
                    n_tokens=len(where),
                )


def other_span(steps: Mapping[int, range], step: int, seed: int) -> range | None:
    """As many tokens as the step has, one after another, among the other steps; None where there is
    no room for them.

    >>> other_span({0: range(0, 2), 1: range(2, 4)}, 1, seed=0)
    range(0, 2)
    """
    size = len(steps[step])
    taken = set(steps[step])
    free = sorted(token for tokens in steps.values() for token in tokens if token not in taken)
    starts = [
        start
        for place, start in enumerate(free[: max(0, len(free) - size + 1)])
        if free[place + size - 1] == start + size - 1
    ]
    if not starts:
        return None
    start = int(np.random.default_rng([seed, step]).choice(starts))
    return range(start, start + size)
