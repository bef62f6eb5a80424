"""Directions in closed form: which states they are fitted on, which way they point, and what is
refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from planted_states import WIDTH, direction, given, noise, planted
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from small import Given

from analysis.interventions.directions import Direction, find_directions, random_directions
from analysis.interventions.leace import leace
from analysis.probes import probe
from analysis.probes.crossfit import cross_fit
from analysis.probes.estimator import load_probe
from analysis.probes.stored_probes import load_stored
from analysis.statistics.shuffled_labels import shuffled as shuffle
from cot.errors import InputError
from cot.store.run import Run

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]


def find(run: Run, **changes: Any) -> list[Direction]:
    asked: dict[str, Any] = {"target": "correct", "kind": "diff_means", "layers": [3]}
    asked |= {"position": "pre_answer", "folds": 4, "seed": 0, "direction": None, "labels": None}
    return find_directions(run, **{**asked, **changes})


def cell(run: Run, layer: int = 3) -> tuple[Floats, NDArray[np.bool_], NDArray[Any]]:
    """States, whether they are of a right trace, and their questions, in the run's order."""
    index, X = run.activations(layer=layer, position="pre_answer")
    right = run.table("answers")["correct"].to_numpy(bool)
    return X.astype(np.float64), right, index["question_id"].to_numpy()


def unit(vector: Floats) -> Floats:
    return vector / np.linalg.norm(vector)


def mean_difference(X: Floats, y: NDArray[np.bool_]) -> Floats:
    """Of standardised coordinates, in the states' own units."""
    return unit((X[y].mean(axis=0) - X[~y].mean(axis=0)) / X.var(axis=0))


def test_each_fold_is_fitted_on_the_questions_of_the_others(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), direction)
    X, y, groups = cell(run)
    (found,) = find(run)
    fold = np.array([found.folds[name] for name in groups])
    assert sorted(set(fold)) == [0, 1, 2, 3]
    assert found.shuffled is not None
    assert found.eraser is not None
    assert found.shuffled_eraser is not None
    for number in range(4):
        train = fold != number
        assert np.allclose(found.unit[number], mean_difference(X[train], y[train]), atol=1e-4)
        mixed = shuffle(y[train], number)
        shuffled = mean_difference(X[train], mixed)
        assert np.allclose(found.shuffled[number], shuffled, atol=1e-4)
        assert np.allclose(found.mean[number], X[train].mean(axis=0), atol=1e-6)
        assert found.along[number] == pytest.approx(np.mean(X[train] @ found.unit[number]))
        assert found.sigma[number] == pytest.approx(np.linalg.norm(X[train], axis=1).mean())
        for eraser, labels in ((found.eraser, y[train]), (found.shuffled_eraser, mixed)):
            (expected,) = leace(X[train], [labels])
            own = eraser[number].right @ eraser[number].left
            assert np.allclose(own, expected.right @ expected.left, atol=1e-5)
    assert (found.target, found.source, found.layer) == ("correct", "diff_means", 3)
    assert found.position == "pre_answer"


@pytest.mark.parametrize("kind", ["diff_means", "logistic", "logistic:n_components=8"])
def test_it_orders_states_as_the_cross_fitted_probe_does(tmp_path: Path, kind: str) -> None:
    run = planted(tmp_path, given(), direction)
    X, y, groups = cell(run)
    (found,) = find(run, kind=kind)
    fold = np.array([found.folds[name] for name in groups])
    rows = np.arange(len(y))
    scores = cross_fit(load_probe(kind), X.astype(np.float32), rows, [y], groups, fold, 4).scores[0]
    for number in range(4):
        test = fold == number
        odds = np.log(scores[test] / (1 - scores[test]))
        assert np.corrcoef(odds, X[test] @ found.unit[number])[0, 1] > 0.999
        # unseen traces that are right lie further along it
        along = X[test] @ found.unit[number]
        assert along[y[test]].mean() > along[~y[test]].mean()
    assert np.allclose(np.linalg.norm(found.unit, axis=1), 1)


