"""Whether the label is gone, on states in which one knows what carries it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted_states import WIDTH, Vectors, direction, given, noise, planted

from analysis.interventions.directions import Direction, find_directions
from analysis.interventions.erased_auroc import ErasedAuroc, erased_auroc
from cot.store.run import Run

pytestmark = pytest.mark.slow

Key = tuple[str, str, str]


def found(
    path: Path, make: Vectors, kind: str = "diff_means", n: tuple[int, int] = (24, 10)
) -> dict[Key, ErasedAuroc]:
    """(states, probe, measure) to the AUROC."""
    run = planted(path, given(*n), make)
    return by_key(erased_auroc(run, direction_of(run, kind), n_random=4))


def direction_of(run: Run, kind: str = "diff_means", **given: Any) -> Direction:
    asked: dict[str, Any] = {"target": "correct", "layers": [3], "position": "pre_answer"}
    asked |= {"folds": 4, "seed": 0, "direction": None, "labels": None}
    (one,) = find_directions(run, **{**asked, "kind": kind, **given})
    return one


def by_key(each: list[ErasedAuroc]) -> dict[Key, ErasedAuroc]:
    return {(one.states, one.probe, one.measure): one for one in each}


@pytest.mark.parametrize("kind", ["diff_means", "logistic"])
def test_the_auroc_falls_to_a_half_and_controls_leave_it(tmp_path: Path, kind: str) -> None:
    table = found(tmp_path, direction, kind)
    # the logistic probe's own direction isn't the eraser's: a part of what it read is left
    gone = {("refitted", 0.5), ("same", 0.5 if kind == "diff_means" else 0.7)}
    for measure in ("auroc", "within_question_auroc"):
        for probe, most in gone:
            erased = table["erased", probe, measure]
            assert erased.low <= 0.5 or most > 0.5
            assert 0.5 <= erased.high < most + 0.1
            for control in ("unchanged", "random", "shuffled"):
                left = table[control, probe, measure]
                assert left.low > 0.9
                assert left.difference == pytest.approx(left.estimate - erased.estimate)
                assert left.difference_low > 0.2
    assert table["erased", "same", "auroc"].n_traces == 240
    assert table["erased", "same", "auroc"].n_questions == 24


def test_on_noise_nothing_changes(tmp_path: Path) -> None:
    table = found(tmp_path, noise)
    for measure in ("auroc", "within_question_auroc"):
        before, after = (table[name, "same", measure] for name in ("unchanged", "erased"))
        assert before.low < 0.5 < before.high
        assert after.low <= 0.5 <= after.high
        assert before.difference_low < 0 < before.difference_high


def test_what_a_fresh_probe_finds_follows_from_the_number_of_states(tmp_path: Path) -> None:
    """The eraser's estimate of the mean difference errs by a vector of norm √(4 d / n) with n
    states of d coordinates, and the label is left along that: AUROC Φ(√(4 d / n) / √2), which is
    .84 of the 48 states of a half, and .57 of 1,200."""
    aurocs = {}
    for n_questions, rows in ((16, 8), (100, 32)):
        run = planted(tmp_path / str(n_questions), given(n_questions, rows), direction)
        table = by_key(erased_auroc(run, direction_of(run), n_random=1))
        assert table["unchanged", "fresh", "auroc"].estimate > 0.85
        aurocs[n_questions] = table["erased", "fresh", "auroc"].estimate
    assert aurocs[16] > 0.6
    assert 0.5 < aurocs[100] < 0.6


def test_without_a_third_fold_there_is_no_fresh_probe(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), direction)
    table = by_key(erased_auroc(run, direction_of(run, folds=2), n_random=1))
    assert {probe for _, probe, _ in table} == {"same", "refitted"}


def test_where_no_question_has_both_labels_nothing_is_told_apart_within_one(tmp_path: Path) -> None:
    questions = {f"q{i:02}": ("1", ["1" if i % 2 else "2"] * 6) for i in range(16)}
    run = planted(tmp_path, questions, direction)
    table = by_key(erased_auroc(run, direction_of(run), n_random=1))
    within = table["unchanged", "same", "within_question_auroc"]
    assert np.isnan([within.estimate, within.low, within.difference]).all()
    assert within.n_questions == 0


def test_a_direction_from_a_file_has_no_eraser(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), direction)
    np.save(tmp_path / "given.npy", np.ones(WIDTH))
    one = direction_of(run, direction=str(tmp_path / "given.npy"))
    assert erased_auroc(run, one) == []


def test_the_questions_that_are_read_are_not_those_that_are_fitted_on(tmp_path: Path) -> None:
    """Labels at random, and few more states than coordinates: a probe would find its own labels."""
    run = planted(tmp_path, given(12, 4), noise)
    table = by_key(erased_auroc(run, direction_of(run), n_random=1))
    assert all(0.25 < one.estimate < 0.75 for one in table.values())
