"""Every built-in attribution keeps the public contract, and what breaks it is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from analysis.attribution.checking import check_attribution
from analysis.attribution.contract import Attribution, Values
from cot.registry import names


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*names("attributions"), "shapley:samples=1"])
def test_a_built_in_attribution_keeps_the_contract(spec: str) -> None:
    check_attribution(spec)


class Length(Attribution):
    """Share the log-odds out by the number of tokens."""

    def measure(self, target: Any, lab: Any, seed: int) -> Values:
        total = lab.odds(target)
        each = total / len(target.token_ids)
        values = {part: each * part.n_tokens for part in target.parts}
        return Values(parts=values, total=total, baseline=0.0)


class Elsewhere(Length):
    """Gives another total."""

    def measure(self, target: Any, lab: Any, seed: int) -> Values:
        found = super().measure(target, lab, seed)
        return replace(found, total=found.total + 1)


class Undrawn(Length):
    """Depends on the seed, and doesn't say so."""

    def measure(self, target: Any, lab: Any, seed: int) -> Values:
        found = super().measure(target, lab, seed)
        return replace(found, parts=dict.fromkeys(found.parts, seed + 0.0))


def test_one_of_your_own_keeps_it() -> None:
    check_attribution(f"{__name__}:Length")


@pytest.mark.parametrize(
    ("name", "said"), [("Elsewhere", "not the log-odds"), ("Undrawn", "not the same again")]
)
def test_what_breaks_it_is_named(name: str, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_attribution(f"{__name__}:{name}")
