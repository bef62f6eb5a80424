"""The gap between right and wrong trajectories: found when planted, and not when not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from analysis.state_geometry import trajectories
from analysis.state_geometry.trajectories import trajectory_gap

WIDTH = 16


@pytest.fixture(autouse=True)
def _few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectories, "SHUFFLES", 99)


def ways(*, more_if_wrong: float = 0.0, seed: int = 0) -> tuple[pd.DataFrame, NDArray[Any]]:
    """30 questions of 8 traces of 2 or 3 steps; states are noise about their question's."""
    random = np.random.default_rng(seed)
    rows, states = [], []
    for question in range(30):
        own = random.normal(size=WIDTH)
        for trace in range(8):
            right = bool(random.random() < 0.5)
            n_steps = 2 + int(random.random() < 0.5 + (0 if right else more_if_wrong))
            for step in range(n_steps):
                rows.append((f"q{question}", trace, step, right, n_steps))
                states.append(own + random.normal(size=WIDTH))
    columns = ["question_id", "sample_index", "step", "right", "n_steps"]
    return pd.DataFrame(rows, columns=columns), np.array(states)


@pytest.mark.slow
def test_nothing_planted_nothing_found() -> None:
    found = [trajectory_gap(*ways(seed=seed)) for seed in range(8)]
    assert abs(np.mean([each.value for each in found])) < 0.02
    assert min(each.value for each in found) < 0
    assert sum(each.p <= 0.05 for each in found) <= 2
    assert all(abs(each.null_mean) < 0.02 for each in found)


def test_a_direction_is_found_in_its_size() -> None:
    points, states = ways()
    states[:, 3] += np.where(points["right"], 2.0, 0.0)
    found = trajectory_gap(points, states)
    # squared distance 4; spread: noise WIDTH and the direction's 4 × 1/4, of 7 in 8
    assert found.value == pytest.approx(4 / (7 / 8 * (WIDTH + 1)), rel=0.15)
    assert found.low > 0
    assert found.p == 0.01
    assert found.value > found.null_high
    assert found.n_questions <= 30


@pytest.mark.slow
def test_questions_that_differ_each_its_own_way_have_no_common_one() -> None:
    covered = 0
    for seed in range(6):
        points, states = ways(seed=seed)
        own = 2 * np.random.default_rng(seed).normal(size=(30, WIDTH))
        question = points["question_id"].str[1:].astype(int).to_numpy()
        states += own[question] * points["right"].to_numpy()[:, None]
        found = trajectory_gap(points, states)
        assert abs(found.value) < 0.3  # one common direction of this length gives 2.3
        covered += found.low < 0 < found.high
    assert covered >= 5


def test_a_gap_of_length_is_told_apart() -> None:
    points, states = ways(more_if_wrong=0.4)
    last = (points["step"] == points["n_steps"] - 1).to_numpy()
    states[:, 5] += 3 * last
    found, alike = (trajectory_gap(points, states, same_length=same) for same in (False, True))
    assert found.p == 0.01
    assert found.low > 0
    assert alike.p > 0.05
    assert alike.low < 0 < alike.high


def test_one_class_has_no_gap() -> None:
    points, states = ways()
    for right in (True, points["question_id"] == "q0"):
        found = trajectory_gap(points.assign(right=right), states)
        assert np.isnan([found.value, found.low, found.p]).all()
        assert (found.n_questions, found.n_traces) == (0, 0)
