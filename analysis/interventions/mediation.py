"""Mediation: does the reasoning move the answer through the states at its cue?

The same cue ("The answer is") is run after the reasoning and right after the prompt. What the
reasoning does to the log-odds in all is split at the states of the cue's tokens after block k:

    total      Y(reasoning) − Y(direct)
    indirect   Y(direct, with the cue's states of the reasoning) − Y(direct)
    direct     Y(reasoning, with the cue's states of the direct pass) − Y(direct)

with Y = log P(own answer) − log P(other answer). Early in the model the cue's states hold little
yet, and what comes from the reasoning comes later by attention (direct); late, all of it is there
(indirect). Causal mediation of chains of thought: arXiv 2602.03994, 2604.23351. Control: the cue's
states after another question's reasoning of like length.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.edits import Change, Put
from analysis.interventions.cases import Case
from analysis.interventions.contract import Intervention, Lab, Row

__all__ = ["Mediation"]


class Mediation(Intervention):
    """Exchange the states of the answer's cue between a pass with the reasoning and one without it:
    how much of the reasoning's effect goes through them."""

    title = "Mediation"
    controls = ("other_question",)
    share = True
    trivial = True

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        pair = lab.rivals.other_answer(case)
        if pair is None or not case.cue or case.cue.start == 0:
            return
        tokens = range(case.cue.start, pair.read + 1)
        other = lab.rivals.other_question(case)
        into_direct, into_trace = [], []
        made = []
        for layer in lab.layers:
            sources = {"": lab.states(case, layer, tokens)}
            if other is not None and len(other.cue) >= len(case.cue):
                # the other trace's cue, aligned at its end; what follows is the own answer's
                end = other.pre_answer + 1 + pair.shared
                place = range(end - len(tokens), end)
                sources["other_question"] = lab.states(other, layer, place)
            for control, states in sources.items():
                change = Change(layer=layer, tokens=tokens, edit=Put(states))
                into_direct.append(Branch(changes=(change,)))
                made.append((control, layer))
            back = Put(lab.direct_states(case, layer, tokens))
            change = Change(layer=layer, tokens=tokens, edit=back)
            into_trace.append(Branch(changes=(change,)))
        direct, mediated = lab.log_odds(case, into_direct, [pair] * len(into_direct), direct=True)
        whole, without = lab.log_odds(case, into_trace, [pair] * len(into_trace))
        alone, total = float(direct[0]), float(whole[0] - direct[0])
        yield Row(
            pair=pair,
            measure="total",
            position="cue",
            before=alone,
            after=float(whole[0]),
            effect=total,
            gap=total,
        )
        found = [("indirect", *each, after) for each, after in zip(made, mediated, strict=True)]
        found += [
            ("direct", "", layer, after) for layer, after in zip(lab.layers, without, strict=True)
        ]
        for measure, control, layer, after in found:
            yield Row(
                pair=pair,
                measure=measure,
                layer=layer,
                position="cue",
                control=control,
                before=alone,
                after=float(after),
                effect=float(after) - alone,
                gap=total,
            )
