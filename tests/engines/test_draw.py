"""Drawing tokens, against probabilities written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cot.engines import decoding as module
from cot.engines.decoding import draw, penalise, uniform

PROBABILITIES = torch.tensor([0.1, 0.4, 0.05, 0.25, 0.2])


def frequencies(n: int = 4000, **settings: float) -> np.ndarray:
    logits = PROBABILITIES.log().expand(n, -1)
    numbers = [(i + 0.5) / n for i in range(n)]
    asked = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} | settings
    tokens = draw(logits, numbers, **asked)  # type: ignore[arg-type]
    return np.bincount(tokens.numpy(), minlength=5) / n


def test_plain() -> None:
    np.testing.assert_allclose(frequencies(), PROBABILITIES, atol=1e-3)


def test_temperature() -> None:
    expected = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    np.testing.assert_allclose(frequencies(temperature=0.5), expected, atol=1e-3)


def test_greedy() -> None:
    assert frequencies(temperature=0.0)[1] == 1


def test_top_k() -> None:
    np.testing.assert_allclose(frequencies(top_k=2), [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0], atol=1e-3)


@pytest.mark.parametrize("sorted_at_first", [1, 2, 256])
def test_top_p(sorted_at_first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIKELIEST", sorted_at_first)
    expected = [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]
    np.testing.assert_allclose(frequencies(top_p=0.7), expected, atol=1e-3)
    np.testing.assert_allclose(frequencies(top_p=0.01), [0, 1, 0, 0, 0])


def test_top_p_is_taken_of_what_top_k_left() -> None:
    expected = [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0]
    np.testing.assert_allclose(frequencies(top_k=3, top_p=0.75), expected, atol=1e-3)


def test_min_p_keeps_what_is_likely_beside_the_likeliest() -> None:
    expected = [0, 0.4 / 0.85, 0, 0.25 / 0.85, 0.2 / 0.85]  # 0.1 is less than 0.3 x 0.4
    np.testing.assert_allclose(frequencies(min_p=0.3), expected, atol=1e-3)
    np.testing.assert_allclose(frequencies(min_p=1.0), [0, 1, 0, 0, 0])


def test_min_p_is_taken_after_temperature() -> None:
    squares = PROBABILITIES**2  # 0.2 is 0.25 of the likeliest once squared, 0.25 is 0.39
    expected = np.where([False, True, False, True, False], squares, 0)
    found = frequencies(min_p=0.3, temperature=0.5)
    np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-3)


def test_top_p_is_taken_of_what_min_p_left() -> None:
    found = frequencies(min_p=0.3, top_p=0.75)  # 0.4 + 0.25 of 0.85 is more than 0.75; of 1 less
    np.testing.assert_allclose(found, [0, 0.4 / 0.65, 0, 0.25 / 0.65, 0], atol=1e-3)


def test_penalties_by_hand() -> None:
    logits = torch.tensor([[2.0, -2.0, 1.0, 3.0]])
    prompted = torch.tensor([[True, True, False, False]])
    counts = torch.tensor([[0.0, 1.0, 2.0, 0.0]])
    found = penalise(logits, prompted, counts, repetition=2.0, presence=0.5, frequency=0.25)
    np.testing.assert_allclose(found, [[1.0, -4.75, -0.5, 3.0]])
    plain = penalise(logits, prompted, counts, repetition=1.0, presence=0.0, frequency=0.0)
    np.testing.assert_array_equal(plain, logits)


def test_wide_nuclei_draw_as_tokens_sorted_by_probability() -> None:
    """Ties included, which stand in the order of the vocabulary."""
    logits = torch.randn(40, 2000, generator=torch.Generator().manual_seed(0)).mul(4).round() / 4
    numbers = [(i + 0.5) / 40 for i in range(40)]
    found = draw(logits, numbers, temperature=1.0, top_k=0, top_p=0.9)
    for row, token, u in zip(logits, found, numbers, strict=True):
        order = np.argsort(-row.numpy(), kind="stable")
        mass = row.double().softmax(-1).numpy()[order].cumsum()
        last = np.searchsorted(mass, 0.9)
        place = np.searchsorted(mass, u * mass[last], side="right")
        assert last > 256
        assert token == order[min(place, last)]


def test_uniform_numbers_are_uniform_and_unrelated() -> None:
    grid = np.array([[uniform(seed, at) for at in range(200)] for seed in range(200)])
    assert grid.min() >= 0
    assert grid.max() < 1
    assert abs(grid.mean() - 0.5) < 0.01
    assert abs(grid.var() - 1 / 12) < 0.005
    assert abs(np.corrcoef(grid[:-1].ravel(), grid[1:].ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(grid[:, :-1].ravel(), grid[:, 1:].ravel())[0, 1]) < 0.02
    assert uniform(2**63 - 1, 3) != uniform(2**62 - 1, 3)
