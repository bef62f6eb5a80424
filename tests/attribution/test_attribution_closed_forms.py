"""Each method against a model whose attribution is known on paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from analysis.attribution import load_attribution
from analysis.attribution.contract import Values
from analysis.attribution.grad_x_input import GradXInput
from analysis.attribution.integrated_gradients import IntegratedGradients
from analysis.attribution.occlusion import Occlusion
from analysis.attribution.parts import Part, Target, target_of
from analysis.attribution.shapley import Shapley, shapley_values
from analysis.interventions.cases import Case, Pair
from cot.errors import InputError

WIDTH = 4
RANDOM = np.random.default_rng(3)
PROMPT = [
    Part(name="exemplars", spans=(range(-5, -3),)),
    Part(name="question", spans=(range(-2, -1),)),
    Part(name="instruction", spans=(range(-3, -2), range(-1, 0))),
]


def target(n_steps: int) -> Target:
    """A trace with steps of two tokens, and one token of cue."""
    case = Case(
        question_id="q",
        sample_index=0,
        prompt_ids=tuple(range(5)),
        token_ids=tuple(range(2 * n_steps + 2)),
        answer="A",
        correct=None,
        pre_answer=2 * n_steps,
        steps={step: range(2 * step, 2 * step + 2) for step in range(n_steps)},
        cue=range(2 * n_steps, 2 * n_steps + 1),
    )
    pair = Pair(other=case, read=2 * n_steps, other_read=0, own_token=1, other_token=2)
    return target_of(case, pair, PROMPT)


class Paper:
    """A laboratory whose log-odds are a function on paper."""

    def __init__(
        self,
        function: Callable[[torch.Tensor], torch.Tensor] = lambda x: x.sum((1, 2)),
        worth: Callable[[frozenset[int]], float] = lambda present: 0.0,
        most_steps: int = 0,
    ) -> None:
        self.function, self.worth, self.most_steps = function, worth, most_steps
        self.inputs = torch.from_numpy(RANDOM.normal(size=(1, 32, WIDTH))).float()
        self.mean = torch.from_numpy(RANDOM.normal(size=WIDTH)).float()

    def embedded(self, target: Target) -> torch.Tensor:
        return self.inputs[:, : len(target.token_ids)].clone().requires_grad_()

    def baseline(self, name: str) -> torch.Tensor:
        return self.mean if name == "mean" else torch.zeros(WIDTH)

    def forward(self, target: Target) -> Callable[[torch.Tensor], torch.Tensor]:
        return self.function

    def rows(self, target: Target) -> int:
        return 3

    def odds(self, target: Target) -> float:
        return self.without(target, frozenset())

    def hidden(self, target: Target, sets: Sequence[frozenset[Part]]) -> np.ndarray:
        return np.array([self.without(target, one) for one in sets])

    def without(self, target: Target, parts: frozenset[Part]) -> float:
        gone = {part.step for part in parts}
        return self.worth(frozenset(p.step for p in target.steps if p.step not in gone))


def by_name(values: Values) -> dict[str, float]:
    return {
        part.name if part.step is None else f"step {part.step}": value
        for part, value in values.parts.items()
    }


def test_the_parts_hold_each_token_once():
    one = target(3)
    tokens = sorted(token for part in one.parts for span in part.spans for token in span)
    assert tokens == list(range(-5, 7))
    assert len(one.token_ids) == len(tokens)


@pytest.mark.slow
@pytest.mark.parametrize("method", [GradXInput(), IntegratedGradients()])
@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_a_linear_read_out_gives_weight_times_what_differs_from_the_baseline(method, baseline):
    one = target(2)
    weight = torch.from_numpy(RANDOM.normal(size=(len(one.token_ids), WIDTH))).float()
    lab = Paper(lambda x: (x * weight).sum((1, 2)) + 7)
    found = type(method)(baseline=baseline).measure(one, lab, 0)
    tokens = (weight * (lab.embedded(one)[0] - lab.baseline(baseline))).sum(1).detach().numpy()
    assert found.tokens == pytest.approx(tokens, rel=1e-4, abs=1e-5)
    assert found.gap == pytest.approx(0, abs=1e-4)
    expected = {
        "exemplars": tokens[0] + tokens[1],
        "instruction": tokens[2] + tokens[4],
        "question": tokens[3],
        "step 0": tokens[5] + tokens[6],
        "step 1": tokens[7] + tokens[8],
        "answer_cue": tokens[9],
    }
    assert by_name(found) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_integrated_gradients_of_a_product_halve_it_and_gradient_times_input_misses_its_sum():
    """F = u v with u, v sums of two tokens' coordinates: from zero, each carries half of F; the
    gradient gives each the whole."""
    one = target(1)

    def product(x: torch.Tensor) -> torch.Tensor:
        return x[:, 0].sum(1) * x[:, 1].sum(1)

    lab = Paper(product)
    whole = float(product(lab.inputs))
    found = IntegratedGradients(baseline="zero").measure(one, lab, 0)
    assert found.tokens[:2] == pytest.approx([whole / 2] * 2, rel=1e-4)
    assert found.gap == pytest.approx(0, abs=1e-4)
    other = GradXInput(baseline="zero").measure(one, lab, 0)
    assert other.tokens[:2] == pytest.approx([whole] * 2, rel=1e-4)
    assert other.gap == pytest.approx(-whole, rel=1e-4)


def test_the_gap_is_what_the_values_lack():
    part = PROMPT[0]
    assert Values(parts={part: 2.0}, total=5.0, baseline=1.0).gap == 2.0
    assert Values(parts={part: 2.0}, total=5.0).gap is None


# -- Shapley --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_players", [1, 3, 7])
def test_of_an_additive_game_each_player_gets_what_it_adds(n_players):
    worths = RANDOM.normal(size=n_players)
    found = shapley_values(lambda present: present @ worths + 4, n_players, 25, seed=0)
    assert found == pytest.approx(worths)


def test_of_an_and_game_the_players_share_alike():
    """Worth 6 where players 0, 1 and 2 are all there; the fourth adds nothing."""
    found = shapley_values(lambda present: 6.0 * present[:, :3].all(axis=1), 4, 25, seed=0)
    assert found == pytest.approx([2, 2, 2, 0])


def test_sampled_orders_sum_to_the_whole_and_depend_on_the_seed_alone():
    def game(present: np.ndarray) -> np.ndarray:
        return 6.0 * present[:, :3].all(axis=1)

    one, same, other = (shapley_values(game, 6, 10, seed) for seed in (1, 1, 3))
    assert one.sum() == pytest.approx(6)
    assert one[3:] == pytest.approx([0, 0, 0])
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()
    before = torch.random.get_rng_state()
    shapley_values(game, 6, 10, 3)
    assert torch.equal(before, torch.random.get_rng_state())  # others' draws are left alone


def test_shapley_values_of_steps_sum_to_what_all_of_them_change():
    lab = Paper(worth=lambda present: 1.0 + 3 * (0 in present) + 2 * ({1, 2} <= present))
    found = Shapley().measure(target(4), lab, 0)
    assert by_name(found) == pytest.approx({"step 0": 3, "step 1": 1, "step 2": 1, "step 3": 0})
    assert (found.total, found.baseline, found.sampled) == (6.0, 1.0, False)
    assert found.gap == pytest.approx(0)
    assert Shapley().measure(target(5), lab, 0).sampled  # 120 orders


def test_a_trace_without_steps_has_no_shapley_values():
    found = Shapley().measure(target(0), Paper(worth=lambda present: 2.0), 0)
    assert (found.parts, found.total, found.baseline) == ({}, 2.0, 2.0)


def test_steps_beyond_the_budget_get_no_value():
    lab = Paper(worth=lambda present: 1.0 * len(present), most_steps=3)
    for method in (Shapley(), Occlusion()):
        steps = [part.step for part in method.measure(target(9), lab, 0).parts if part.step]
        assert len(steps) <= 3


# -- occlusion ------------------------------------------------------------------------------------


def test_occlusion_is_what_the_log_odds_lose_without_the_part():
    lab = Paper(worth=lambda present: 1.0 + 3 * (0 in present) + 2 * bool({1, 2} & present))
    found = Occlusion().measure(target(3), lab, 0)
    expected = {"exemplars": 0, "question": 0, "instruction": 0, "step 0": 3}
    # either of the two does: neither is missed alone
    assert by_name(found) == expected | {"step 1": 0, "step 2": 0}
    assert found.gap is None


# -- names ----------------------------------------------------------------------------------------


def test_an_attribution_takes_its_parameters_and_refuses_others():
    assert load_attribution("integrated_gradients:steps=64").about()["steps"] == 64
    with pytest.raises(InputError, match="steps is 2: give 8 or more"):
        load_attribution("integrated_gradients:steps=2")
    with pytest.raises(InputError, match="baseline is 'blank': give mean or zero"):
        load_attribution("grad_x_input:baseline=blank")
    with pytest.raises(InputError, match="samples is 0"):
        load_attribution("shapley:samples=0")
    with pytest.raises(InputError, match="unknown attribution 'lime': choose from grad_x_input"):
        load_attribution("lime")
    with pytest.raises(InputError, match="is no attribution"):
        load_attribution("analysis.interventions.knockout:Knockout")
