"""Answers forced without reasoning against latent ones at the prompt's end: kappa by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.agreement.forced_and_latent import (
    CONTROL,
    FORCED_LATENT,
    before_reasoning,
    before_reasoning_findings,
    kappa,
    looks,
)
from cot.types import Finding


def tables(
    cells: list[tuple[str, object, object]], control: object = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Readings and lens_traces of (question, forced, latent), a trace each."""
    keys = pd.DataFrame(
        {"question_id": [name for name, _, _ in cells], "sample_index": range(len(cells))}
    )
    forced = pd.array([same for _, same, _ in cells], dtype="boolean")
    first = keys.assign(test="early_answering", greedy=False, share=0.0, same=forced)
    noise = first.assign(share=1.0, same=pd.array([True] * len(cells), dtype="boolean"))
    greedy = first.head(1).assign(greedy=True)
    filler = first.assign(test="filler", same=~forced)
    lens = keys.assign(decided_at_prompt=pd.array([held for *_, held in cells], dtype="boolean"))
    lens["decided_control"] = pd.array(control or [None] * len(cells), dtype="boolean")
    return pd.concat([noise, filler, greedy, first], ignore_index=True), lens


def kappas(both: pd.DataFrame) -> dict[str, Finding]:
    return {each.subject: each for each in before_reasoning_findings(both, len(both), 0)}


def test_kappa_of_the_docstring() -> None:
    assert kappa([20, 5, 10, 15]) == pytest.approx(0.4)
    many = kappa([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1], [4, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(many, [1, -1, 0, np.nan, np.nan])


def test_counts_interval_and_the_questions_that_differ_most() -> None:
    cells: list[tuple[str, object, object]] = []
    for question in range(50):
        forced, lens = question < 25, question < 20 or 25 <= question < 35
        cells += [(f"q{question:02d}", forced, lens)] * 2
    cells += [("q50", None, True), ("q51", True, None)]
    both = looks(*tables(cells))
    table = before_reasoning(both)
    names = ["n_both", "n_forced_only", "n_latent_only", "n_neither"]
    assert table[names].sum().tolist() == [40, 10, 20, 30]
    found = kappas(both)[FORCED_LATENT]
    assert found.estimate == pytest.approx(0.4)
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.4 < found.high
    sd = np.sqrt(0.7 * 0.3) / (0.5 * np.sqrt(50))  # Cohen 1960: sqrt(p (1 - p)) / ((1 - e) sqrt n)
    assert found.high - found.low == pytest.approx(2 * 1.96 * sd, rel=0.15)
    assert (found.n_questions, found.n_traces) == (50, 100)
    assert kappas(both)[CONTROL].estimate is None
    assert table["n_traces"].tolist() == [2] * 50
    differ = table["n_forced_only"] + table["n_latent_only"]
    assert differ.tolist() == [2] * 15 + [0] * 35


def test_another_questions_state_is_the_control() -> None:
    other = [True, True, False, False] * 5
    found = kappas(looks(*tables([("a", True, True), ("b", False, False)] * 10, other)))
    assert found[FORCED_LATENT].estimate == 1.0
    assert found[CONTROL].estimate == 0.0


def test_nothing_in_common() -> None:
    both = looks(*tables([("a", None, True)]))
    assert before_reasoning(both).empty
    for found in kappas(both).values():
        assert (found.estimate, found.low, found.high, found.n_traces) == (None, None, None, 0)
