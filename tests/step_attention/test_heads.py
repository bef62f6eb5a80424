"""Receiver heads: planted ones are found, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from analysis.step_attention.heads import Heads, read_heads
from analysis.step_attention.reading import StepSums, StepTrace
from analysis.step_attention.scores import (
    kurtosis,
    n_scored,
    place_scores,
    spearman_brown,
    split_half,
)

PROMPT, SIZE = 4, 3
Head = Callable[[int, int, int, np.random.Generator], NDArray[np.float64]]
"""From later step, steps, the trace's own step and chance to weights of the steps up to it."""


def planted(later: int, n: int, own: int, random: np.random.Generator) -> Any:
    """Looks at the trace's own step from wherever it can."""
    weights = np.full(later + 1, 0.02)
    weights[min(own, later)] += 0.8
    return weights


def uniform(later: int, n: int, own: int, random: np.random.Generator) -> Any:
    return np.ones(later + 1)


def first(later: int, n: int, own: int, random: np.random.Generator) -> Any:
    weights = np.full(later + 1, 0.02)
    weights[0] += 0.8
    return weights * random.uniform(0.9, 1.1, later + 1)


def recent(later: int, n: int, own: int, random: np.random.Generator) -> Any:
    distance = later - np.arange(later + 1)
    return 0.6**distance * random.uniform(0.9, 1.1, later + 1)


def spiky(later: int, n: int, own: int, random: np.random.Generator) -> Any:
    """Each later step looks at a few of its own."""
    return random.pareto(1.5, later + 1) + 0.01


def drifting(later: int, n: int, own: int, random: np.random.Generator) -> Any:
    """Looks at what is near, and each later step also at what it happens to."""
    return 0.9 ** (later - np.arange(later + 1)) * random.lognormal(0, 1, later + 1)


HEADS: Mapping[str, Head] = {
    each.__name__: each for each in (uniform, planted, first, recent, spiky, drifting)
}
"""By their order, the heads of the second layer; those of the first are all uniform."""


def trace_of(question: int, index: int, n: int) -> StepTrace:
    return StepTrace(
        question_id=f"q{question}",
        sample_index=index,
        prompt_ids=list(range(1, PROMPT + 1)),
        token_ids=list(range(n * SIZE)),
        logprobs=None,
        steps={step: range(step * SIZE, (step + 1) * SIZE) for step in range(n)},
        seed=100 * question + index,
        matrix=False,
    )


def weights_of(head: Head, n: int, own: int, random: np.random.Generator) -> Any:
    """[token, key]: each row sums to 1; the prompt takes a tenth."""
    found = np.zeros((n * SIZE, PROMPT + n * SIZE))
    for later in range(n):
        mine = head(later, n, own, random)
        for token in range(later * SIZE, (later + 1) * SIZE):
            found[token, :PROMPT] = 0.1 / PROMPT
            # up to its own token
            spread = np.repeat(mine, SIZE)[: token + 1]
            found[token, PROMPT : PROMPT + token + 1] = 0.9 * spread / spread.sum()
    return found


def heads(
    n_questions: int = 8, n: int = 3, nearest: int = 4, steps: tuple[int, ...] = (12, 14, 16)
) -> Heads:
    traces, readings = [], {}
    for question in range(n_questions):
        for index in range(n):
            trace = trace_of(question, index, steps[(question + index) % len(steps)])
            random = np.random.default_rng([question, index])
            own = int(random.integers(1, len(trace.steps) - nearest - 2))
            sums = StepSums(trace, 2, len(HEADS), nearest)
            for layer, some in enumerate(([uniform] * len(HEADS), HEADS.values())):
                made = [weights_of(each, len(trace.steps), own, random) for each in some]
                sums.add(layer, 0, 0, torch.tensor(np.stack(made), dtype=torch.float32))
            traces.append(trace)
            readings[trace.key] = sums.take(np.nan)
    return read_heads(traces, readings, 2, nearest, seed=0)


@pytest.fixture(scope="module")
def found() -> Heads:
    return heads()


def test_a_head_that_looks_at_one_step_is_the_only_receiver_head(found: Heads) -> None:
    rows = found.table[found.table["receiver"]]
    assert list(zip(rows["layer"], rows["head"], strict=True)) == [(2, 1)]
    row = rows.iloc[0]
    assert row["p_holm"] < 0.05
    assert row["adjusted"] > row["permuted"] + 3
    assert row["kurtosis"] > row["position"] + 3
    assert row["beyond_position_low"] > 0
    assert row["beyond_permuted_low"] > 0
    assert row["reliability"] > 0.95
    assert row["n_questions"] == 8
    assert row["n_traces"] == 24


