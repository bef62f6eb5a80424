"""Sampling as a rule needs it: only the prefix votes, whatever finishes first or is interrupted."""

import json
import signal
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

import cot
from analysis.answer_table import answers as extract_answers
from analysis.stopping import stop
from cot.cli import main
from cot.errors import InputError
from cot.sampling.adaptive import AdaptiveSampler, mark_surplus, reached
from cot.stopping import make_rule
from cot.store.identity import AdaptiveIdentity
from cot.types import Completion
from tests.slow_engine import JumbledEngine

JUMBLED = "tests.slow_engine:JumbledEngine"
N = 16


class InterruptedEngine(JumbledEngine):
    """Ctrl-C after eleven traces."""

    def generate(self, requests, cancelled=lambda request: False):
        for count, pair in enumerate(super().generate(requests, cancelled)):
            if count == 11:
                signal.raise_signal(signal.SIGINT)
            yield pair


class PickyEngine(JumbledEngine):
    """Cannot take any question about the first person it meets."""

    def complete(self, request):
        if request.question_id.endswith("0"):
            return Completion(text="", token_ids=(), logprobs=None, finish_reason="error")
        return super().complete(request)


def sample(path, **settings):
    given = {"engine": JUMBLED, "n": N, "limit": 6, "greedy": False, **settings}
    return cot.sample("arithmetic", out=path / "run", **given)


def keys(run):
    return set(map(tuple, run.traces([])[["question_id", "sample_index"]].to_numpy().tolist()))


def counting(run):
    """(question, index) of the samples that count, to their answers."""
    answers = extract_answers(run)
    rows = answers[~answers["surplus"]]
    return rows.set_index(["question_id", "sample_index"])["answer"].to_dict()


def by_replay(path, rule):
    """The same from a run of n samples of each question, replayed in file order."""
    run = sample(path)
    used = stop(run, rule=[rule], order="file").set_index("question_id")["n_used"]
    answers = run.table("answers")
    rows = answers[answers["sample_index"] < answers["question_id"].map(used)]
    return rows.set_index(["question_id", "sample_index"])["answer"].to_dict()


@pytest.mark.parametrize("rule", ["asc_beta", "esc:window=3", "fixed:n=5", "asc_dirichlet"])
@pytest.mark.parametrize("ahead", [0, 5])
def test_equals_a_replay_although_short_traces_end_first(tmp_path, rule, ahead):
    JumbledEngine.ended.clear()
    run = sample(tmp_path / "a", adaptive=rule, ahead=ahead)
    by_question = {}
    for name, index in JumbledEngine.ended:
        by_question.setdefault(name, []).append(index)
    assert any(ended != sorted(ended) for ended in by_question.values()), "not in order"
    found = counting(run)
    assert found == by_replay(tmp_path / "b", rule)
    if ahead == 0:
        assert keys(run) == set(found), "no more than the rule needs"


