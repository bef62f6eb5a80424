"""Activation patching: a state of another trace in the place of the trace's own.

The receiver's state after block k, at one token, becomes the donor's at the aligned token, and the
receiver is run on. The donor is a trace of the *same question with another answer*: what moves the
log-odds then is what differs between the two in that one state. The log-odds, not a probability,
and real traces, not noise (arXiv 2309.16042); a sweep over layers and positions as in arXiv
2202.05262.

    recovered share = (before − after) / (before − donor's own log-odds)

Aligned are: the prompt's end; the end of the step of the same number; the place where the answers
part. Controls: a donor of the same question and answer, and a trace of another question.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.edits import Change, Put
from analysis.interventions.cases import Case, Pair
from analysis.interventions.contract import Intervention, Lab, Row

__all__ = ["Patching"]

Place = tuple[str, int | None, int, int]
"""Position, step, the receiver's token and the donor's."""


class Patching(Intervention):
    """Put a donor's state in the place of the trace's own, at one layer and token: how much of the
    way to the donor's answer the log-odds go."""

    title = "Patching"
    controls = ("same_answer", "other_question")
    share = True
    trivial = True

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        pair = lab.rivals.other_answer(case)
        if pair is None:
            return
        donors = {
            "": pair.other,
            "same_answer": lab.rivals.same_answer(case),
            "other_question": lab.rivals.other_question(case),
        }
        made: list[tuple[str, Place, int]] = []
        branches = []
        for control, donor in donors.items():
            if donor is None:
                continue
            for place in _places(case, donor, pair, lab):
                for layer in lab.layers:
                    put = Put(lab.states(donor, layer, [place[3]]))
                    change = Change(layer=layer, tokens=range(place[2], place[2] + 1), edit=put)
                    branches.append(Branch(changes=(change,)))
                    made.append((control, place, layer))
        before, after = lab.log_odds(case, branches, [pair] * len(branches))
        goal = lab.donor_odds(pair.other, pair.other_read, pair)
        for (control, place, layer), own, changed in zip(made, before, after, strict=True):
            yield Row(
                pair=pair,
                measure="toward_donor",
                layer=layer,
                position=place[0],
                step=place[1],
                control=control,
                before=own,
                after=changed,
                effect=own - changed,
                gap=own - goal,
            )


def _places(case: Case, donor: Case, pair: Pair, lab: Lab) -> Iterator[Place]:
    """Where receiver and donor are alike."""
    if "prompt_end" in lab.positions:
        yield "prompt_end", None, -1, -1
    if "step_end" in lab.positions:
        theirs = donor.some_steps(0)
        for step, tokens in case.some_steps(lab.most_steps).items():
            if step in theirs:
                yield "step_end", step, tokens.stop - 1, theirs[step].stop - 1
    if "pre_answer" in lab.positions:
        # after what both answers begin with; a trace of another question has nothing of it
        begun = case.token_ids[case.pre_answer + 1 : pair.read + 1]
        like = donor.token_ids[donor.pre_answer + 1 :][: len(begun)] == begun
        yield "pre_answer", None, pair.read, donor.pre_answer + (len(begun) if like else 0)