def test_a_question_does_not_move_its_own_direction(tmp_path: Path) -> None:
    def odd(name: str, right: Any, random: Any) -> NDArray[np.floating]:
        states = direction(name, right, random)
        return states * 5 - 3 if name == "q03" else states

    (one,) = find(planted(tmp_path / "one", given(), direction))
    (other,) = find(planted(tmp_path / "other", given(), odd))
    own = one.folds["q03"]
    assert np.allclose(one.unit[own], other.unit[own])
    assert one.sigma[own] == other.sigma[own]
    rest = [number for number in range(4) if number != own]
    assert not np.isclose(one.sigma[rest], other.sigma[rest]).any()


def test_the_layer_and_position_are_those_that_the_probe_chose(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), {2: noise, 3: direction, 4: noise})
    probe(run, kind="diff_means", folds=2, embedder="tfidf")
    with pytest.raises(InputError, match=r"no probe of majority has chosen a layer .*correct"):
        find(run, target="majority", layers=None, position=None)
    (found,) = find(run, layers=None, position=None)
    assert (found.layer, found.position) == (3, "pre_answer")
    several = find(run, layers=[4, 2])
    assert [each.layer for each in several] == [2, 4]
    assert several[0].folds == found.folds
    with pytest.raises(InputError, match="layer 7 at 'pre_answer' was not captured"):
        find(run, layers=[7])


def test_what_is_left_out_is_counted_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    questions: Given = {**given(8, 6), "open": ("1", [None, None]), "far": ("1", ["1"])}
    gaps = {("q00", 0): 2.0, ("far", 0): 2.0}
    run = planted(tmp_path, questions, direction, gaps=gaps)
    with caplog.at_level(logging.INFO, "cot"):
        (found,) = find(run)
    assert found.excluded == {"beyond the log-probability gap": 2, "without a valid answer": 2}
    assert "2 traces without a valid answer are left out" in caplog.text
    assert len(found.labels) == 47
    assert ("q00", 0) not in found.labels
    # no state of theirs was fitted on, so that any fold's direction may act on them
    assert found.folds["open"] == found.folds["far"] == 0
    assert len(found.folds) == 10
    right = run.table("answers").set_index(["question_id", "sample_index"])["correct"]
    assert all(right[key] == label for key, label in found.labels.items())


def test_what_has_no_direction_is_refused(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), direction)
    with pytest.raises(InputError, match="answer_entropy is a number: a direction tells two"):
        find(run, target="answer_entropy", position="prompt_end")
    with pytest.raises(InputError, match="unknown target 'wright'"):
        find(run, target="wright")
    with pytest.raises(InputError, match=r"kind mlp:epochs=1 has 2 layers.*diff_means or logistic"):
        find(run, kind="mlp:epochs=1")
    with pytest.raises(InputError, match="folds is 1"):
        find(run, folds=1)
    alike = planted(tmp_path / "alike", {f"q{i}": ("1", ["1", "1"]) for i in range(4)}, noise)
    with pytest.raises(InputError, match="correct in layer 3: all 8 rows are positive"):
        find(alike)


def test_random_directions_are_unit_vectors_of_the_seed() -> None:
    some = random_directions(400, 16, seed=3)
    assert some.shape == (400, 16)
    assert np.allclose(np.linalg.norm(some, axis=1), 1)
    assert np.allclose(some.mean(axis=0), 0, atol=0.05)
    assert np.allclose(some.T @ some / 400, np.eye(16) / 16, atol=0.02)
    assert (random_directions(400, 16, seed=3) == some).all()
    assert not np.isclose(random_directions(1, 16, seed=4), some[0]).any()


# -- from a file -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_a_vector_in_a_file_is_the_direction_of_all_questions(tmp_path: Path, suffix: str) -> None:
    run = planted(tmp_path, given(), direction)
    X, y, _ = cell(run)
    vector = np.linspace(-1, 2, WIDTH)
    file = tmp_path / f"mine{suffix}"
    if suffix == ".npy":
        np.save(file, vector)
    else:
        save_tensors({"direction": torch.from_numpy(vector).float()}, file)
    (found,) = find(run, direction=str(file))
    assert set(found.folds.values()) == {0}
    assert len(found.folds) == 16
    assert np.allclose(found.unit, unit(vector)[None])
    assert np.allclose(found.mean[0], X.mean(axis=0))
    assert found.along[0] == pytest.approx((X @ unit(vector)).mean())
    assert found.sigma[0] == pytest.approx(np.linalg.norm(X, axis=1).mean())
    assert found.shuffled is found.eraser is found.shuffled_eraser is None
    assert list(found.labels.values()) == y.tolist()
    assert (found.target, found.source) == ("correct", str(file))


