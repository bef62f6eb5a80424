"""Simulated stopping rules against an independent numpy check, by hand, and by the command."""

import json
from math import comb

import numpy as np
import pandas as pd
import pytest

from analysis.commands import stop as stop_command
from analysis.findings import pick
from analysis.stopping import stop
from cot.console import Output
from cot.errors import InputError
from cot.store.run import create_run, open_run
from cot.types import Completion, Question, Trace
from tests.small import run_with_answers


def random_given(n_questions=30, n=23, seed=0):
    draw = np.random.default_rng(seed)
    return {
        f"q{i}": ("7", [None if a == "0" else a for a in draw.choice(list("0789"), n, p=p)])
        for i, p in enumerate(draw.dirichlet([0.3, 2, 1, 0.5], n_questions))
    }


def by_numpy(answers, rule):
    """The independent check: (samples used, answer) of one question, in ten lines."""
    labels, counts = np.unique([a for a in answers if a], return_counts=True)
    for n in range(1, len(answers) + 1):
        labels, counts = np.unique([a for a in answers[:n] if a], return_counts=True)
        if rule == "esc" and n % 5 == 0 and len({*answers[n - 5 : n]}) == 1 and answers[n - 1]:
            return n, answers[n - 1]
        a, b = sorted([0, 0, *counts])[
            :-3:-1
        ]  # I_1/2(b + 1, a + 1) = P(Binomial(a + b + 1, 1/2) > b)
        chance = sum(comb(int(a + b) + 1, k) for k in range(b + 1, a + b + 2)) / 2.0 ** (a + b + 1)
        if rule == "asc_beta" and a and chance >= 0.95:
            break
    top = labels[counts == max(counts, default=0)]
    return n, next((answer for answer in answers if answer in top), None)


@pytest.mark.parametrize("rule", ["asc_beta", "esc"])
def test_equals_an_independent_check(tmp_path, rule):
    given = random_given()
    run = run_with_answers(tmp_path, given)
    table = stop(run, rule=[rule], order="file").set_index("question_id")
    expected = {name: by_numpy(answers, rule) for name, (_, answers) in given.items()}
    for name, (used, answer) in expected.items():
        assert table.loc[name, "n_used"] == used
        assert (table.loc[name, "answer"] == answer) or (
            answer is pd.isna(table.loc[name, "answer"])
        )
    found = pick(run.table("findings_stop"), "accuracy", rule)
    assert found["mean_samples"] == pytest.approx(np.mean([n for n, _ in expected.values()]))
    assert found["estimate"] == pytest.approx(np.mean([a == "7" for _, a in expected.values()]))
    assert found["saved"] == pytest.approx(1 - found["mean_samples"] / 23)
    assert 0 < table["stopped"].sum() < len(table), "some stop and some don't"


def test_by_hand(tmp_path):
    run = run_with_answers(
        tmp_path,
        {
            "sure": ("7", ["7"] * 8),  # 4 of 8
            "missing": ("7", [None, "7", None, "7", "7", "7", "8", "8"]),  # 6 of 8
            "split": ("7", ["8", "7"] * 4),  # all, a tie that falls to the first: wrong
            "none": ("7", [None] * 8),  # all, no answer
            "no gold": (None, ["7"] * 8),
        },
    )
    table = stop(run, order="file").set_index("question_id")
    assert table["n_used"].to_dict() == {
        "sure": 4, "missing": 6, "split": 8, "none": 8, "no gold": 4,
    }  # fmt: skip
    assert table.loc["split", ["answer", "tied", "stopped"]].to_list() == ["8", True, False]
    assert table.loc["none", "answer"] is None or pd.isna(table.loc["none", "answer"])
    assert table["correct"].to_list()[:4] == [True, True, False, False]
    assert pd.isna(table.loc["no gold", "correct"])
    assert table["tokens"].to_list() == [24] * 5
    assert table["tokens_used"].to_list() == [12, 18, 24, 24, 12]
    found = run.table("findings_stop")
    row = pick(found, "accuracy", "asc_beta")
    assert row[["estimate", "n_questions", "n_excluded"]].to_list() == [0.5, 4, 1]
    assert row["mean_samples"] == row["file_mean_samples"] == (4 + 6 + 8 + 8 + 4) / 5
    assert row["saved"] == row["tokens_saved"] == pytest.approx(1 - 30 / 40)
    assert pick(found, "accuracy", "all")["estimate"] == 0.5
    assert pick(found, "accuracy", "asc_beta", "all")["estimate"] == 0


def test_esc_reports_the_cumulative_majority_beside_the_windows_answer(tmp_path):
    given = ["7", "8", "7", "9", "7", "6", "8", "8", "7"]  # 7 and 8 have three of eight each
    run = run_with_answers(tmp_path, {"a": ("8", given), "b": ("8", given[:7])})
    table = stop(run, rule=["esc:window=2"], order="file")
    columns = ["n_used", "stopped", "answer", "majority", "tied"]
    assert table.loc[0, columns].to_list() == [8, True, "8", "7", True]
    assert table.loc[1, columns].to_list() == [7, False, "7", "7", False]
    assert table[["correct", "majority_correct"]].to_numpy().tolist() == [
        [True, False], [False, False],
    ]  # fmt: skip


