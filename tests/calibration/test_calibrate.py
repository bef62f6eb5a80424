"""Signals of a run: what is read, what is left out and counted, what is said."""

import json

import numpy as np
import pandas as pd
import pytest
from written import write_table

from analysis.calibration import calibrate
from analysis.calibration.scores import score
from analysis.calibration.signals import Signal, signal_named
from analysis.calibration.targets import Target
from analysis.columns import OTHERS
from analysis.commands import calibrate as calibrate_command
from analysis.findings import pick
from cot.console import Output
from cot.errors import InputError
from cot.store.run import create_run
from cot.types import Completion, Question, Trace
from tests.small import run_with_answers

GIVEN = {
    "a": ("7", ["7", "7", "7", "8"]),  # majority right, share 3/4
    "b": ("1", ["2", "2", "1", None]),  # majority wrong, share 2/3
    "c": ("5", ["5", "5", "5", "5"]),  # right, 1
    "d": ("5", [None, None, None, None]),  # abstains
    "e": (None, ["4", "4", "5", "5"]),  # no gold
}
ASKED = ("vote_share", "margin", "answer_entropy", "length_control")


def scored(values, correct, question=None, **more):
    """One signal's row."""
    question = np.arange(len(correct)) if question is None else np.asarray(question)
    given = {"name": "s", "unit": "question", "read": lambda judged: values} | more
    y = np.asarray(correct, dtype=bool)
    target = Target(
        correct=y, question=question, tied=np.zeros(len(y), bool), no_gold=0, no_answer=0
    )
    return score(Signal(**given), np.asarray(values, dtype=float), target)[0]


def rich_run(folder, without=None):
    """Two questions of two right and two wrong traces: every number higher where right."""
    run = create_run(folder / "run", {"model": None})
    with run.lock():
        run.add_questions([Question(id=name, text=f"{name}?", gold="7") for name in "ab"])
        with run.writer() as writer:
            for name, shift in (("a", 0.0), ("b", 1.0)):
                for index in range(4):
                    right = index < 2
                    tokens = np.full(4 + index, -0.1 - shift - (not right), np.float32)
                    completion = Completion(
                        text=f"The answer is {7 if right else 8 + index}.",
                        token_ids=tuple(range(len(tokens))),
                        logprobs=None if (name, index) == without else tokens,
                        top_means=tokens * 4,
                        finish_reason="stop",
                    )
                    meta = {"confidence": 0.9 - 0.4 * shift - 0.2 * (not right), "mood": 1 + right}
                    key = {"question_id": name, "sample_index": index, "seed": None}
                    trace = Trace(**key, prompt_sha=None, completion=completion, meta=meta)
                    writer.add(trace)
    return run


@pytest.mark.slow
def test_numbers_and_counts_by_hand(tmp_path):
    run = run_with_answers(tmp_path, GIVEN)
    table = calibrate(run, ASKED).set_index("signal")
    # right majorities: 3/4 and 1; the wrong one: 2/3
    assert table.loc["vote_share", ["auroc", "auprc", "prr"]].to_list() == [1, 1, 1]
    assert table.loc["vote_share", "prevalence"] == pytest.approx(2 / 3)
    brier = ((1 / 4) ** 2 + (2 / 3) ** 2 + 0) / 3
    assert table.loc["vote_share", "brier"] == pytest.approx(brier)
    assert table.loc["vote_share", "ece"] == pytest.approx((1 / 4 + 2 / 3 + 0) / 3)
    assert table.loc["vote_share", "aurc"] == pytest.approx((0 + 0 + 1 / 3) / 3)
    counts = ["n", "n_questions", "no_gold", "no_answer", "no_signal"]
    assert table.loc["vote_share", counts].to_list() == [3, 3, 1, 1, 0]
    assert table.loc["length_control", counts].to_list() == [11, 3, 4, 5, 0]
    assert table.loc["answer_entropy", "confident"] == "low"
    assert table.loc["answer_entropy", "auroc"] == 1  # .56 and 0 against .64
    assert table.loc[["margin", "answer_entropy"], ["brier", "ece"]].isna().all(axis=None)
    entropies = [-0.75 * np.log(0.75) - 0.25 * np.log(0.25)]
    entropies += [-2 / 3 * np.log(2 / 3) - 1 / 3 * np.log(1 / 3), 0, np.log(2)]
    finding = pick(run.table("findings_calibrate"), "mean_answer_entropy")
    assert finding["estimate"] == pytest.approx(np.mean(entropies))
    assert (finding["n_questions"], finding["n_excluded"]) == (4, 1)


