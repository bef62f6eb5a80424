"""`geometry` and `states` on planted hidden states: every table, each finding and its control."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small import run_with_answers
from written import write_table

from analysis.answer_table import answers as extract_answers
from analysis.hidden_states.stored_states import choose_place
from analysis.state_geometry import geometry, similarity, states, trajectories
from analysis.state_geometry.clusters import cluster_hidden
from analysis.state_geometry.eigen_score import score_questions
from cot.cli import main
from cot.errors import InputError
from cot.store.run import Run
from cot.store.vectors import Place, VectorWriter

pytestmark = pytest.mark.slow

WIDTH, N_QUESTIONS, N_TRACES = 24, 10, 6
LAYERS = (2, 4)


@pytest.fixture(autouse=True)
def _few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trajectories, "SHUFFLES", 49)
    monkeypatch.setattr(similarity, "SHUFFLES", 19)
    monkeypatch.setattr(similarity, "PAIRINGS", 49)


def planted(path: Path, *, gold: str | None = "1", apart: float = 0.0) -> Run:
    """Traces 0 to 2 are of one kind and 3 to 5 of another at `pre_answer`; even ones are right.

    Right and wrong steps lie `apart`. Trace 0 of q0 is flagged; trace 1 of q0 has no answer.
    """
    answers: dict[str, tuple[str | None, list[str | None]]] = {
        f"q{i}": (gold, ["1" if j % 2 == 0 else "2" for j in range(N_TRACES)])
        for i in range(N_QUESTIONS)
    }
    answers["q0"][1][1] = None
    run = run_with_answers(path, answers)
    extract_answers(run)
    random = np.random.default_rng(0)
    common, other = 20 * np.ones(WIDTH), 24 * np.eye(WIDTH)[0]
    gaps = []
    with VectorWriter(run.path / "activations", model="planted", revision="0") as writer:
        for name in answers:
            own = random.normal(size=WIDTH)

            def states(rows: Any, own: Any = own) -> dict[int, Any]:
                noise = random.normal(size=(len(LAYERS), len(rows), WIDTH))
                return {
                    k: common + own + rows + each for k, each in zip(LAYERS, noise, strict=True)
                }

            writer.add([Place(name, None, "prompt_end", None, -1)], states(np.zeros((1, WIDTH))))
            for trace in range(N_TRACES):
                steps = [Place(name, trace, "step_end", s, s) for s in range(2)]
                way = apart * np.eye(WIDTH)[[5, 6]] * (trace % 2)
                writer.add(steps, states(way))
                if (name, trace) != ("q0", 1):
                    place = Place(name, trace, "pre_answer", None, 1)
                    writer.add([place], states(other[None] * (trace // 3)))
                gaps.append((name, trace, 3, 9.0 if (name, trace) == ("q0", 0) else 1e-4))
    columns = ["question_id", "sample_index", "n_tokens", "max_logprob_gap"]
    write_table(
        run,
        "logprob_gaps",
        pd.DataFrame(gaps, columns=columns).eval("flagged = max_logprob_gap > 0.5"),
        command="capture",
        parameters={},
        inputs=["traces"],
    )
    return run


def test_every_table_and_finding(tmp_path: Path) -> None:
    run = planted(tmp_path, apart=4)
    findings = geometry(run).set_index("measure")
    n_traces = N_QUESTIONS * N_TRACES - 1

    clusters = run.table("hidden_clusters")
    assert set(clusters["position"]) == {"step_end", "pre_answer"}
    assert len(clusters) == len(LAYERS) * (2 * n_traces - 1)
    assert not ((clusters["question_id"] == "q0") & (clusters["sample_index"] == 0)).any()
    here = clusters[clusters["position"] == "pre_answer"]
    assert (here.groupby("layer")["threshold"].nunique() == 1).all()
    kind = here["sample_index"] // 3
    pairs = here.assign(kind=kind).groupby(["question_id", "layer"])
    assert (pairs["cluster"].nunique() == 2).all()
    assert (pairs.apply(lambda mine: len(mine[["kind", "cluster"]].drop_duplicates())) == 2).all()
    assert findings.loc["hidden_clusters_per_question", "estimate"] == 2

    similarity = run.table("similarity")
    layers = similarity[similarity["what"] == "layers"].set_index(["kind", "position"])
    assert len(layers) == 2 * 3
    assert layers.loc[("cka", "pre_answer"), "value"] > 0.5  # what is planted in both layers
    assert layers.loc[("cka", "prompt_end"), "n"] == N_QUESTIONS
    right_wrong = similarity[similarity["what"] == "right_wrong"]
    assert len(right_wrong) == 2 * 2 * len(LAYERS)
    assert set(right_wrong["n"]) == {N_QUESTIONS}
    assert right_wrong[["null_mean", "shuffled_mean", "p", "p_paired"]].notna().all(axis=None)
    cka = findings.loc["right_wrong_cka"]
    chosen = right_wrong.set_index(["kind", "position", "layer"]).loc[("cka", "pre_answer", 4)]
    assert cka["estimate"] == chosen["value"]
    loss = findings.loc["right_wrong_cka_loss"]
    assert loss["estimate"] == pytest.approx(chosen["shuffled_mean"] - chosen["value"])
    assert loss["low"] <= loss["estimate"] <= loss["high"]

    dimension = run.table("dimension").set_index(["layer", "position"])
    assert dimension.loc[(4, "pre_answer"), "n"] == n_traces - 1
    assert dimension.loc[(4, "pre_answer"), "dimension"] > 3
    assert np.isnan(dimension.loc[(4, "prompt_end"), "dimension"])  # ten points

    scores = run.table("eigen_scores")
    assert len(scores) == 2 * len(LAYERS) * N_QUESTIONS
    assert scores["eigen_score"].notna().all()

    drawn = run.table("state_map")
    assert len(drawn) == n_traces - 1
    assert (drawn["layer"].iloc[0], drawn["position"].iloc[0]) == (4, "pre_answer")

    ways = run.table("trajectories")
    assert len(ways) == n_traces * 3
    assert (
        ways.groupby(["question_id", "sample_index"])["step"]
        .apply(list)
        .map(str)
        .eq("[-1, 0, 1]")
        .all()
    )
    start = ways[ways["step"] == -1].groupby("question_id")[["x", "y"]].nunique()
    assert (start == 1).all(axis=None)
    for name in ("right_wrong_gap", "right_wrong_gap_same_length"):
        assert findings.loc[name, "p"] == pytest.approx(1 / 50)
        assert findings.loc[name, "low"] > 0
        assert findings.loc[name, "n_traces"] == n_traces - 1
        assert findings.loc[name, "n_excluded"] == 2
    assert not any(run.stale(name) for name in run.tables())


def test_nothing_planted_between_right_and_wrong(tmp_path: Path) -> None:
    findings = geometry(planted(tmp_path), layers=[4], dimension=False).set_index("measure")
    found = findings.loc["right_wrong_gap"]
    assert found["low"] < 0 < found["high"]
    assert findings.loc["right_wrong_cka_loss", "p"] > 0.05
    assert findings.loc["intrinsic_dimension", "method"] == "not asked for"


def test_without_gold_there_is_no_right_and_wrong(tmp_path: Path) -> None:
    run = planted(tmp_path, gold=None)
    findings = geometry(run, layers=[4], dimension=False).set_index("measure")
    assert findings.loc["hidden_clusters_per_question", "estimate"] == 2
    judged = findings[findings.index.str.startswith("right_wrong")]
    assert judged["estimate"].isna().all()
    assert len(judged) == 4
    assert len(run.table("trajectories")) > 0


def test_one_position_and_one_layer(tmp_path: Path) -> None:
    run = planted(tmp_path)
    findings = geometry(run, layers=[2], positions=["pre_answer"], dimension=False)
    for name in ("similarity", "dimension", "state_map"):
        assert set(run.table(name)["layer"]) <= {2}
    assert len(run.table("trajectories")) == 0
    assert findings["method"].str.contains("layer 2").sum() >= 2
    assert run.provenance("similarity").parameters["layers"] == [2]


def test_clusters_of_other_places_do_not_stand_for_this_one(tmp_path: Path) -> None:
    run = planted(tmp_path)
    states(run, layers=[2])
    findings = geometry(run, layers=[4], dimension=False).set_index("measure")
    assert findings.loc["hidden_clusters_per_question", "estimate"] == 2
    assert findings.loc["hidden_clusters_per_question", "n_questions"] == N_QUESTIONS
    assert set(run.table("hidden_clusters")["layer"]) == {2}


def test_mean_eigen_scores_and_trajectory_means_are_of_the_tables(tmp_path: Path) -> None:
    run = planted(tmp_path, apart=4)
    geometry(run, dimension=False)
    scores, means = run.table("eigen_scores"), run.table("eigen_layers")
    expected = scores.groupby(["layer", "position"])["eigen_score"].mean()
    assert means.set_index(["layer", "position"])["eigen_score"].to_dict() == pytest.approx(
        expected.to_dict()
    )
    assert (means["low"] <= means["eigen_score"]).all()
    ways = run.table("trajectories").merge(
        run.table("answers")[["question_id", "sample_index", "status", "correct"]]
    )
    ways = ways[(ways["status"] == "ok") & (ways["step"] == 1)].astype({"correct": bool})
    steps = run.table("trajectory_steps").set_index(["what", "step"])
    sides = ways.groupby("correct")[["x", "y"]]
    for what, right in (("right", True), ("wrong", False)):
        assert steps.loc[(what, 1), "x"] == pytest.approx(sides.mean().loc[right, "x"])
        assert steps.loc[(what, 1), "y_spread"] == pytest.approx(sides.std().loc[right, "y"])
    within = ways.groupby(["question_id", "correct"])["x"].mean().unstack()
    found = steps.loc[("difference", 1)]
    assert found["x"] == pytest.approx((within[True] - within[False]).mean())
    assert found["n_questions"] == N_QUESTIONS
    assert steps.loc[("right", 1), ["x_low", "x_high"]].isna().all()


def test_what_others_need_alone(tmp_path: Path) -> None:
    run = planted(tmp_path)
    assert set(cluster_hidden(run, positions=["pre_answer"])["layer"]) == set(LAYERS)
    assert set(score_questions(run, layers=[4])["position"]) == {"step_end", "pre_answer"}
    assert not {"similarity", "findings_geometry"} & set(run.tables())
    assert choose_place(run, None, None) == (4, "pre_answer")
    assert choose_place(run, 2, "step_end") == (2, "step_end")
    with pytest.raises(InputError, match=r"layer 9 at None.*2 at step_end"):
        choose_place(run, 9, None)


def test_places_that_only_traces_beyond_the_gap_have(tmp_path: Path) -> None:
    run = planted(tmp_path)
    gaps = run.table("logprob_gaps").assign(flagged=True)
    gaps.loc[gaps.index[1], "flagged"] = False  # trace 1 of q0, which has no answer
    write_table(run, "logprob_gaps", gaps, command="capture", parameters={}, inputs=["traces"])
    findings = geometry(run).set_index("measure")
    assert findings.drop(columns=["method", "seed"])["estimate"].isna().all()
    assert set(run.table("hidden_clusters")["position"]) == {"step_end"}
    write_table(
        run,
        "logprob_gaps",
        gaps.assign(flagged=True),
        command="capture",
        parameters={},
        inputs=["traces"],
    )
    with pytest.raises(InputError, match="no trace lies within the log-probability gap"):
        geometry(run)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": ["prompt_end"]}, "differ between a question's traces"),
        ({"layers": [7]}, "was not captured"),
        ({"map_method": "globe"}, "choose from pca"),
    ],
)
def test_wrong_use_is_said_before_anything_is_made(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    run = planted(tmp_path)
    with pytest.raises(InputError, match=message):
        geometry(run, dimension=False, **arguments)
    assert "hidden_clusters" not in run.tables()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = planted(tmp_path)
    asked = ["--layers", "4", "--positions", "pre_answer", "--no-dimension", "--json"]
    assert main(["geometry", str(run.path), *asked]) == 0
    found = {row["measure"]: row for row in json.loads(capsys.readouterr().out)["findings"]}
    assert found["hidden_clusters_per_question"]["estimate"] == 2
    assert found["intrinsic_dimension"]["estimate"] is None
