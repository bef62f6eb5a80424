"""Concept vectors: on held-out questions only, TCAV's test on a planted model, and steering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planted_features import DIRECTIONS, given, telling_run
from planted_model import GAIN, plant
from planted_model import planted_run as walking_run

from analysis.answer_table import answers as extract_answers
from analysis.hidden_states import capture
from analysis.interventions import intervene
from analysis.state_features import features
from analysis.state_features.contract import Training
from analysis.state_features.linear import cav, concept_vectors
from analysis.state_features.states import training_questions
from analysis.state_features.stored_features import load_features
from analysis.state_features.tcav import sensitivity
from analysis.steps import segment
from cot.errors import InputError
from cot.store.run import Run

pytestmark = pytest.mark.slow

LAYER = 3
"""Of the planted model: `decide` is in its states from layer 2 on."""


def write_labels(path: Path, labels: dict[tuple[str, int], bool]) -> str:
    rows = [{"question_id": q, "sample_index": i, "label": v} for (q, i), v in labels.items()]
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path)


def correct(run: Run) -> dict[tuple[str, int], bool]:
    rows = run.table("answers")[["question_id", "sample_index", "correct"]]
    return {(str(q), int(i)): bool(v) for q, i, v in rows.itertuples(index=False)}


def findings(run: Run, measure: str) -> pd.DataFrame:
    table = run.table("findings_features")
    return table[table["measure"] == measure].reset_index(drop=True)


# -- the vector ------------------------------------------------------------------------------------


def test_a_concept_vector_points_to_the_concept(tmp_path: Path) -> None:
    run = telling_run(tmp_path)
    file = write_labels(tmp_path / "right.csv", correct(run))
    table = features(run, method=["cav"], labels=file, tcav=False)
    own = table[table["method"] == "cav"]
    assert len(own) == 1
    assert own["concept"].tolist() == ["right"]
    stored = load_features(run.path / "features" / "cav.safetensors")
    assert stored.fit.concept == "right"
    assert stored.made.directions[0] @ DIRECTIONS[0] > 0.7
    found = findings(run, "concept_auroc")
    assert found["subject"].tolist() == ["cav of right"]
    assert found["estimate"].iloc[0] > 0.85


def test_it_is_measured_on_held_out_questions_only(tmp_path: Path) -> None:
    """Labels of training questions alone make the vector; those of held-out ones its AUROC."""
    run = telling_run(tmp_path)
    truth = correct(run)
    held = held_out(run)
    turned = {key: value != (key[0] in held) for key, value in truth.items()}
    vectors = []
    for name, labels in (("same", truth), ("turned", turned)):
        file = write_labels(tmp_path / f"{name}.csv", labels)
        features(run, method=["cav"], labels=file, tcav=False)
        vectors.append(load_features(run.path / "features" / "cav.safetensors").made.directions)
        row = findings(run, "concept_auroc").iloc[0]
        assert row["n_traces"] == 64
        assert row["estimate"] > 0.85 if name == "same" else row["estimate"] < 0.15
    assert (vectors[0] == vectors[1]).all()


def test_traces_without_a_label_are_counted(tmp_path: Path) -> None:
    run = telling_run(tmp_path)
    some = {key: value for key, value in correct(run).items() if key[1] < 4 or key[0] < "q08"}
    features(run, method=["cav"], labels=write_labels(tmp_path / "some.csv", some), tcav=False)
    row = findings(run, "concept_auroc").iloc[0]
    assert row["n_excluded"] == 128 - len(some)
    stored = load_features(run.path / "features" / "cav.safetensors").fit
    assert stored.n == 64 - 4 * sum(name >= "q08" for name in set(given()) - held_out(run))


def held_out(run: Run, seed: int = 0) -> set[str]:
    names = set(run.questions()["question_id"])
    return names - training_questions(sorted(names), seed)


def test_one_label_makes_no_concept(tmp_path: Path) -> None:
    run = telling_run(tmp_path)
    file = write_labels(tmp_path / "all.csv", dict.fromkeys(correct(run), True))
    with pytest.raises(InputError, match="have the same label"):
        features(run, method=["cav"], labels=file, tcav=False)


def test_the_classifier_is_least_squares_with_a_penalty() -> None:
    """Against the normal equations in the coordinates, one labelling at a time."""
    random = np.random.default_rng(0)
    X, labels = random.normal(size=(30, 5)), random.random((3, 30)) < 0.5
    centred = X - X.mean(axis=0)
    penalty = 2.0 * np.square(centred).sum() / 30
    for y, found in zip(labels, concept_vectors(X, labels, ridge=2.0), strict=True):
        signs = np.where(y, 1.0, -1.0)
        weight = np.linalg.solve(
            centred.T @ centred + penalty * np.eye(5), centred.T @ (signs - signs.mean())
        )
        assert np.allclose(found, weight / np.linalg.norm(weight))


def test_a_concept_value_is_0_half_way_between_the_means() -> None:
    X = np.array([[0.0, 1.0], [2.0, 1.0], [0.0, 1.0], [2.0, 1.0]])
    training = Training(vectors=X, questions=np.zeros(4), traces=np.arange(4), labels=X[:, 0] > 1)
    made = cav(training, n_features=1, seed=0)
    assert made.encode(X)[:, 0] == pytest.approx([-1, 1, -1, 1])


# -- TCAV's test -----------------------------------------------------------------------------------


def labelled(seed: int, carried: bool) -> tuple[Training, np.ndarray[Any, Any]]:
    """Labels that the states' first coordinate carries, or that nothing does; and its vector."""
    random = np.random.default_rng(seed)
    y = random.random(60) < 0.5
    X = random.normal(size=(60, 8))
    X[:, 0] += 3 * y * carried
    training = Training(
        vectors=X, questions=np.repeat(np.arange(10), 6), traces=np.arange(60), labels=y
    )
    return training, cav(training, n_features=1, seed=0).directions[0]


