"""Findings of planted looks: each rate, its control and the difference, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.logit_lens.inputs import Candidates
from analysis.logit_lens.latent_answers import LatentAnswers
from analysis.logit_lens.tables import findings


def looks(name: str, said: list[list[int]], steps: list[list[int]], **others: Any) -> LatentAnswers:
    given = {
        "stated": [row[-1] for row in said],
        "calibrated": said,
        "prompt": 0,
        "control": 1,
        "n_candidates": 2,
        **others,
    }
    arrays = {key: np.array(given.pop(key)) for key in ("stated", "calibrated")}
    return LatentAnswers(
        question_id=name,
        sample_index=np.arange(len(said)),
        said=np.array(said),
        steps=tuple(np.array(some, int) for some in steps),
        **arrays,
        **given,
    )


def candidates(n_classes: int, n_candidates: int) -> Candidates:
    names = tuple(f"{k}" for k in range(n_candidates))
    return Candidates(
        names=names,
        tokens=tuple((k,) for k in range(n_candidates)),
        member={f"{k}": min(k, n_candidates - 1) for k in range(n_classes)},
    )


KNOWS = looks(
    "knows",
    [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 1, 1]],
    [[0], [0, 1], [], [1]],
)
ALONE = looks("alone", [[0, 0, 0, 0]] * 3, [[], [], []], n_candidates=1, control=None)
CLASSES = {"knows": candidates(2, 2), "alone": candidates(2, 1), "silent": candidates(0, 0)}


def found(*some: LatentAnswers, ends: bool = False) -> pd.DataFrame:
    return findings(list(some), CLASSES, ends=ends, seed=0).set_index("name")


def test_each_rate_by_hand() -> None:
    estimate = found(KNOWS, ALONE)["estimate"]
    finals = np.array([0, 1, 0, 1])
    share_of_one = np.array([0, 1, 0.5, 1])  # of the two layers in the middle
    shares = np.stack([1 - share_of_one, share_of_one], axis=1)[:, finals]
    own = np.diag(shares).mean()
    other = (shares.sum() - np.diag(shares).sum()) / 12
    assert estimate["consistency"] == own == 0.875
    assert estimate["consistency control"] == pytest.approx(other)
    assert estimate["consistency - control"] == pytest.approx(own - other)
    assert estimate["stated"] == 1
    assert estimate["commitment_depth"] == np.mean([0, 1, 2, 1]) / 3
    assert estimate["emergence_step"] == np.mean([0, 1, 0, 0])
    assert estimate["steps_before_answer"] == 1
    assert estimate["step_agreement"] == pytest.approx(np.mean([1, 0.5, 1]))
    assert estimate["decided_at_prompt"] == 0.5
    assert estimate["decided_at_prompt control"] == 0.5
    assert estimate["decided_at_prompt - control"] == 0
    assert estimate["decided_at_prompt guess"] == pytest.approx(4 / 12)
    assert estimate["separable"] == 0.5


def test_the_ends_count_where_asked() -> None:
    assert found(KNOWS, ends=True)["estimate"]["consistency"] == np.mean([1, 0.75, 0.75, 0.75])


def test_questions_with_nothing_to_decide_are_counted() -> None:
    table = found(KNOWS, ALONE)
    assert table.loc["consistency", ["n_questions", "n_traces", "n_excluded"]].tolist() == [1, 4, 2]
    assert table.loc["separable", ["n_questions", "n_excluded"]].tolist() == [2, 1]
    nothing = found(ALONE)
    assert nothing.loc["consistency", ["n_questions", "n_excluded"]].tolist() == [0, 3]
    assert nothing["estimate"].drop("separable").isna().all()


def test_a_prompt_that_knows_beats_both_controls_and_one_that_does_not_neither() -> None:
    random = np.random.default_rng(0)
    known, unknown = [], []
    for number in range(60):
        answers = random.choice(3, p=[0.6, 0.3, 0.1], size=12)
        said = [[0, 0, 0, int(answer)] for answer in answers]
        empty: list[list[int]] = [[]] * 12
        truth = int(np.bincount(answers).argmax())
        control = int(random.integers(3))
        plan = {"n_candidates": 3, "control": control}
        known.append(looks(f"{number}", said, empty, prompt=truth, **plan))
        guess = int(random.integers(3))
        unknown.append(looks(f"{number}", said, empty, prompt=guess, **plan))
    classes = {each.question_id: candidates(3, 3) for each in known}
    for some, shown in ((known, True), (unknown, False)):
        table = findings(some, classes, ends=False, seed=0).set_index("name")
        for control in ("control", "guess"):
            assert (table.loc[f"decided_at_prompt - {control}", "low"] > 0) == shown
