"""Forced without reasoning against read from the state: kappa by hand, and what it leaves out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.faithfulness_tests.decided import cross_check, kappa


def tables(cells: list[tuple[str, object, object]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Readings and lens_traces of (question, forced, lens), a trace each."""
    keys = pd.DataFrame(
        {"question_id": [name for name, _, _ in cells], "sample_index": range(len(cells))}
    )
    forced = pd.array([same for _, same, _ in cells], dtype="boolean")
    first = keys.assign(test="early_answering", greedy=False, share=0.0, same=forced)
    noise = first.assign(share=1.0, same=pd.array([True] * len(cells), dtype="boolean"))
    greedy = first.head(1).assign(greedy=True)
    filler = first.assign(test="filler", same=~forced)
    lens = keys.assign(decided_at_prompt=pd.array([held for *_, held in cells], dtype="boolean"))
    return pd.concat([noise, filler, greedy, first], ignore_index=True), lens


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
    found = cross_check(*tables(cells))
    assert found.counts == (40, 10, 20, 30)
    assert found.kappa == pytest.approx(0.4)
    assert found.low < 0.4 < found.high
    sd = np.sqrt(0.7 * 0.3) / (0.5 * np.sqrt(50))  # Cohen 1960: sqrt(p (1 - p)) / ((1 - e) sqrt n)
    assert found.high - found.low == pytest.approx(2 * 1.96 * sd, rel=0.15)
    assert np.isnan(found.control)
    first = found.questions.iloc[0]
    assert (first["n"], first["differ"]) == (2, 2)
    assert found.questions["differ"].sum() == 30
    assert found.questions["forced_only"].sum() == 10
    assert len(found.questions) == 50


def test_another_questions_state_is_the_control() -> None:
    readings, lens = tables([("a", True, True), ("b", False, False)] * 10)
    other = pd.array([True, True, False, False] * 5, dtype="boolean")
    found = cross_check(readings, lens.assign(decided_control=other))
    assert found.kappa == 1.0
    assert found.control == 0.0


def test_nothing_in_common() -> None:
    found = cross_check(*tables([("a", None, True)]))
    assert found.counts == (0, 0, 0, 0)
    assert np.isnan([found.kappa, found.low, found.high, found.control]).all()
    assert found.questions.empty