def gradients(seed: int) -> pd.DataFrame:
    """The answer reacts to the first coordinate alone, and to noise."""
    random = np.random.default_rng(seed)
    G = 0.3 * random.normal(size=(40, 8))
    G[:, 0] += 1.0
    return pd.DataFrame(
        {"question_id": np.repeat(np.arange(10), 4).astype(str), "gradient": list(G)}
    )


def test_a_planted_concept_differs_from_random_ones() -> None:
    test = sensitivity(*labelled(0, carried=True), gradients(0), seed=0)
    assert test.score > 0.95
    assert test.low > 0.9
    assert test.p < 0.05
    assert test.derivative == pytest.approx(1.0, abs=0.15)
    assert test.derivative > test.random
    assert (test.n_questions, test.n_traces) == (10, 40)


def test_labels_that_hold_nothing_differ_in_one_of_twenty() -> None:
    """p ≤ 0.05 in at most 6 of 50 seeds but for 1 in 80, although all vectors have a gradient."""
    found = [
        sensitivity(*labelled(seed, carried=False), gradients(seed), seed=seed).p
        for seed in range(50)
    ]
    assert sum(p <= 0.05 for p in found) <= 6


def test_without_traces_nothing_is_said() -> None:
    test = sensitivity(*labelled(0, carried=True), gradients(0)[:0], seed=0)
    assert np.isnan(test.score)
    assert test.n_traces == 0


# -- on a model ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the planted model whose right answers are those of traces that turn left."""
    model = plant(tmp_path_factory.mktemp("planted"))
    run = walking_run(tmp_path_factory.mktemp("run"), model, n_questions=12, n=8, golds="A")
    extract_answers(run)
    segment(run)
    capture(run, layers=[LAYER], positions=["step_end", "pre_answer"])
    return run


def meta_labels(run: Run, name: str) -> dict[tuple[str, int], bool]:
    traces = run.traces(["meta"])
    keys = zip(traces["question_id"], traces["sample_index"], strict=True)
    return {
        (str(q), int(i)): bool(meta[name])
        for (q, i), meta in zip(keys, traces["meta"], strict=True)
    }


def test_the_planted_concept_moves_the_answer_and_a_random_one_does_not(
    tmp_path: Path, walks: Run
) -> None:
    """The turn decides between the right and the wrong answer; a coin decides nothing."""
    asked: dict[str, Any] = {"method": ["cav"], "position": "pre_answer", "layer": LAYER}
    file = write_labels(tmp_path / "left.csv", meta_labels(walks, "left"))
    features(walks, labels=file, **asked)
    found = findings(walks, "tcav").iloc[0]
    assert found["estimate"] == 1.0
    assert found["p"] < 0.05
    assert found["n_traces"] == 48
    random = np.random.default_rng(0)
    coin = {key: bool(random.random() < 0.5) for key in meta_labels(walks, "left")}
    features(walks, labels=write_labels(tmp_path / "coin.csv", coin), **asked)
    assert findings(walks, "tcav").iloc[0]["p"] > 0.05


def test_gradients_are_those_of_the_closed_form(
    tmp_path: Path, walks: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step of c along `decide` before the answer adds 2 GAIN c to the log-odds of A, to within
    3 %; nothing else moves them."""
    seen: list[pd.DataFrame] = []
    monkeypatch.setattr(
        "analysis.state_features.sensitivity",
        lambda *given: seen.append(given[2]) or sensitivity(*given),
    )
    file = write_labels(tmp_path / "left.csv", meta_labels(walks, "left"))
    features(walks, method=["cav"], labels=file, position="pre_answer", layer=LAYER)
    G = np.stack(seen[0]["gradient"].tolist())
    assert np.linalg.norm(G, axis=1) == pytest.approx(2 * GAIN, rel=0.05)
    # towards the right answer A in traces that state A, and in those that state B
    assert (G @ G[0] > 0).all()


def test_a_steered_feature_moves_the_answer_beyond_random_directions(
    tmp_path: Path, walks: Run
) -> None:
    file = write_labels(tmp_path / "left.csv", meta_labels(walks, "left"))
    features(walks, method=["cav"], labels=file, position="pre_answer", layer=LAYER, tcav=False)
    stored = walks.path / "features" / "cav.safetensors"
    effects = intervene(
        walks,
        method=["steering", "ablation"],
        direction=f"{stored}:0",
        strengths=[-0.1, 0.1],
        random_directions=4,
    )
    steered = effects[(effects["method"] == "steering") & (effects["measure"] == "slope")]
    assert set(steered["layer"]) == {LAYER}
    row = steered[steered["control"] == "random"].iloc[0]
    assert abs(row["effect"]) > 5 * abs(row["control_effect"])
    # only questions that the vector was not fitted on are acted on
    acted = set(walks.table("interventions")["question_id"])
    assert acted == held_out(walks)
