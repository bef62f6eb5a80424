"""Rules and signals that read hidden states, by hand and on a run with planted tables."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from written import write_table

import analysis
from analysis.answer_table import answers as extract_answers
from analysis.columns import columns, made_from
from analysis.voting import load_rule, outcomes
from analysis.voting.contract import check_vote_rule
from cot.errors import InputError
from cot.store.vectors import Place, VectorWriter
from tests.small import run_with_answers

STATE = "state@middle@pre_answer"


def question(answers, **extra):
    return pd.DataFrame(
        {"question_id": "q", "sample_index": range(len(answers)), "answer": answers, **extra}
    ).assign(status="ok", correct=True, group="q")


def weights(spec, answers, **extra):
    return load_rule(spec).weigh(question(answers, **extra))


def test_representation_by_hand():
    """Two traces at 60°, one alone: V = λ cos 60° + (1 - λ) 2/3, and (1 - λ) 1/3."""
    states = [np.array([2.0, 0.0]), np.array([0.5, np.sqrt(0.75)]), np.array([0.0, 3.0])]
    found = weights("representation", ["1", "1", "2"], **{STATE: states})
    first = 0.35 * 0.5 + 0.65 * 2 / 3
    np.testing.assert_allclose(found, [first / 2, first / 2, 0.65 / 3])
    found = weights("representation:singleton=1", ["1", "1", "2"], **{STATE: states})
    np.testing.assert_allclose(found[2], 0.35 + 0.65 / 3)
    opposite = [np.array([1.0, 0.0]), np.array([-1.0, 0.0]), None]
    found = weights("representation:share=1", ["1", "1", "2"], **{STATE: opposite})
    np.testing.assert_array_equal(found, [0.0, 0.0, np.nan])


def test_representation_turns_the_majority_where_its_traces_scatter():
    states = [*np.eye(3), np.array([0.0, 1, 1]), np.array([0.0, 1, 1])]
    asked = question(["1", "1", "1", "2", "2"], **{STATE: states})
    vote = outcomes(asked, load_rule("representation")).iloc[0]
    one, two = 0.65 * 3 / 5, 0.35 + 0.65 * 2 / 5
    assert vote["answer"] == "2"
    assert vote["share"] == pytest.approx(two / (one + two))


def test_weights_from_columns():
    np.testing.assert_array_equal(weights("probe", ["1", "2"], probe=[0.2, np.nan]), [0.2, np.nan])
    both = {"consistency": [0.5, 1.0], "consistency_calibrated": [0.25, 0.0]}
    np.testing.assert_array_equal(weights("internal_consistency", ["1", "2"], **both), [0.5, 1.0])
    spec = "internal_consistency:consistency=consistency_calibrated"
    np.testing.assert_array_equal(weights(spec, ["1", "2"], **both), [0.25, 0.0])


@pytest.mark.parametrize("spec", ["representation:fit=true", "representation:singleton=1"])
def test_the_contract_with_parameters(spec):
    check_vote_rule(spec)


@pytest.fixture
def run(tmp_path):
    """Four questions; states of one direction for right traces, at layers 2, 8 and 16."""
    made = run_with_answers(tmp_path / "run", {f"q{i}": ("1", ["1", "1", "2"]) for i in range(4)})
    answers = extract_answers(made)
    keys = answers[["question_id", "sample_index"]]
    right = answers["correct"].to_numpy(bool)
    with VectorWriter(made.path / "activations", model="planted", revision="0") as writer:
        for name, index, correct in zip(*keys.to_numpy().T, right, strict=True):
            vector = np.array([[1.0, float(correct)]])
            place = Place(name, int(index), "pre_answer", None, 1)
            writer.add([place], {layer: vector * layer for layer in (2, 8, 16)})
    write_table(
        made,
        "logprob_gaps",
        keys.assign(n_tokens=3, max_logprob_gap=0.0, flagged=keys.index == 0),
        command="capture",
        parameters={},
        inputs=["traces"],
    )
    lens = keys.assign(consistency=np.where(right, 0.9, 0.1), consistency_calibrated=0.5)
    lens = lens.assign(commitment_layer=3, coe_r=np.where(right, 2.0, 1.0), coe_c=1.0)
    scores = keys.assign(target="correct", layer=8, position="pre_answer", score=0.3)
    scores = pd.concat(
        [scores.assign(chosen=False), scores.assign(layer=2, score=right * 0.9, chosen=True)]
    )
    eigen = pd.DataFrame({"question_id": keys["question_id"].unique(), "layer": 8})
    eigen = eigen.assign(position="pre_answer", eigen_score=[1.0, 2.0, 3.0, 4.0], n=3)
    for name, table in {"lens_traces": lens, "probe_scores": scores, "eigen_scores": eigen}.items():
        write_table(made, name, table, command="x", parameters={}, inputs=["answers"])
    return made


def test_columns_of_the_inside(run):
    answers = run.table("answers")
    found = columns(run, answers, ["probe", "consistency", "coe_r", STATE, "state@2@pre_answer"])
    assert found["probe"].tolist() == [0.9, 0.9, 0.0] * 4
    assert found["consistency"].tolist() == [0.9, 0.9, 0.1] * 4
    assert found[STATE].iloc[0] is None  # its replay is flagged
    np.testing.assert_allclose(found[STATE].iloc[1], [8, 8])
    np.testing.assert_allclose(found["state@2@pre_answer"].iloc[2], [2, 0])
    assert made_from([STATE, "probe", "coe_r", "mean_logp"]) == [
        "activations",
        "lens_traces",
        "probe_scores",
    ]
    with pytest.raises(InputError, match="has layers 2, 8, 16 at 'pre_answer', not layer 5"):
        columns(run, answers, ["state@5@pre_answer"])


@pytest.mark.slow
def test_votes_and_signals_on_a_run(run):
    rules = ["probe", "internal_consistency", "representation"]
    votes = analysis.vote(run, rule=rules)
    assert votes["correct"].all()
    assert {"activations", "lens_traces", "probe_scores"} <= set(run.provenance("votes").inputs)
    lone = votes[(votes["rule"] == "representation") & (votes["question_id"] == "q0")]
    assert lone["n_excluded"].iloc[0] == 1
    curve = analysis.curve(run, rule=["majority", "representation"], n=[1, 3])
    assert curve.query("n == 3")["accuracy"].tolist() == [1.0, 1.0]
    table = analysis.calibrate(run).set_index("signal")
    assert table.loc[["probe", "consistency", "coe_r"], "auroc"].tolist() == [1.0] * 3
    assert table.loc["commitment_layer", "auroc"] == 0.5
    assert table.loc["eigen_score", "unit"] == "question"


@pytest.mark.slow
def test_all_leaves_out_what_only_the_model_could_make(tmp_path, caplog):
    run = run_with_answers(tmp_path / "run", {"q": ("1", ["1", "2"])})
    with caplog.at_level(logging.INFO, "cot"):
        votes = analysis.vote(run, rule=["all"])
    assert not {"probe", "internal_consistency", "representation"} & set(votes["rule"])
    assert "rule representation is left out: no activations" in caplog.text