@pytest.mark.slow
def test_signals_of_every_kind(tmp_path):
    run = rich_run(tmp_path)
    paths = pd.DataFrame(
        [(name, index, index % 2, index // 2, 2) for name in "ab" for index in range(4)],
        columns=["question_id", "sample_index", "cluster", "n_wrong", "n_checked"],
    )
    write_table(run, "paths", paths, command="paths", parameters={}, inputs=["traces"])
    table = calibrate(run).set_index("signal")
    assert list(table.index) == [
        *("vote_share", "margin", "answer_entropy", "weighted_entropy", "cluster_entropy"),
        *("wrong_equations", "mean_logp", "tail_logp", "sum_logp", "perplexity"),
        *("mean@2048", "tail@2048"),
        *("lowest@2048", "bottom@2048", "confidence", "length_control"),
    ]
    # right: -.1 and -1.1; wrong: -1.1 and -2.1, twice each; the ties are across questions
    assert table.loc["mean_logp", "auroc"] == pytest.approx((3 + 1 / 2) / 4)
    assert table.loc["perplexity", "auroc"] == table.loc["mean_logp", "auroc"]
    assert table.loc["mean_logp", "wqd"] == table.loc["confidence", "wqd"] == 1
    assert table.loc["lowest@2048", "wqd"] == 0  # surprise was made high where right is rare
    assert table.loc["confidence", "brier"] == pytest.approx(
        np.mean([0.1**2, 0.5**2, 0.7**2, 0.3**2])
    )
    assert table.loc["cluster_entropy", "note"].startswith("all 2 majorities are right")
    assert table.loc["length_control", "note"].startswith("a control: ")
    assert (table.loc["length_control", "wqd"], table["n_within"].max()) == (1, 2)
    named = calibrate(run, ["mean@2", "mood"]).set_index("signal")
    assert named.loc["mood", ["auroc", "wqd", "probability"]].to_list() == [1, 1, False]


def test_weighted_entropy_is_missing_where_a_ballot_has_no_log_probability(tmp_path):
    run = rich_run(tmp_path, without=("a", 1))
    rows = calibrate(run, ["weighted_entropy", "mean_logp"])
    assert rows[["n", "no_signal"]].to_numpy().tolist() == [[1, 1], [7, 1]]


def test_ties_are_counted(tmp_path):
    given = {"a": ("7", ["7", "8"]), "b": ("1", ["2", "2"]), "c": ("1", ["1", "2", "1"])}
    table = calibrate(run_with_answers(tmp_path, given), ["margin", "length_control"])
    assert table["n_tied"].to_list() == [1, 0]


@pytest.mark.slow
def test_surplus_traces_neither_vote_nor_count(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7", "8", "8"]), "b": ("1", ["2", "1", "1"])})
    calibrate(run, ["vote_share"])
    answers = run.table("answers").assign(surplus=[False, True, True] * 2)
    write_table(run, "answers", answers, command="answers", parameters={}, inputs=[])
    table = calibrate(run, ["vote_share", "length_control"]).set_index("signal")
    assert table.loc["vote_share", ["n", "brier"]].to_list() == [2, 0.5]
    assert table.loc["length_control", ["n", "no_answer"]].to_list() == [2, 4]


@pytest.mark.slow
def test_a_probe_is_read_at_the_cell_that_was_chosen_without_the_question(tmp_path):
    run = run_with_answers(tmp_path, GIVEN)
    calibrate(run, ["vote_share"])
    keys = run.table("answers")[["question_id", "sample_index", "correct"]].dropna()
    right = keys.pop("correct").astype(float)
    cells = pd.DataFrame({"target": "correct", "layer": [1, 2], "position": "answer"})
    scores = [keys.assign(**cell, score=abs(right - i)) for i, cell in cells.T.items()]
    scores = pd.concat([scores[0].assign(chosen=False), scores[1].assign(chosen=True)])
    write_table(run, "probe_scores", scores, command="probe", parameters={}, inputs=["answers"])
    row = calibrate(run).set_index("signal").loc["probe"]
    assert row[["auroc", "brier", "n"]].to_list() == [0, 1, 11]
    assert "cross-fitted" in row["note"]


@pytest.mark.slow
def test_the_model_is_asked_only_where_p_true_is_named(tmp_path, monkeypatch):
    asked = []

    def p_true(run, answers, queries):
        asked.append((queries.model, len(answers)))
        return answers["correct"].astype(float)

    monkeypatch.setitem(OTHERS, "p_true", p_true)
    run = run_with_answers(tmp_path, GIVEN)
    assert "p_true" not in set(calibrate(run)["signal"])
    assert asked == []
    row = calibrate(run, ["p_true"], model="tiny").iloc[0]
    assert asked == [("tiny", 11)]  # not about traces that are not judged
    assert row[["auroc", "brier", "ece"]].to_list() == [1, 0, 0]


def test_a_constant_is_chance_and_says_so():
    row = scored([0.5] * 4, [1, 0, 1, 0])
    assert (row.auroc, row.low, row.high, row.auprc, row.aurc) == (0.5, 0.5, 0.5, 0.5, 0.5)
    assert row.prr == pytest.approx(0)
    assert row.note == "constant: it ranks nothing"


@pytest.mark.parametrize(("label", "word"), [(1, "right"), (0, "wrong")])
def test_one_class_is_said_and_not_ranked(label, word):
    row = scored([0.2, 0.4], [label] * 2, probability=True)
    ranking = (row.auroc, row.low, row.high, row.auprc, row.prr, row.aurc)
    assert ranking == (None,) * 6
    assert row.brier is not None  # needs no other class
    assert row.note == f"all 2 majorities are {word}: no ranking is scored"


def test_within_questions_difficulty_cannot_help():
    correct, question = [1, 1, 1, 0, 1, 0, 0, 0], [0] * 4 + [1] * 4
    row = scored([0.9] * 4 + [0.1] * 4, correct, question, unit="trace")
    assert row.auroc == 0.75
    assert (row.wqd, row.wqd_low, row.wqd_high) == (0.5, 0.5, 0.5)
    assert (row.within_question_auroc, row.n_within) == (0.5, 2)
    apart = scored([0.9, 0.8], [1, 0], [0, 1], unit="trace")
    assert apart.wqd is None
    assert apart.note == "no question has right and wrong traces"


def test_only_what_lies_between_0_and_1_is_a_probability():
    for values, probability in (([0.0, 1.0], True), ([0.0, 1.5], False)):
        row = scored(values, [0, 1], probability=True)
        assert (row.probability, row.brier is not None, row.ece is not None) == (probability,) * 3


def test_missing_signals_are_counted():
    row = scored([0.1, np.nan, 0.9], [0, 1, 1])
    assert (row.n, row.no_signal, row.auroc) == (2, 1, 1)


def test_curves_are_what_the_numbers_come_from(tmp_path):
    run = rich_run(tmp_path)
    table = calibrate(run, ["confidence", "mean_logp"]).set_index("signal")
    curves = run.table("calibration_curves").set_index(["signal", "kind"])
    bars = curves.loc["confidence", "reliability"]
    gaps = (bars["x"] - bars["y"]).abs() * bars["n"]
    assert gaps.sum() / bars["n"].sum() == pytest.approx(table.loc["confidence", "ece"])
    risk = curves.loc["mean_logp", "risk_coverage"]
    assert risk["y"].mean() == pytest.approx(table.loc["mean_logp", "aurc"])
    assert (risk["x"].iloc[-1], risk["n"].iloc[-1]) == (1, 8)
    assert ("mean_logp", "reliability") not in curves.index


@pytest.mark.slow
def test_without_gold_nothing_is_scored_but_the_entropy(tmp_path):
    run = run_with_answers(tmp_path, {"a": (None, ["7", "8"])})
    table = calibrate(run)
    assert (table["n"] == 0).all()
    assert table["auroc"].isna().all()
    assert set(table["note"].str.split("; ").str[-1]) == {
        "no majorities to score",
        "no traces to score",
    }
    finding = pick(run.table("findings_calibrate"), "mean_answer_entropy")
    assert finding["estimate"] == pytest.approx(np.log(2))


@pytest.mark.slow
def test_the_command_prints_every_signal(tmp_path, capsys):
    run = run_with_answers(tmp_path, GIVEN)
    calibrate_command(run.path, signal=ASKED, output=Output(json=True))
    result = json.loads(capsys.readouterr().out)
    assert [row["signal"] for row in result["signals"]] == list(ASKED)
    share = result["signals"][0]
    keys = {"signal", "unit", "auroc", "low", "high", "auprc", "brier", "ece", "prr", "aurc", "wqd"}
    assert keys | {"within_question_auroc", "n", "note"} <= set(share)
    assert share["wqd"] is None
    assert result["mean_entropy"] == pytest.approx(0.4729, abs=1e-4)
    calibrate_command(run.path, signal=ASKED, output=Output())
    assert "length_control: a control: tokens" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"signal": ["vote_shares"]}, "unknown signal 'vote_shares': choose from vote_share, "),
        ({"signal": ["correct"]}, "unknown signal 'correct'"),
        ({"signal": ["lowest@8"]}, "--top-logprobs"),
        ({"signal": []}, "name at least one signal"),
        ({"bins": 0}, "--bins is 0"),
        ({"limit": 0}, "--limit is 0"),
    ],
)
def test_what_cannot_be_scored_is_refused(tmp_path, arguments, said):
    run = run_with_answers(tmp_path, GIVEN)
    with pytest.raises(InputError, match=said):
        calibrate(run, **arguments)
    assert "calibration" not in run.tables()


@pytest.mark.slow
def test_stored_parameters_make_the_table_again(tmp_path):
    run = run_with_answers(tmp_path, GIVEN)
    first = calibrate(run, ["margin"], bins=5, seed=3)
    pd.testing.assert_frame_equal(first, calibrate(run, **run.provenance("calibration").parameters))
    assert calibrate(run, ["vote_share"], limit=1)["n"].to_list() == [1]


def test_a_name_of_its_own_is_a_trace_signal():
    signal = signal_named("mood")
    assert (signal.unit, signal.confident, signal.probability) == ("trace", "high", False)
