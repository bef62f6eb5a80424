"""`cot intervene` on the bundled model: a run that it sampled itself, all methods."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import cot
from analysis.hidden_states import capture
from analysis.interventions import intervene
from cot.store.run import Run

METHODS = ["patching", "mediation", "steering", "ablation", "erasure", "knockout"]
LAST = 30


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = cot.sample(
        "arithmetic:level=1",
        engine="transformers",
        form="text",
        shots=3,
        n=4,
        limit=5,
        max_tokens=40,
        greedy=False,
        out=tmp_path_factory.mktemp("real") / "run",
    )
    capture(made, layers=[20], positions=["pre_answer"])
    return made


@pytest.fixture(scope="module")
def effects(run: Run) -> pd.DataFrame:
    return intervene(
        run,
        METHODS,
        layers=[8, LAST],
        direction_layers=[20],
        direction_position="pre_answer",
        strengths=(-0.1, 0.1),
        random_directions=2,
        samples=1,
    )


@pytest.mark.model
def test_every_method_measures_something(run: Run, effects: pd.DataFrame) -> None:
    rows = run.table("interventions")
    assert set(rows["method"]) == set(METHODS)
    assert np.isfinite(rows[["before", "after", "effect"]].to_numpy()).all()
    # the same trace and pair of answers: one log-odds, whatever the method
    of_trace = rows[~rows["measure"].isin(["total", "indirect", "direct"])]
    of_trace = of_trace.groupby(["question_id", "sample_index", "other"])["before"]
    assert (of_trace.max() - of_trace.min()).max() < 1e-3
    assert set(effects["method"]) == set(METHODS)


@pytest.mark.model
def test_the_last_state_before_the_answer_is_the_donors_answer(effects: pd.DataFrame) -> None:
    patched = effects[(effects["method"] == "patching") & (effects["position"] == "pre_answer")]
    whole = patched[patched["layer"] == LAST]
    assert whole["effect"].to_numpy() == pytest.approx(1, abs=1e-3)
    assert set(whole["verdict"]) == {""}
    mediated = effects[(effects["measure"] == "indirect") & (effects["layer"] == LAST)]
    assert mediated["effect"].to_numpy() == pytest.approx(1, abs=1e-3)


@pytest.mark.model
def test_unchanged_samples_are_the_runs_own_traces(run: Run, effects: pd.DataFrame) -> None:
    samples = run.samples("intervene")
    unchanged = samples[samples["variant"].str.startswith("unchanged")]
    own = run.traces(["text"]).rename(columns={"text": "own"})
    both = unchanged.merge(own, on=["question_id", "sample_index"])
    assert len(both) == 5
    assert both["text"].tolist() == both["own"].tolist()
    sampled = run.table("interventions_sampled")
    assert {"", "random", "shuffled", "unchanged"} == set(sampled["control"])


@pytest.mark.model
def test_a_call_with_the_same_settings_measures_nothing_anew(
    run: Run, effects: pd.DataFrame
) -> None:
    folder = run.path / "activations" / "interventions"
    before = {path: path.stat().st_mtime_ns for path in folder.glob("part-*")}
    again = intervene(
        run,
        METHODS,
        layers=[8, LAST],
        direction_layers=[20],
        direction_position="pre_answer",
        strengths=(-0.1, 0.1),
        random_directions=2,
        samples=1,
    )
    assert {path: path.stat().st_mtime_ns for path in folder.glob("part-*")} == before
    pd.testing.assert_frame_equal(again, effects)