def test_a_vector_in_bfloat16_is_read(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), direction)
    save_tensors(
        {"direction": torch.ones(WIDTH, dtype=torch.bfloat16)}, tmp_path / "mine.safetensors"
    )
    (found,) = find(run, direction=str(tmp_path / "mine.safetensors"), position=None)
    assert np.allclose(found.unit, WIDTH**-0.5)
    assert found.position == "pre_answer"


def test_a_vector_that_does_not_suit_is_refused(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), {3: direction, 4: direction})
    file = tmp_path / "mine.npy"

    def refused(array: Any, match: str, **changes: Any) -> None:
        np.save(file, array)
        with pytest.raises(InputError, match=match) as error:
            find(run, **{"direction": str(file), **changes})
        assert str(file) in str(error.value)

    refused(np.ones(7), "has the width 7, but the hidden states .* have 24")
    refused(np.zeros(WIDTH), "not all 0")
    refused(np.full(WIDTH, np.nan), "finite numbers")
    refused(np.ones((1, WIDTH)), r"this one has the shape \[1, 24\]")
    refused(np.array(["a"]), "not real numbers")
    refused(np.ones(WIDTH), "give exactly one of layers", layers=[3, 4])
    refused(np.ones(WIDTH), "give exactly one of layers", layers=None)
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no array of numpy"):
        find(run, direction=str(file))
    with pytest.raises(InputError, match="there is no such file"):
        find(run, direction=str(tmp_path / "none.npy"))
    with pytest.raises(InputError, match=r"a direction is read from a \.npy file"):
        find(run, direction=str(tmp_path / "mine.pt"))
    save_file({"w": np.ones(WIDTH)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="has no tensor 'direction'; its tensors are: w"):
        find(run, direction=str(tmp_path / "other.safetensors"))


def other_questions(path: Path, **arguments: Any) -> Run:
    """A run of which two questions are also those of `given()`."""
    rows = given(12, 6, seed=9)
    names = [name if i < 2 else f"other {name}" for i, name in enumerate(rows)]
    named = dict(zip(names, rows.values(), strict=True))
    return planted(path, named, direction, **arguments)


def test_a_stored_probe_acts_on_no_question_that_it_was_fitted_on(tmp_path: Path) -> None:
    run = planted(tmp_path / "one", given(), direction)
    probe(run, kind="diff_means", folds=2, embedder="tfidf", positions=["pre_answer"])
    file = run.path / "probes" / "correct.safetensors"
    stored = load_stored(file)
    other = other_questions(tmp_path / "two")
    (found,) = find(other, direction=str(file), layers=None, position=None, target="majority")
    weight = stored.heads[0][0][0][:, 0] / stored.scale
    assert np.allclose(found.unit, unit(weight)[None])
    assert (found.target, found.layer, found.position) == ("correct", 3, "pre_answer")
    assert set(found.folds) == {f"other q{i:02}" for i in range(2, 12)}
    assert {name for name, _ in found.labels} == set(found.folds)
    assert found.excluded == {"of questions that the direction was fitted on": 12}
    X, _, groups = cell(other)
    unseen = np.isin(groups, list(found.folds))
    assert np.allclose(found.mean[0], X[unseen].mean(axis=0))
    with pytest.raises(InputError, match="was fitted on all of these questions"):
        find(run, direction=str(file))
    with pytest.raises(InputError, match="this probe reads layer 3 at pre_answer: give no other"):
        find(other, direction=str(file), layers=[4])


def test_a_stored_probe_of_another_model_or_without_a_direction_is_refused(tmp_path: Path) -> None:
    run = planted(tmp_path / "one", given(), direction)
    probe(run, kind="mlp:epochs=1", folds=2, embedder="tfidf", positions=["pre_answer"])
    file = run.path / "probes" / "correct.safetensors"
    with pytest.raises(InputError, match=r"of planted \(0\), but .* of planted \(1\)"):
        find(other_questions(tmp_path / "two", revision="1"), direction=str(file))
    other = other_questions(tmp_path / "three")
    with pytest.raises(InputError, match="a mlp:epochs=1 probe has 2 layers, and no direction"):
        find(other, direction=str(file))
    about = file.with_suffix(".json")
    about.write_text(json.dumps({**json.loads(about.read_text()), "label": "number"}))
    with pytest.raises(InputError, match="its target correct is a number"):
        find(other, direction=str(file))


# -- labels of a user ------------------------------------------------------------------------------


def table_of(run: Run) -> pd.DataFrame:
    """A label for each trace but those of q00: whether its number is even."""
    traces = run.traces([])[["question_id", "sample_index"]]
    traces = traces[traces["question_id"] != "q00"]
    return traces.assign(label=traces["sample_index"] % 2 == 0)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".json", ".parquet"])
