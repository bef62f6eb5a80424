"""Findings of planted latent answers: each rate, its control and the difference, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.logit_lens.inputs import Candidates
from analysis.logit_lens.latent_answers import LatentAnswers
from analysis.logit_lens.tables import findings, layers_table


def latent_answers(
    name: str, latent: list[list[int]], steps: list[list[int]], **others: Any
) -> LatentAnswers:
    given = {
        "stated": [row[-1] for row in latent],
        "calibrated": latent,
        "prompt": 0,
        "control": 1,
        "n_candidates": 2,
        **others,
    }
    arrays = {key: np.array(given.pop(key)) for key in ("stated", "calibrated")}
    return LatentAnswers(
        question_id=name,
        sample_index=np.arange(len(latent)),
        latent=np.array(latent),
        steps=tuple(np.array(some, int) for some in steps),
        numbers=tuple(np.arange(len(some)) for some in steps),
        n_steps=np.array([len(some) for some in steps], int),
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


KNOWS = latent_answers(
    "knows",
    [[0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 1, 1]],
    [[0], [0, 1], [], [1]],
)
ALONE = latent_answers("alone", [[0, 0, 0, 0]] * 3, [[], [], []], n_candidates=1, control=None)
CLASSES = {"knows": candidates(2, 2), "alone": candidates(2, 1), "silent": candidates(0, 0)}


def found(*some: LatentAnswers, ends: bool = False) -> pd.DataFrame:
    return by_field(findings(list(some), CLASSES, ends=ends, seed=0))


def by_field(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["measure", "subject", "baseline"]).sort_index()


def test_each_rate_by_hand() -> None:
    estimate = found(KNOWS, ALONE)["estimate"]
    finals = np.array([0, 1, 0, 1])
    share_of_one = np.array([0, 1, 0.5, 1])  # of the two layers in the middle
    shares = np.stack([1 - share_of_one, share_of_one], axis=1)[:, finals]
    own = np.diag(shares).mean()
    other = (shares.sum() - np.diag(shares).sum()) / 12
    assert estimate["consistency", "", ""] == own == 0.875
    assert estimate["consistency", "control", ""] == pytest.approx(other)
    assert estimate["consistency", "", "control"] == pytest.approx(own - other)
    assert estimate["stated", "", ""] == 1
    assert estimate["commitment_depth", "", ""] == np.mean([0, 1, 2, 1]) / 3
    assert estimate["emergence_step", "", ""] == np.mean([0, 1, 0, 0])
    assert estimate["steps_before_answer", "", ""] == 1
    assert estimate["step_agreement", "", ""] == pytest.approx(np.mean([1, 0.5, 1]))
    assert estimate["decided_at_prompt", "", ""] == 0.5
    assert estimate["decided_at_prompt", "control", ""] == 0.5
    assert estimate["decided_at_prompt", "", "control"] == 0
    assert estimate["decided_at_prompt", "guess", ""] == pytest.approx(4 / 12)
    assert estimate["separable", "", ""] == 0.5


def test_the_ends_count_where_asked() -> None:
    assert found(KNOWS, ends=True)["estimate"]["consistency", "", ""] == np.mean(
        [1, 0.75, 0.75, 0.75]
    )


def test_questions_with_nothing_to_decide_are_counted() -> None:
    table = found(KNOWS, ALONE)
    assert table.loc[
        ("consistency", "", ""), ["n_questions", "n_traces", "n_excluded"]
    ].tolist() == [1, 4, 2]
    assert table.loc[("separable", "", ""), ["n_questions", "n_excluded"]].tolist() == [2, 1]
    nothing = found(ALONE)
    assert nothing.loc[("consistency", "", ""), ["n_questions", "n_excluded"]].tolist() == [0, 3]
    assert nothing["estimate"].drop(index="separable").isna().all()


def test_a_prompt_that_knows_beats_both_controls_and_one_that_does_not_neither() -> None:
    random = np.random.default_rng(0)
    known, unknown = [], []
    for number in range(60):
        answers = random.choice(3, p=[0.6, 0.3, 0.1], size=12)
        latent = [[0, 0, 0, int(answer)] for answer in answers]
        empty: list[list[int]] = [[]] * 12
        truth = int(np.bincount(answers).argmax())
        control = int(random.integers(3))
        plan = {"n_candidates": 3, "control": control}
        known.append(latent_answers(f"{number}", latent, empty, prompt=truth, **plan))
        guess = int(random.integers(3))
        unknown.append(latent_answers(f"{number}", latent, empty, prompt=guess, **plan))
    classes = {each.question_id: candidates(3, 3) for each in known}
    for some, shown in ((known, True), (unknown, False)):
        table = by_field(findings(some, classes, ends=False, seed=0))
        for control in ("control", "guess"):
            assert (table.loc[("decided_at_prompt", "", control), "low"] > 0) == shown


MANY = latent_answers("many", [[0, 1, 1, 1]] * 6 + [[0, 0, 0, 0]] * 2, [[]] * 8)
NOWHERE = pd.DataFrame(
    columns=["question_id", "sample_index", "position", "layer", "p_stated"]
).astype({"layer": "int64", "p_stated": "float64"})


def by_layer(*some: LatentAnswers) -> pd.DataFrame:
    table = layers_table(list(some), NOWHERE, seed=0)
    return table.set_index(["measure", "layer"]).sort_index()


def test_agreement_by_layer_weighs_questions_alike_and_not_traces() -> None:
    table = by_layer(KNOWS, MANY, ALONE)
    knows = [2 / 4, 3 / 4, 1, 1]
    many = [2 / 8, 1, 1, 1]
    expected = (np.array(knows) + many) / 2
    assert table.loc["agreement", "estimate"].tolist() == pytest.approx(expected)
    assert table.loc["agreement", "estimate"][0] != pytest.approx(4 / 12)  # by traces
    assert set(table["n_questions"]) == {2}
    assert set(table["n_traces"]) == {12}


def test_the_control_by_layer_is_the_answer_of_another_trace() -> None:
    table = by_layer(KNOWS, MANY)
    # ordered pairs of traces in which the first's layer has the second's last answer
    last = 4 / 12, (6 * 5 + 2 * 1) / 56
    first = (2 * 3) / 12, (2 * 7) / 56  # all say answer 0 there, which two traces of each end in
    control = table.loc["agreement", "control"]
    assert control[3] == pytest.approx(np.mean(last))
    assert control[0] == pytest.approx(np.mean(first))
    assert table.loc["committed", "control"].isna().all()


def test_the_committed_by_layer_rise_to_all() -> None:
    assert by_layer(KNOWS).loc["committed", "estimate"].tolist() == [0.25, 0.75, 1.0, 1.0]


def test_a_question_with_one_trace_has_no_control_and_is_left_out_of_agreement() -> None:
    lone = latent_answers("lone", [[1, 1, 0, 0]], [[]])
    table = by_layer(KNOWS, lone)
    assert set(table.loc["agreement", "n_questions"]) == {1}
    assert set(table.loc["committed", "n_questions"]) == {2}
    assert layers_table([lone], NOWHERE, seed=0)["measure"].unique().tolist() == ["committed"]
