"""`cot features` on planted states: what is fitted, measured, written, stored and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_features import DIRECTIONS, given, telling, telling_run
from planted_states import noise, planted
from small import Given

from analysis.interventions.directions import find_directions
from analysis.state_features import features
from analysis.state_features.stored_features import load_features
from cot.errors import InputError
from cot.store.run import Run

QUICK: dict[str, Any] = {"method": ["snmf:restarts=1"], "n_features": 6, "tcav": False}


def of(table: pd.DataFrame, method: str) -> pd.DataFrame:
    return table[table["method"] == method].reset_index(drop=True)


def finding(run: Run, measure: str, subject: str, baseline: str = "") -> pd.Series:
    table = run.table("findings_features")
    same = (table["measure"] == measure) & (table["subject"] == subject)
    (row,) = table[same & (table["baseline"] == baseline)].to_dict("records")
    return pd.Series(row)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = telling_run(tmp_path_factory.mktemp("features"))
    features(made, **QUICK)
    return made


def test_the_feature_that_right_traces_have_tells_them_from_wrong_ones(run: Run) -> None:
    own = of(run.table("features"), "snmf:restarts=1")
    (best,) = np.flatnonzero(own["chosen"])
    directions = load_features(run.path / "features" / file_of("snmf:restarts=1")).made.directions
    assert directions[best] @ DIRECTIONS[0] > 0.9
    row = own.iloc[best]
    assert row["within_question_auroc"] > 0.85
    assert row["tells"]
    assert row["rate_right"] > 0.7
    assert row["rate_wrong"] < 0.3
    assert row["sign"] == 1
    assert finding(run, "within_question_auroc", "snmf:restarts=1")["estimate"] > 0.85
    told, beside = (
        finding(run, "within_question_auroc", name)["estimate"]
        for name in ("snmf:restarts=1", "random")
    )
    less = finding(run, "within_question_auroc", "snmf:restarts=1", "random")
    assert less["estimate"] == pytest.approx(told - beside)
    assert less["low"] <= told - beside <= less["high"]
    assert finding(run, "unexplained", "snmf:restarts=1")["estimate"] < 0.2


def file_of(method: str) -> str:
    from analysis.probes.stored_probes import file_name

    return f"{file_name(method)}.safetensors"


def test_the_baselines_stand_beside_it(run: Run) -> None:
    table = run.table("features")
    assert table.groupby("method").size().to_dict() == dict.fromkeys(
        ("pca", "random", "snmf:restarts=1"), 6
    )
    assert table.groupby("method")["baseline"].all().to_dict() == {
        "pca": True,
        "random": True,
        "snmf:restarts=1": False,
    }
    random = of(table, "random")
    assert random["within_question_auroc"].round(9).tolist() == random["control"].round(9).tolist()
    assert of(table, "pca")["firing_rate"].isna().all()


def test_numbers_are_of_held_out_questions(run: Run) -> None:
    table = run.table("features")
    assert set(table["n_questions"]) == {8}
    assert set(table["n_traces"]) == {64}
    steps = run.table("feature_steps")
    assert steps.groupby("question_id")["held_out"].nunique().max() == 1
    stored = load_features(run.path / "features" / file_of("snmf:restarts=1")).fit
    assert len(stored.questions) == 8
    assert stored.n == 64


@pytest.mark.slow
def test_labels_of_training_questions_move_no_number_of_held_out_ones(tmp_path: Path) -> None:
    """Other answers of training questions change what is chosen, and no AUROC."""
    first = telling_run(tmp_path / "one")
    features(first, **QUICK)
    held = set(first.table("feature_steps").query("held_out")["question_id"])
    questions: Given = {
        name: row if name in held else (row[0], [str(3 - int(each)) for each in row[1]])
        for name, row in given().items()
    }
    asked = given()

    def same(name: str, right: Any, random: np.random.Generator) -> Any:
        return telling(name, np.array([each == "1" for each in asked[name][1]]), random)

    second = planted(tmp_path / "two", questions, same)
    features(second, **QUICK)
    columns = ["method", "feature", "within_question_auroc", "low", "high", "q", "control"]
    one, other = first.table("features")[columns], second.table("features")[columns]
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.slow
def test_noise_has_no_headline(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), noise)
    table = features(run, **QUICK)
    row = finding(run, "within_question_auroc", "snmf:restarts=1")
    assert row["p"] > 0.01
    assert not of(table, "snmf:restarts=1")["tells"].any()


def test_values_and_strongest_steps_agree(run: Run) -> None:
    values, steps = run.table("feature_values"), run.table("feature_steps")
    assert (values["value"] > 0).all()
    top = values.sort_values("value", ascending=False).drop_duplicates("feature")
    first = steps[steps["rank"] == 0].set_index("feature")["value"]
    assert first.sort_index().tolist() == top.set_index("feature")["value"].sort_index().tolist()
    assert steps.groupby("feature")["rank"].max().max() == 9
    rates = of(run.table("features"), "snmf:restarts=1")
    held = set(steps.loc[steps["held_out"], "question_id"])
    on = values[values["question_id"].isin(held)].groupby("feature").size().reindex(range(6))
    assert (on.fillna(0) / 64).tolist() == rates["firing_rate"].tolist()


def test_places_are_shares_of_states_by_label(run: Run) -> None:
    places = run.table("feature_places")
    states = places.groupby(["label", "feature"])["n_states"].sum()
    assert sorted(states.unique()) == [16, 48]
    assert places["rate"].between(0, 1).all()


@pytest.mark.slow
def test_stored_features_give_the_same_values_on_another_run(tmp_path: Path, run: Run) -> None:
    file = run.path / "features" / file_of("snmf:restarts=1")
    stored = load_features(file)
    other = telling_run(tmp_path, given(10, 6, seed=3, name="other "))
    table = features(other, fitted=str(file), tcav=False)
    own = of(table, "snmf:restarts=1")
    assert len(own) == 6
    assert set(own["n_questions"]) == {10}
    _, X = other.activations(layer=3, position="pre_answer")
    centred = X - X.reshape(10, 6, -1).mean(axis=1).repeat(6, axis=0)
    expected = stored.made.encode(centred.astype(np.float32))
    values = other.table("feature_values")
    found = values.pivot_table(
        index=["question_id", "sample_index"], columns="feature", values="value", fill_value=0
    )
    places = [int(name.removeprefix("other ")) * 6 + i for name, i in found.index]
    assert np.allclose(found.to_numpy(), expected[places][:, found.columns], atol=1e-4)
    # the headline is the feature that was chosen where they were fitted
    assert stored.fit.best is not None
    assert np.flatnonzero(own["chosen"]).tolist() == [stored.fit.best[0]]
    assert finding(other, "within_question_auroc", "snmf:restarts=1")["estimate"] > 0.85
    assert not (other.path / "features").exists()
    pca = of(table, "pca")
    assert len(pca) == 6


def test_the_same_run_measures_only_what_stored_features_have_not_seen(run: Run) -> None:
    before = run.table("features")
    file = run.path / "features" / file_of("snmf:restarts=1")
    after = features(run, fitted=str(file), tcav=False)
    columns = ["within_question_auroc", "low", "high", "q", "firing_rate", "control", "chosen"]
    one, other = (of(each, "snmf:restarts=1")[columns] for each in (before, after))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_features": 0}, "n_features is 0"),
        ({"method": ["nothing"]}, "choose from cav, pca, snmf, topk"),
        ({"method": ["cav"]}, "give --labels FILE"),
        ({"target": "answer_entropy"}, "not one boolean a trace"),
        ({"layer": 9}, "layer 9"),
    ],
)
def test_what_can_not_be_done_is_refused(run: Run, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        features(run, **{**QUICK, **change})


def test_too_few_questions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 questions are too few"):
        features(telling_run(tmp_path, given(3)), **QUICK)


def test_features_of_another_model_are_refused(tmp_path: Path, run: Run) -> None:
    file = run.path / "features" / file_of("snmf:restarts=1")
    other = telling_run(tmp_path, given(name="other "), revision="1")
    with pytest.raises(InputError, match=r"of planted \(0\), but .* of planted \(1\)"):
        features(other, fitted=str(file))
    with pytest.raises(InputError, match="give one of the same model"):
        direction_of(other, f"{file}:0")


def test_broken_files_are_refused(tmp_path: Path, run: Run) -> None:
    source = run.path / "features" / file_of("snmf:restarts=1")
    file = tmp_path / "broken.safetensors"
    file.write_bytes(source.read_bytes())
    with pytest.raises(InputError, match="a pair of broken"):
        load_features(file)
    about = json.loads(source.with_suffix(".json").read_text())
    file.with_suffix(".json").write_text(json.dumps(about | {"d_model": 5}))
    with pytest.raises(InputError, match=r"directions has not the shape \[6, 5\]"):
        load_features(file)
    file.with_suffix(".json").write_text("{}")
    with pytest.raises(InputError, match="not stored features of this version"):
        load_features(file)


@pytest.mark.slow
def test_questions_with_a_single_state_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    questions = {**given(), "alone": ("1", ["1"])}
    with caplog.at_level("INFO", "cot"):
        features(telling_run(tmp_path, questions), **QUICK)
    assert "1 states alone of their question are left out" in caplog.text


# -- a feature is a direction ----------------------------------------------------------------------


def direction_of(run: Run, file: str, **changes: Any) -> Any:
    asked: dict[str, Any] = {"target": "correct", "kind": "diff_means", "layers": None}
    asked |= {"position": None, "folds": 4, "seed": 0, "labels": None, "direction": file}
    return find_directions(run, **{**asked, **changes})[0]


def test_a_feature_is_a_direction_that_acts_on_held_out_questions(run: Run) -> None:
    file = run.path / "features" / file_of("snmf:restarts=1")
    stored = load_features(file)
    assert stored.fit.best is not None
    feature = stored.fit.best[0]
    found = direction_of(run, f"{file}:{feature}")
    assert (found.layer, found.position, found.target) == (3, "pre_answer", "correct")
    assert found.unit[0] == pytest.approx(stored.made.directions[feature], abs=1e-6)
    assert found.unit[0] @ DIRECTIONS[0] > 0.9
    held = set(run.table("feature_steps").query("held_out")["question_id"])
    assert set(found.folds) == held
    assert len(held) == 8


def test_directions_that_are_not_there_are_refused(tmp_path: Path, run: Run) -> None:
    file = run.path / "features" / file_of("snmf:restarts=1")
    with pytest.raises(InputError, match="has no feature 6; its features are 0 to 5"):
        direction_of(run, f"{file}:6")
    with pytest.raises(InputError, match="this feature reads layer 3"):
        direction_of(run, f"{file}:0", layers=[2])
    with pytest.raises(InputError, match="there is no such file"):
        direction_of(run, f"{tmp_path / 'none.safetensors'}:0")