@pytest.mark.parametrize("number", [False, True])
def test_labels_come_from_a_table(tmp_path: Path, suffix: str, number: bool) -> None:
    run = planted(tmp_path, given(), direction)
    X, _, groups = cell(run)
    file = tmp_path / f"even{suffix}"
    table = table_of(run).astype({"label": int}) if number else table_of(run)
    if suffix == ".csv":
        table.to_csv(file, index=False)
    elif suffix == ".parquet":
        table.to_parquet(file)
    else:
        table.to_json(file, orient="records", lines=suffix == ".jsonl")
    (found,) = find(run, labels=str(file), target="correct")
    assert found.target == "even"
    assert found.excluded == {f"without a label in even{suffix}": 8}
    assert found.labels == {(f"q{i:02}", k): k % 2 == 0 for i in range(1, 16) for k in range(8)}
    assert len(found.folds) == 16
    y = np.tile([True, False], len(X) // 2)
    known = groups != "q00"
    train = known & np.array([found.folds[name] != 1 for name in groups])
    assert np.allclose(found.unit[1], mean_difference(X[train], y[train]), atol=1e-4)


def test_labels_stand_where_nothing_was_probed(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), {2: noise, 3: direction, 4: noise})
    table_of(run).to_csv(tmp_path / "even.csv", index=False)
    (found,) = find(run, labels=str(tmp_path / "even.csv"), layers=None, position=None)
    assert (found.layer, found.position) == (3, "pre_answer")


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("q99,0,true", r"labels.csv:3: the run .* has no trace of question_id 'q99'"),
        ("q01,70,true", r"labels.csv:3: .* with sample_index 70: leave the row out"),
        ("q01,one,true", r"labels.csv:3: sample_index is 'one': give a whole number"),
        ("q01,1.5,true", r"labels.csv:3: sample_index is '1.5'"),
        ("q01,inf,true", r"labels.csv:3: sample_index is 'inf'"),
        ("q01,1,maybe", r"labels.csv:3: label is 'maybe': give true or false"),
        ("q01,1,", r"labels.csv:3: label is '': .* leave out traces without a label"),
        ("q01,0,false", r"labels.csv:3: question_id 'q01', sample_index 0 has a label already"),
        ("q01,0", r"labels.csv:3: has more or fewer fields"),
    ],
)
def test_a_bad_row_of_labels_is_named(tmp_path: Path, row: str, match: str) -> None:
    run = planted(tmp_path, given(), direction)
    file = tmp_path / "labels.csv"
    file.write_text(f"question_id,sample_index,label\nq01,0,true\n{row}\n")
    with pytest.raises(InputError, match=match):
        find(run, labels=str(file))


def test_a_table_without_labels_is_refused(tmp_path: Path) -> None:
    run = planted(tmp_path, given(), direction)
    file = tmp_path / "labels.csv"
    file.write_text("question_id,sample_index\nq01,0\n")
    with pytest.raises(InputError, match=r"labels.csv:2: there is no column 'label'"):
        find(run, labels=str(file))
    file.write_text("question_id,sample_index,label\n")
    with pytest.raises(InputError, match="has no rows: give question_id, sample_index and label"):
        find(run, labels=str(file))
    with pytest.raises(InputError, match=r"labels are read from .*\.csv"):
        find(run, labels=str(tmp_path / "labels.txt"))
