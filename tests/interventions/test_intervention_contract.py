"""Every built-in intervention keeps the public contract, and what breaks it is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from analysis.hidden_states.changed_pass import Branch
from analysis.hidden_states.edits import Change, Put
from analysis.interventions.cases import Case
from analysis.interventions.checking import check_intervention
from analysis.interventions.contract import Intervention, Lab, Row
from cot.registry import names

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("spec", [*names("interventions"), "ablation:fill=mean"])
def test_a_built_in_intervention_keeps_the_contract(spec: str) -> None:
    check_intervention(spec)


class Silence(Intervention):
    """Set the state before the answer to zero."""

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        if (pair := lab.rivals.other_answer(case)) is None:
            return
        zero = Put(np.zeros((1, lab.d_model)))
        here = range(pair.read, pair.read + 1)
        branches = [Branch(changes=(Change(layer=k, tokens=here, edit=zero),)) for k in lab.layers]
        before, after = lab.log_odds(case, branches, [pair] * len(branches))
        for layer, own, changed in zip(lab.layers, before, after, strict=True):
            yield Row(
                pair=pair,
                layer=layer,
                position="pre_answer",
                before=own,
                after=changed,
                effect=own - changed,
            )


class Unnamed(Silence):
    """Has a control that it doesn't name."""

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        for row in super().measure(case, lab):
            yield row
            yield replace(row, control="mine")


class Misread(Silence):
    """Says another log-odds than the unchanged one."""

    def measure(self, case: Case, lab: Lab) -> Iterator[Row]:
        for row in super().measure(case, lab):
            yield replace(row, before=row.before + 1)


def test_one_of_your_own_keeps_it() -> None:
    check_intervention(f"{__name__}:Silence")


@pytest.mark.parametrize(
    ("name", "said"), [("Unnamed", "no named control"), ("Misread", "not the unchanged log-odds")]
)
def test_what_breaks_it_is_named(name: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_intervention(f"{__name__}:{name}")