def test_traces_in_flight_beyond_the_stop_are_cancelled_or_surplus(tmp_path, capsys):
    command = ["sample", "arithmetic", "--engine", JUMBLED, "--limit", "6", "-n", str(N), "--json"]
    command += ["--no-greedy", "--adaptive", "asc_beta", "--ahead", "6"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    result = json.loads(capsys.readouterr().out)
    run = cot.open_run(tmp_path / "run")
    counted = counting(run)
    assert result["n_surplus"] == len(keys(run)) - len(counted) > 0
    call = json.loads((run.path / "calls.jsonl").read_text())
    assert call["saved"]["cancelled"] > 0
    assert call["saved"]["surplus"] == result["n_surplus"]


def test_what_was_saved(tmp_path, capsys):
    command = ["sample", "arithmetic", "--engine", JUMBLED, "--limit", "6", "-n", str(N), "--json"]
    command += ["--no-greedy", "--adaptive", "asc_beta", "--out", str(tmp_path / "run")]
    assert main([*command, "--dry-run"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert (planned["n_missing"], planned["n_needed"]) == (6 * N, 6 * 4)
    assert not (tmp_path / "run").exists()
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    run = cot.open_run(tmp_path / "run")
    lengths = run.traces(["token_ids"]).set_index("question_id")["token_ids"].str.len()
    drawn = lengths.groupby("question_id").agg(["size", "mean"])
    assert result["saved_samples"] == 6 * N - result["n_traces"] > 0
    assert result["saved_tokens"] == pytest.approx(
        ((N - drawn["size"]) * drawn["mean"]).sum(), abs=1
    )
    assert result["n_surplus"] == 0
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["n_new"] == 0
    assert all(
        again[name] == result[name] for name in ("n_traces", "saved_samples", "saved_tokens")
    )
    assert main([*command, "--dry-run"]) == 0
    open_ones = (drawn["size"] == N).sum()
    assert json.loads(capsys.readouterr().out)["n_missing"] == 0
    assert 0 < open_ones < 6, "some stop, some don't"


@pytest.mark.slow
def test_interrupted_and_resumed_decides_the_same(tmp_path):
    expected = counting(sample(tmp_path / "whole", adaptive="asc_beta", ahead=3))
    broken = "tests.stopping.test_online:InterruptedEngine"
    settings = {"adaptive": "asc_beta", "ahead": 3, "engine": broken}
    gaps = 0
    for _ in range(30):
        try:
            run = sample(tmp_path / "broken", **settings)
            break
        except KeyboardInterrupt:
            there = keys(cot.open_run(tmp_path / "broken" / "run"))
            gaps += any(i > 0 and (name, i - 1) not in there for name, i in there)
    assert gaps, "stopped with a gap before a sample that had finished"
    assert counting(run) == expected


def test_a_larger_n_goes_on_where_the_rule_had_not_stopped(tmp_path):
    run = sample(tmp_path, adaptive="asc_beta", n=6)
    before = keys(run)
    after = keys(sample(tmp_path, adaptive="asc_beta", n=N))
    assert before < after
    assert counting(run) == by_replay(tmp_path / "plain", "asc_beta")


def test_a_question_that_cannot_be_asked_is_given_up(tmp_path, capsys):
    picky = "tests.stopping.test_online:PickyEngine"
    command = ["sample", "arithmetic", "--engine", picky, "--limit", "4", "-n", "8", "--json"]
    command += ["--adaptive", "esc", "--no-greedy", "--out", str(tmp_path / "run")]
    assert main(command) == 1
    result = json.loads(capsys.readouterr().out)
    assert len(result["failed"]) == 1
    assert result["n_traces"] > 0


def test_greedy_traces_are_drawn_as_ever(tmp_path):
    run = sample(tmp_path, adaptive="asc_beta", greedy=True)
    assert len(run.samples("greedy")) == 6


def test_surplus_is_decided_in_the_format_of_the_sampler(tmp_path):
    plain = extract_answers(sample(tmp_path / "plain"))
    assert not plain["surplus"].any()
    run = sample(tmp_path, adaptive="asc_beta", ahead=6)
    usual = extract_answers(run)
    assert usual["surplus"].any()
    by_text = extract_answers(run, format="text")
    assert (by_text["surplus"] == usual["surplus"]).all()
    none = extract_answers(run, format=r"there is no (\\w+) like this")
    assert (none["status"] != "ok").all()
    assert (none["surplus"] == usual["surplus"]).all()


def test_the_rule_is_part_of_the_identity(tmp_path):
    plain = sample(tmp_path / "plain")
    assert plain.identity.adaptive is None
    run = sample(tmp_path, adaptive="esc")
    assert run.identity.adaptive == AdaptiveIdentity(rule="esc", format="number")
    with pytest.raises(InputError, match=r"adaptive\.rule was 'esc', now 'asc_beta'"):
        sample(tmp_path, adaptive="asc_beta")
    with pytest.raises(InputError, match=r"adaptive was \{'rule': 'esc'.*, now None"):
        sample(tmp_path)
    with pytest.raises(InputError, match="adaptive was None, now"):
        sample(tmp_path / "plain", adaptive="esc")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"adaptive": "asc"}, "unknown stopping rule 'asc'"),
        ({"adaptive": "asc_beta:threshold=2"}, "threshold is 2"),
        ({"adaptive": "deepconf_online"}, "replay it with `cot stop`"),
        ({"ahead": 3}, "goes with --adaptive"),
        ({"adaptive": "esc", "ahead": -1}, "--ahead is -1"),
    ],
)
def test_wrong_use(tmp_path, settings, said):
    with pytest.raises(InputError, match=said):
        sample(tmp_path, **settings)
    assert not (tmp_path / "run").exists()