def test_uniform_attention_gives_none(found: Heads) -> None:
    flat = found.table[found.table["layer"] == 1]
    assert not flat["receiver"].any()
    assert flat["kurtosis"].notna().all()
    # permuting what is alike leaves nothing to compare with
    assert flat["permuted"].isna().all()
    assert flat["p_holm"].isna().all()


def test_a_head_of_the_first_step_is_explained_by_its_place(found: Heads) -> None:
    row = found.table.set_index(["layer", "head"]).loc[(2, 2)]
    assert row["kurtosis"] > 5
    assert row["position"] > 5
    assert abs(row["beyond_position"]) < 0.5
    assert row["adjusted"] < 2
    assert not row["receiver"]


def test_steps_that_single_later_ones_look_at_are_explained_by_permuting(found: Heads) -> None:
    row = found.table.set_index(["layer", "head"]).loc[(2, 4)]
    assert row["beyond_permuted_low"] < 0
    assert row["p"] > 0.05
    assert not row["receiver"]


def test_a_head_that_looks_at_what_is_near_with_noise_is_no_receiver_head(found: Heads) -> None:
    row = found.table.set_index(["layer", "head"]).loc[(2, 5)]
    assert row["beyond_position_low"] > 0  # noise alone gives more kurtosis than a smooth profile
    assert row["p"] > 0.05
    assert not row["receiver"]


def test_scores_of_heads_are_reliable_over_questions(found: Heads) -> None:
    value, low, high = found.reliability
    assert 0.9 < low <= value <= high <= 1


@pytest.mark.slow
def test_short_traces_have_no_receiver_score_and_are_counted() -> None:
    some = heads(steps=(12, 8))
    assert some.n_short == 12  # 8 steps less the nearest four are three scores
    assert some.n_traces == 12
    assert some.table["n_excluded"].eq(12).all()
    none = heads(steps=(8,))
    assert none.n_traces == 0
    assert none.table["kurtosis"].isna().all()
    assert none.table["p_holm"].isna().all()
    assert not none.table["receiver"].any()
    assert heads(steps=(8,), nearest=2).n_traces == 24


def test_one_question_has_no_position_baseline_and_no_test() -> None:
    one = heads(n_questions=1)
    assert one.table["kurtosis"].notna().all()
    assert one.table["position"].isna().all()
    assert one.table["p"].isna().all()


# -- scores ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [4, 7, 30])
def test_kurtosis_of_one_step_that_takes_all_is_the_number_of_steps(n: int) -> None:
    assert kurtosis(np.eye(n)[0]) == pytest.approx(n)


def test_kurtosis_is_that_of_scipy_and_unknown_where_scores_are_few_or_alike() -> None:
    from scipy.stats import kurtosis as expected

    scores = np.random.default_rng(0).exponential(size=(5, 9))
    np.testing.assert_allclose(kurtosis(scores), expected(scores, axis=-1, bias=False))
    assert np.isnan(kurtosis(scores[:, :3])).all()
    assert np.isnan(kurtosis(np.full((2, 6), 0.3))).all()


def test_place_scores_are_means_over_the_distances_that_a_step_is_seen_from() -> None:
    to_first = np.array([0.0, 9.0, 8.0, 7.0])
    by_distance = np.array([0.0, 1.0, 2.0, 3.0])
    scores = place_scores(to_first, by_distance, 4, 0)
    # step 1 is seen from 1 and 2 steps on, step 2 from the next one only
    np.testing.assert_allclose(scores, [8.0, 1.5, 1.0])
    np.testing.assert_allclose(place_scores(to_first, by_distance, 4, 1), [7.5, 2.0])
    # beyond what is known, the last known distance stands
    np.testing.assert_allclose(place_scores(to_first, by_distance, 6, 3), [7.0, 3.0])
    assert place_scores(to_first, by_distance, 4, 5).shape == (0,)


def test_how_many_steps_have_a_score() -> None:
    assert [n_scored(n, 4) for n in (3, 5, 6, 10)] == [0, 0, 1, 5]


def test_halves_are_correlated_where_both_are_known() -> None:
    odd = np.array([1.0, 2.0, 3.0, 4.0, np.nan])
    assert split_half(odd, np.array([2.0, 4.0, 6.0, 8.0, 1.0])) == pytest.approx(1)
    assert np.isnan(split_half(odd[1:], odd[1:]))
    assert np.isnan(split_half(np.ones(6), np.arange(6.0)))


def test_reliability_of_the_whole_lies_between_minus_one_and_one() -> None:
    np.testing.assert_allclose(spearman_brown(np.array([-1.0, 0.0, 0.5, 1.0])), [-1, 0, 2 / 3, 1])
