"""Scores along a trace, on planted states: they rise where the planted direction appears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_states import WIDTH, direction, given, planted, write_gaps
from small import Given, run_with_answers

import analysis.probes.step_scores as step_scores
from analysis.answer_table import answers as extract_answers
from analysis.probes import probe
from cot.store.run import Run
from cot.store.vectors import Place, VectorWriter

pytestmark = pytest.mark.slow

STEPS = 4
APPEARS = 2
"""The step at which right traces get the planted direction."""


def stepwise(path: Path, questions: Given) -> Run:
    """Four steps a trace; in layer 3 right traces go along axis 5 from APPEARS on, in layer 7
    nothing does."""
    run = run_with_answers(path, questions)
    extract_answers(run)
    random = np.random.default_rng(1)
    rows = []
    with VectorWriter(run.path / "activations", model="planted", revision="0") as writer:
        for name, (_, answers) in questions.items():
            for index, answer in enumerate(answers):
                states = random.normal(size=(STEPS, WIDTH))
                states[APPEARS:, 5] += 5 * (answer == "1")
                places = [Place(name, index, "step_end", step, step) for step in range(STEPS)]
                writer.add(places, {3: states, 7: random.normal(size=(STEPS, WIDTH))})
                rows.append((name, index, 3, 1e-4))
    columns = ["question_id", "sample_index", "n_tokens", "max_logprob_gap"]
    write_gaps(run, pd.DataFrame(rows, columns=columns))
    return run


def test_scores_rise_where_the_planted_direction_appears(tmp_path: Path) -> None:
    run = stepwise(tmp_path, {**given(), "late": (None, ["1", "2"])})
    probe(run, embedder="tfidf", folds=4)
    steps = run.table("probe_steps")
    assert list(steps.columns) == list(step_scores.COLUMNS)
    assert set(steps["layer"]) == {3}
    assert "late" not in set(steps["question_id"])  # without gold it is in no fold
    right = run.table("answers")[["question_id", "sample_index", "correct"]]
    means = steps.merge(right).groupby(["correct", "step"])["score"].mean().unstack()
    assert (means.loc[True, APPEARS:] - means.loc[False, APPEARS:]).min() > 0.12
    assert (means.loc[True, : APPEARS - 1] - means.loc[False, : APPEARS - 1]).abs().max() < 0.05
    last = steps[steps["step"] == STEPS - 1]
    scores = run.table("probe_scores").query("layer == 3 and position == 'step_end'")
    both = last.merge(scores, on=["question_id", "sample_index"], suffixes=("", "_last"))
    assert len(both) == len(scores)
    np.testing.assert_allclose(both["score"], both["score_last"], atol=1e-9)


def test_no_probe_scores_a_question_that_it_was_fitted_on(tmp_path: Path, monkeypatch: Any) -> None:
    run = stepwise(tmp_path, given(8, 6))
    fitted: list[set[str]] = []
    load = step_scores.load_probe

    def spying(spec: str) -> Any:
        def make(**arguments: Any) -> Any:
            made = load(spec)(**arguments)
            fit = made.fit

            def noted(X: Any, y: Any, groups: Any) -> Any:
                fitted.append(set(groups))
                return fit(X, y, groups)

            made.fit = noted
            return made

        return make

    tested: list[set[str]] = []
    predict = step_scores.predictions

    def predicting(made: Any, X: Any) -> Any:
        assert len(X) % STEPS == 0
        tested.append(questions - fitted[-1])
        assert len(X) == STEPS * 6 * len(tested[-1])
        return predict(made, X)

    questions = set(given(8, 6))
    monkeypatch.setattr(step_scores, "load_probe", spying)
    monkeypatch.setattr(step_scores, "predictions", predicting)
    probe(run, embedder="tfidf", folds=4)
    assert len(fitted) == 4
    assert sorted(name for some in tested for name in some) == sorted(questions)


def test_without_step_ends_the_table_is_empty(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), direction)
    probe(run, embedder="tfidf", folds=2)
    assert run.table("probe_steps").empty