def test_reached():
    beta, esc = make_rule("asc_beta"), make_rule("esc")
    assert reached(beta, [], 40).needed == 4
    assert reached(beta, ["x", "x", "y"], 40).needed == 7, "6 against 1"
    assert reached(beta, ["x", "x", "y"], 5).needed == 5
    assert reached(esc, ["x", "x"], 40).needed == 5
    assert reached(esc, ["x", "y"], 40).needed == 10
    assert reached(esc, ["x", None], 8).needed == 8
    done = reached(beta, ["x"] * 7, 40)
    assert (done.counted, done.stopped, done.needed) == (4, True, 4)
    assert reached(beta, ["x"] * 2, 2).stopped is False


def test_an_adaptive_sampler_waits_only_for_what_is_in_flight():
    sampler = AdaptiveSampler(make_rule("esc:window=2"), n=4, ahead=1, stored={"a": {}})
    source = sampler.keys()
    asked = [next(source) for _ in range(4)]
    assert asked == [("a", 0), ("a", 1), ("a", 2), None]
    assert sampler.take(("a", 1), ("7", 3)) == 0
    assert next(source) is None, "the first is still to come"
    assert sampler.take(("a", 0), ("7", 3)) == 1, "of four, one was never asked for"
    assert sampler.cancelled(("a", 2))
    assert list(source) == []
    saved = sampler.saved()
    assert (saved.samples, saved.tokens, saved.surplus, saved.cancelled) == (2, 6, 0, 1)


def test_surplus_is_what_stands_beyond_the_stop_or_a_gap():
    answers = pd.DataFrame(
        {
            "question_id": ["a"] * 6 + ["b"] * 3,
            "sample_index": [0, 1, 2, 3, 4, 5, 0, 1, 3],
            "canonical": ["x", "x", "x", "x", "x", "y", "x", None, "x"],
        }
    )
    expected = [False] * 4 + [True] * 2 + [False, False, True]
    np.testing.assert_array_equal(mark_surplus("asc_beta", answers), expected)
    order = [5, 8, 0, 3, 7, 1, 2, 6, 4]
    shuffled = mark_surplus("asc_beta", answers.iloc[order].reset_index(drop=True))
    np.testing.assert_array_equal(shuffled, np.array(expected)[order])


@pytest.mark.model
@pytest.mark.parametrize(
    "engine",
    [
        "transformers",
        pytest.param(
            "vllm",
            marks=[
                pytest.mark.vllm,
                pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
                pytest.mark.filterwarnings("ignore"),
            ],
        ),
    ],
)
def test_the_bundled_model_stops_early(tmp_path, engine):
    settings = {"form": "text", "shots": 4, "max_tokens": 40, "n": 6, "limit": 2}
    run = sample(tmp_path, engine=engine, adaptive="esc:window=1", **settings)
    answers = extract_answers(run)
    assert not answers["surplus"].any()
    last = answers.groupby("question_id").tail(1)
    assert ((last["status"] == "ok") | (last["sample_index"] == 5)).all(), "until the first answer"
    assert len(answers) < 12
