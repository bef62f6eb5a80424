"""The endpoint engine against a real HTTP server with a made model."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cot
from cot.cli import main
from cot.engines.contract import check_engine
from cot.errors import ConsilienceError, InputError
from tests.engines.endpoints import (
    FAST,
    answers,
    keys,
    requests,
    sample,
    texts,
)

MISHAPS = ("drop", "429", "429 0.01", "500", "half", "error object", "no choices", "other ids")


@pytest.mark.slow
def test_contract(serve: Any, endpoint: Any) -> None:
    check_engine(endpoint(serve()))


def test_nothing_is_asked_before_the_first_request(tiny: Path, endpoint: Any) -> None:
    nowhere = endpoint(url="http://127.0.0.1:9")
    assert list(nowhere.generate([])) == []
    with pytest.raises(
        ConsilienceError, match=r"no server answers: http://127\.0\.0\.1:9/v1 can't"
    ):
        list(nowhere.generate(requests(1)))


def test_a_request_asks_for_one_trace_with_all_of_its_settings(serve: Any, endpoint: Any) -> None:
    server = serve()
    (asked,) = requests(1, temperature=0.5, top_k=7, min_p=0.1, stop=("\n\n",), top_logprobs=4)
    answers(endpoint(server), [asked])
    (body,) = server.asked
    assert body["n"] == 1
    assert body["seed"] == asked.seed
    assert (body["temperature"], body["top_k"], body["min_p"]) == (0.5, 7, 0.1)
    assert (body["stop"], body["logprobs"], body["max_tokens"]) == (["\n\n"], 4, 12)
    assert all(isinstance(token, int) for token in body["prompt"])
    assert body["return_token_ids"]
    # what is left out would be the server's default
    assert {"top_p", "repetition_penalty", "presence_penalty", "frequency_penalty"} <= set(body)


@pytest.mark.slow
def test_replies_in_any_order_are_the_same_run(serve: Any, tmp_path: Path, tiny: Path) -> None:
    dice = random.Random(0)
    plain = keys(sample(tmp_path / "a", serve(), model=tiny))
    late = serve(delay=lambda body: dice.uniform(0, 0.05))
    assert keys(sample(tmp_path / "b", late, model=tiny)) == plain
    assert len(plain) == 12
    assert late.most > 1
    assert all(each["logprobs"] and each["token_ids"] for each in plain.values())


@pytest.mark.slow
@pytest.mark.parametrize("mishap", MISHAPS)
def test_what_fails_once_is_asked_again(serve: Any, endpoint: Any, mishap: str) -> None:
    expected = texts(answers(endpoint(serve()), requests(20)))
    seen: set[int] = set()

    def first_time(n: int, body: Any) -> str | None:
        new = body["seed"] not in seen and body["seed"] % 3 == 0
        seen.add(body["seed"])
        return mishap if new else None

    server = serve(mishap=first_time)
    assert texts(answers(endpoint(server, concurrency=8), requests(20))) == expected
    assert len(server.asked) >= 20 + len([n for n in range(20) if (2**62 + n) % 3 == 0])
    assert server.most <= 8


@pytest.mark.slow
def test_a_hung_request_is_asked_again(serve: Any, endpoint: Any) -> None:
    expected = texts(answers(endpoint(serve()), requests(6)))
    server = serve(mishap=lambda n, body: "hang" if n == 2 else None)
    assert texts(answers(endpoint(server, timeout=1.5), requests(6))) == expected


@pytest.mark.slow
@pytest.mark.parametrize("mishap", [*MISHAPS[3:], "drop", "400"])
def test_what_fails_for_good_is_named_and_resumed(
    serve: Any, tmp_path: Path, tiny: Path, mishap: str, capsys: Any
) -> None:
    whole = keys(sample(tmp_path / "whole", serve(), model=tiny))
    ill = set([each["seed"] for each in whole.values()][::5])
    server = serve(mishap=lambda n, body: mishap if body["seed"] in ill else None)
    arguments = ["sample", "arithmetic", "--engine", "endpoint", "--url", server.url]
    arguments += ["--model", str(tiny), "-n", "4", "--limit", "3", "--max-tokens", "10"]
    arguments += ["--no-greedy", "--shots", "1", "--out", str(tmp_path / "run"), "--json"]
    for name, value in FAST.items():
        arguments += ["--engine-arg", f"{name}={value}"]
    assert main(arguments) == 1
    said = capsys.readouterr()
    named = {key[0] for key, each in whole.items() if each["seed"] in ill}
    assert set(json.loads(said.out)["failed"]) == named
    for question, index in (key for key, each in whole.items() if each["seed"] in ill):
        assert f"{question}, sample {index}: " in said.err
    held = keys(cot.open_run(tmp_path / "run"))
    assert held == {key: each for key, each in whole.items() if each["seed"] not in ill}
    server.mishap = lambda n, body: None
    before = len(server.asked)
    assert main(arguments) == 0
    assert keys(cot.open_run(tmp_path / "run")) == whole
    assert len(server.asked) - before == len(ill), "only what is missing is asked for"


@pytest.mark.parametrize("mishap", ["null", "-9999"])
def test_log_probabilities_that_are_none_are_missing(
    serve: Any, endpoint: Any, mishap: str, caplog: Any
) -> None:
    server = serve(mishap=lambda n, body: mishap if body["seed"] % 2 else None)
    found = answers(endpoint(server), requests(6))
    assert [found[index].logprobs is None for index in range(6)] == [False, True] * 3
    assert all(each.token_ids for each in found.values())
    assert "3 replies: log-probabilities: one of a trace is null or not finite" in caplog.text


def test_a_busy_server_is_given_the_time_that_it_asks_for(serve: Any, endpoint: Any) -> None:
    times: list[float] = []

    def busy(n: int, body: Any) -> str | None:
        times.append(time.monotonic())
        return "429 0.4" if n == 0 else None

    server = serve(mishap=busy)
    assert len(answers(endpoint(server, concurrency=1), requests(3))) == 3
    assert times[1] - times[0] >= 0.4


@pytest.mark.slow
def test_a_busy_server_gets_fewer_at_once_and_then_more(serve: Any, endpoint: Any) -> None:
    own = endpoint(serve(mishap=lambda n, body: "429 0" if n < 16 else None), concurrency=16)
    answers(own, requests(16))
    (server,) = own._client.servers
    assert 1 <= server.limit < 16
    low = server.limit
    answers(own, requests(40))
    assert low < server.limit <= 16


@pytest.mark.slow
def test_a_server_that_only_refuses_ends_the_run(serve: Any, endpoint: Any) -> None:
    for mishap in ("429 9999", "500", "429"):
        server = serve(mishap=lambda n, body, m=mishap: m)
        with pytest.raises(ConsilienceError, match="the same command goes on from there"):
            answers(endpoint(server, patience=0.2), requests(40))


@pytest.mark.slow
def test_two_servers_share_the_work_and_one_may_die(serve: Any, endpoint: Any) -> None:
    expected = texts(answers(endpoint(serve()), requests(60)))
    one, other = serve(delay=lambda body: 0.01), serve(delay=lambda body: 0.01)
    both = endpoint(one, other, concurrency=4)
    found = {}
    for request, completion in both.generate(iter(requests(60))):
        found[request.sample_index] = completion
        if len(found) == 20:
            other.__exit__()
    assert texts(found) == expected
    assert len(one.asked) > len(other.asked) >= 8
    assert max(one.most, other.most) <= 4


@pytest.mark.slow
def test_a_server_that_comes_back_is_used_again(serve: Any, endpoint: Any) -> None:
    one, other = serve(delay=lambda body: 0.02), serve(delay=lambda body: 0.02)
    both = endpoint(one, other, concurrency=2)
    n, back = 0, None
    for _ in both.generate(iter(requests(100))):
        n += 1
        if n == 10:
            other.__exit__()
        if n == 30:
            back = serve(port=other.port, delay=lambda body: 0.02)
    assert n == 100
    assert back is not None
    assert back.asked


def test_a_server_with_another_model_is_refused(serve: Any, endpoint: Any, tiny: Path) -> None:
    server = serve(served="something-else")
    with pytest.raises(InputError, match=r"serves 'something-else', not .*served=NAME"):
        answers(endpoint(server), requests(1))
    assert len(answers(endpoint(server, served="something-else"), requests(2))) == 2
    with pytest.raises(InputError, match="differs from the servers before it: kind"):
        answers(endpoint(serve(), serve(kind="sglang")), requests(1))


def test_a_server_with_another_tokenizer_is_refused(serve: Any, endpoint: Any) -> None:
    server = serve()
    decode = server.model.decode
    server.model.decode = lambda ids: decode(ids).swapcase()
    with pytest.raises(ConsilienceError, match="don't spell its text by this model's tokenizer"):
        answers(endpoint(server), requests(1))


@pytest.mark.slow
def test_the_served_name_is_identity_and_the_address_is_not(
    serve: Any, tmp_path: Path, tiny: Path
) -> None:
    run = sample(tmp_path / "run", serve(), model=tiny)
    assert (run.identity.engine, run.identity.api) == ("endpoint", "completions")
    assert (run.identity.served, run.identity.dtype) == (None, None)
    assert run.identity.quantize is None  # a server does not say
    again = sample(tmp_path / "run", serve(), model=tiny, n=5)
    assert len(keys(again)) == 15
    other = serve(served="other")
    with pytest.raises(InputError, match="served was None, now 'other'"):
        sample(tmp_path / "run", other, model=tiny, engine_arg=("served=other", "pause=0.005"))
    (call, _) = (tmp_path / "run" / "calls.jsonl").read_text().splitlines()
    server = {"kind": "vllm", "version": "0.0.fake", "seeded": True, "missing": []}
    assert json.loads(call)["server"] == server


def test_other_engines_take_no_address(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="asks no server: give --engine endpoint"):
        cot.sample("arithmetic", out=tmp_path / "r", engine="transformers", url="http://a:1")
    with pytest.raises(InputError, match=r"give --url .* or set the environment variable"):
        cot.sample("arithmetic", out=tmp_path / "r", engine="endpoint")


def test_a_budget_is_forced_over_several_requests(serve: Any, endpoint: Any) -> None:
    server = serve()
    asked = requests(8, think_budget=4, think_end="\nSo 7.\n", max_tokens=24, top_logprobs=2)
    found = answers(endpoint(server), asked)
    forced = [each for each in found.values() if each.forced]
    assert forced
    for each in forced:
        assert each.text.count("\nSo 7.\n") == 1
        assert each.token_ids is not None
        assert each.logprobs is not None
        assert each.top_means is not None
        assert len(each.logprobs) == len(each.token_ids) == len(each.top_means)
        assert np.isfinite(each.logprobs).all()


def test_an_adaptive_run_drops_what_is_not_needed(serve: Any, tmp_path: Path, tiny: Path) -> None:
    server = serve(delay=lambda body: 0.01)
    run = sample(tmp_path / "run", server, model=tiny, n=8, adaptive="fixed:n=2", ahead=2)
    assert {index for _, index in keys(run)} >= {0, 1}
    assert len(server.asked) <= 3 * 4