def test_permutations(tmp_path):
    run = run_with_answers(tmp_path, random_given(12, 11))
    stop(run, rule=["fixed:n=1", "fixed", "asc_beta"], permutations=2000)
    table = run.table("findings_stop")
    found = table[table["baseline"] == ""].set_index("subject")
    single = run.table("answers").groupby("question_id")["correct"].mean().mean()
    assert found.loc["fixed:n=1", "estimate"] == pytest.approx(single, abs=0.01)
    assert found.loc["fixed:n=1", ["mean_samples", "file_mean_samples"]].to_list() == [1, 1]
    assert pick(table, "accuracy", "fixed", "all")["estimate"] == 0, "the same orders on both sides"
    assert found.loc["fixed", "saved"] == 0
    rows = run.table("stops").query("rule == 'asc_beta'")
    assert found.loc["asc_beta", "file_mean_samples"] == rows["n_used"].mean()
    assert found.loc["asc_beta", "file_accuracy"] == rows["correct"].mean()


def test_seeds_decide_the_orders(tmp_path):
    run = run_with_answers(tmp_path, random_given(8, 12))

    def accuracy(seed):
        stop(run, seed=seed)
        return run.table("findings_stop")[["estimate", "mean_samples"]].iloc[0].to_list()

    assert accuracy(0) == accuracy(0) != accuracy(1)


def test_a_function_of_ones_own_is_simulated_too(tmp_path):
    run = run_with_answers(tmp_path, random_given(6, 9))
    own = "tests.plug_ins:three_in_a_row:length=2"
    table = stop(run, rule=[own], order="file")
    same = stop(run, rule=["fixed:n=1"], order="file")
    assert (table["n_used"] > same["n_used"]).all()
    assert table["rule"].unique().tolist() == [own]


def test_questions_with_different_numbers_of_traces(tmp_path):
    run = run_with_answers(tmp_path, {"a": ("7", ["7"] * 9), "b": ("7", ["7", "8"])})
    table = stop(run, rule=["asc_beta", "esc"])
    assert table["n_used"].to_list() == [4, 2, 5, 2]
    assert table["n_traces"].to_list() == [9, 2, 9, 2]
    found = pick(run.table("findings_stop"), "accuracy", "asc_beta")
    assert found["saved"] == pytest.approx(1 - 6 / 11)


def deepconf_run(path, top_means=True):
    """Two sure traces, then one that falls under their bar at its second token of four."""
    run = create_run(path / "run", {"model": None})
    confidences = [[4, 4], [5, 5], [5, 1, 9, 9], [5, 5]]
    with run.lock():
        run.add_questions([Question(id="a", text="a?", gold="7")])
        with run.writer() as writer:
            for index, (answer, series) in enumerate(zip("7887", confidences, strict=True)):
                completion = Completion(
                    text=f"The answer is {answer}.",
                    token_ids=tuple(range(len(series))),
                    logprobs=None,
                    finish_reason="stop",
                    top_means=-np.array(series, dtype=np.float32) if top_means else None,
                )
                writer.add(
                    Trace(
                        question_id="a",
                        sample_index=index,
                        seed=None,
                        prompt_sha=None,
                        completion=completion,
                    )
                )
    return open_run(run.path)


def test_deepconf(tmp_path):
    run = deepconf_run(tmp_path)
    rule = "deepconf_online:warmup=2,p=100,window=1"
    row = stop(run, rule=[rule], order="file").iloc[0]
    # 7 weighs 4 + 5, 8 weighs 5; the third trace is cut after its second token
    assert row[["n_used", "answer", "tokens", "tokens_used"]].to_list() == [4, "7", 10, 8]
    assert not row["stopped"]
    assert row["majority"] == "7"
    stop(run, rule=[rule])
    assert run.table("findings_stop").iloc[0]["tokens_saved"] > 0


def test_deepconf_says_what_it_lacks(tmp_path):
    with pytest.raises(InputError, match=r"4 of its 4 traces .* --top-logprobs 20"):
        stop(deepconf_run(tmp_path, top_means=False), rule=["deepconf_online"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"order": "sideways"}, "unknown order 'sideways'"),
        ({"permutations": 99}, "at least 100"),
        ({"rule": []}, "name at least one rule"),
        ({"rule": ["asc"]}, "unknown stopping rule 'asc'"),
    ],
)
def test_wrong_use(tmp_path, wrong, said):
    with pytest.raises(InputError, match=said):
        stop(run_with_answers(tmp_path, {"a": ("7", ["7"])}), **wrong)


def test_a_run_without_traces(tmp_path):
    with pytest.raises(InputError, match="has no traces"):
        stop(run_with_answers(tmp_path, {"a": ("7", [])}))


def test_an_adaptive_run_is_refused(tmp_path):
    run = create_run(tmp_path / "run", {"adaptive": {"rule": "esc", "format": "number"}})
    with pytest.raises(InputError, match="--adaptive esc"):
        stop(run)


def test_parameters_are_the_functions_own(tmp_path):
    run = run_with_answers(tmp_path, random_given(3, 6))
    stop(run, rule=("esc",), seed=3)
    stop(run, **run.provenance("stops").parameters)
    assert run.provenance("findings_stop").parameters["rule"] == ["esc"]


def test_the_command(tmp_path, capsys):
    run = run_with_answers(tmp_path, random_given(5, 12))
    stop_command(run.path, rule=("asc_beta", "esc"), output=Output(json=True))
    result = json.loads(capsys.readouterr().out)
    assert [row["rule"] for row in result["rules"]] == ["asc_beta", "esc"]
    keys = {"rule", "accuracy", "mean_samples", "saved", "low", "high", "file_accuracy"}
    assert all(keys <= row.keys() for row in result["rules"])
    assert result["all"]["accuracy"] is not None
    assert [(row["rule"], row["baseline"]) for row in result["gains"]] == [
        ("asc_beta", "all"), ("esc", "all"),
    ]  # fmt: skip
    stop_command(run.path, order="file")
    assert "asc_beta" in capsys.readouterr().out
