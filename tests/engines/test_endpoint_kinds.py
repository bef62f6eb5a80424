"""Servers that differ: what each can't do is asked once, said, and stored as missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cot.engines.contract import (
    _answers_each_request_once,
    _completions_are_whole,
    _drops_the_cancelled,
    _greedy_is_greedy,
    _scores_tokens,
    _seeds_decide,
    _stops_at_strings,
    _survives_a_long_prompt,
    _truncates_by_min_p,
)
from cot.engines.endpoint_http import TroubleError
from cot.engines.endpoint_replies import RefusedError
from cot.errors import InputError
from cot.types import Request, Sampling
from tests.engines.endpoints import answers, requests, sample, texts
from tests.fake_server import FakeServer

COMMON = (
    _answers_each_request_once,
    _greedy_is_greedy,
    _seeds_decide,
    _completions_are_whole,
    _truncates_by_min_p,
    _drops_the_cancelled,
    _survives_a_long_prompt,
)
CHAT = ({"role": "user", "content": "1 + 1?"},)


def chats(n: int, **settings: Any) -> list[Request]:
    return [
        Request(
            question_id="q",
            sample_index=index,
            prompt=CHAT,
            sampling=Sampling(**({"max_tokens": 8, "top_p": 1.0} | settings)),
            seed=2**62 + index,
        )
        for index in range(n)
    ]


# -- SGLang --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sglang_does_what_vllm_does(serve: Any, endpoint: Any) -> None:
    engine = endpoint(serve(kind="sglang"))
    for check in (*COMMON, _stops_at_strings, _scores_tokens):
        check(engine)
    assert engine.facts.missing == ()
    assert engine.facts.lacks == {"repetition_penalty", "think_budget"}


def test_sglang_writes_the_traces_of_vllm(serve: Any, endpoint: Any) -> None:
    asked = requests(6, top_logprobs=3, stop=("a",))
    ours, theirs = (answers(endpoint(serve(kind=kind)), asked) for kind in ("vllm", "sglang"))
    assert texts(ours) == texts(theirs)
    for index, each in ours.items():
        np.testing.assert_array_equal(each.logprobs, theirs[index].logprobs)
        np.testing.assert_array_equal(each.top_means, theirs[index].top_means)


def test_log_probabilities_after_temperature_are_not_taken(
    serve: Any, endpoint: Any, caplog: Any
) -> None:
    engine = endpoint(serve(kind="sglang", tempered=True))
    assert all(each.logprobs is None for each in answers(engine, requests(4)).values())
    greedy = answers(engine, requests(4, temperature=0.0))
    assert all(each.logprobs is not None for each in greedy.values())
    assert "they are those after temperature" in caplog.text
    assert "top_logprobs" in engine.facts.lacks


@pytest.mark.parametrize("kind", ["sglang", "llama.cpp", "other"])
def test_seeds_that_do_not_count_are_stored_as_missing(
    serve: Any, tmp_path: Path, tiny: Path, kind: str, caplog: Any
) -> None:
    run = sample(tmp_path / "run", serve(kind=kind, seeded=False), model=tiny)
    assert run.traces(["seed"])["seed"].isna().all()
    assert "seeds" in caplog.text


# -- llama.cpp -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_llama_cpp_does_most_of_what_vllm_does(serve: Any, endpoint: Any) -> None:
    engine = endpoint(serve(kind="llama.cpp"))
    for check in COMMON:
        check(engine)
    assert engine.facts.missing == ()
    assert engine.facts.lacks == {"presence_penalty", "frequency_penalty", "think_budget"}
    assert engine.context == 4096


def test_llama_cpp_is_told_every_sampler(serve: Any, endpoint: Any) -> None:
    server = serve(kind="llama.cpp")
    answers(endpoint(server), requests(1, repetition_penalty=1.2))
    (body,) = server.asked
    assert body["samplers"] == ["penalties", "temperature", "min_p", "top_k", "top_p"]
    assert (body["top_k"], body["min_p"], body["repeat_penalty"]) == (0, 0.0, 1.2)
    assert body["repeat_last_n"] == -1
    assert body["seed"] < 2**31


def test_llama_cpp_gives_no_log_probabilities_of_a_stop_string(
    serve: Any, endpoint: Any, caplog: Any
) -> None:
    engine = endpoint(serve(kind="llama.cpp"))
    found = answers(engine, requests(12, stop=("a", "e"), max_tokens=30))
    stopped = [each for each in found.values() if each.logprobs is None]
    whole = [each for each in found.values() if each.logprobs is not None]
    assert stopped
    assert all(each.finish_reason == "stop" and each.token_ids for each in stopped)
    assert all(len(each.logprobs) == len(each.token_ids or ()) for each in whole)
    assert f"{len(stopped)} replies: log-probabilities: the server leaves out" in caplog.text


def test_llama_cpp_gives_no_probabilities_of_chosen_tokens(serve: Any, endpoint: Any) -> None:
    engine = endpoint(serve(kind="llama.cpp"))
    with pytest.raises(InputError, match="doesn't give the probabilities of chosen tokens"):
        _scores_tokens(engine)


@pytest.mark.parametrize(
    ("kind", "settings", "named"),
    [
        ("llama.cpp", {"presence_penalty": 1.0}, "--presence-penalty 1.0: the server (llama.cpp)"),
        ("sglang", {"repetition_penalty": 1.2}, "--repetition-penalty 1.2: the server (sglang)"),
        ("other", {"top_k": 5}, "--top-k 5: the server (other)"),
        ("other", {"min_p": 0.1}, "--min-p 0.1: the server (other)"),
    ],
)
def test_a_setting_that_would_be_left_out_is_refused(
    serve: Any, tmp_path: Path, tiny: Path, kind: str, settings: Any, named: str
) -> None:
    server = serve(kind=kind)
    with pytest.raises(InputError) as refused:
        sample(tmp_path / "run", server, model=tiny, **settings)
    assert named in str(refused.value)
    assert not (tmp_path / "run").exists()
    assert server.asked == []


@pytest.mark.parametrize("kind", ["sglang", "llama.cpp", "other"])
def test_only_vllm_forces_the_end_of_reasoning(serve: Any, endpoint: Any, kind: str) -> None:
    engine = endpoint(serve(kind=kind))
    asked = (requests if kind != "other" else chats)(1, think_budget=3)
    with pytest.raises(InputError, match="can't be made to write the end of the reasoning"):
        answers(engine, asked)


# -- any other, by chat --------------------------------------------------------------------------


def test_another_server_is_asked_by_chat(serve: Any, tmp_path: Path, caplog: Any) -> None:
    server = serve(kind="other", served="big-model")
    run = sample(tmp_path / "run", server, model=Path("big-model"))
    traces = run.traces()
    assert traces["token_ids"].isna().all(), "ids are not made up from the text"
    assert all(each is not None for each in traces["logprobs"])
    assert (run.identity.form, run.identity.api, run.identity.revision) == ("chat", "chat", None)
    assert run.identity.sampling is not None
    assert run.identity.sampling.top_k is None
    assert "token ids" in caplog.text
    assert [message["role"] for message in server.asked[0]["messages"]][-1] == "user"
    assert "top_k" not in server.asked[0]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_reasoning_stays_reasoning(serve: Any, endpoint: Any, field: str) -> None:
    server = serve(kind="other", served="m", thinks=field)
    found = answers(endpoint(server, model="m"), chats(3))
    assert all(each.text.startswith("<think>Let me see.</think>\n\n") for each in found.values())


@pytest.mark.parametrize("refused", [("logprobs",), ("logprobs", "seed")])
def test_fields_that_a_server_refuses_are_left_out(
    serve: Any, endpoint: Any, refused: tuple[str, ...]
) -> None:
    server = serve(kind="other", served="m", refuses=refused)
    engine = endpoint(server, model="m")
    found = answers(engine, chats(2))
    assert all(each.logprobs is None and each.text for each in found.values())
    assert "log-probabilities" in engine.facts.missing
    assert engine.facts.seeded == ("seed" not in refused)
    assert not any(name in body for body in server.asked for name in refused)


def test_chat_can_be_asked_of_a_server_that_takes_ids(
    serve: Any, tmp_path: Path, tiny: Path
) -> None:
    server = serve()
    run = sample(tmp_path / "run", server, model=tiny, engine_arg=("api=chat", "pause=0.005"))
    assert run.identity.api == "chat"
    assert all("messages" in body and body["top_k"] == 0 for body in server.asked)
    with pytest.raises(InputError, match="api was 'chat', now 'completions'"):
        sample(tmp_path / "run", server, model=tiny)


def test_a_server_without_a_list_of_models(endpoint: Any, tokenizer: Any) -> None:
    class Bare(FakeServer):
        def _about(self, path: str) -> None:
            return None

    with Bare("other", tokenizer=tokenizer) as server:
        found = answers(endpoint(server, model="gpt"), chats(2))
        assert all(each.text for each in found.values())
        assert {body["model"] for body in server.asked} == {"gpt"}


def test_a_text_is_continued_where_there_are_no_ids(serve: Any, endpoint: Any) -> None:
    engine = endpoint(serve(kind="other", served="m"), model="m")
    found = answers(engine, requests(3))
    assert all(each.token_ids is None and each.logprobs is not None for each in found.values())
    with pytest.raises(InputError, match="takes no token ids, and so continues no prefix"):
        answers(
            engine,
            [Request(question_id="q", sample_index=0, prompt=(1, 2), sampling=Sampling(), seed=1)],
        )


@pytest.mark.slow
def test_a_reply_of_any_shape_is_a_completion_or_trouble(serve: Any, endpoint: Any) -> None:
    """Each value of a reply in turn is something else."""
    odd: tuple[Any, ...] = (None, 3, -1e400, "x", [], {}, [[]], [None], {"a": [1]}, True)
    for kind in ("vllm", "sglang", "llama.cpp", "other"):
        server = serve(kind=kind, served="m")
        settings = {"served": "m"} if kind != "other" else {"model": "m"}
        engine = endpoint(server, attempts=1, **settings)
        (asked,) = (chats if kind == "other" else requests)(1, top_logprobs=2, max_tokens=3)
        good = answers(engine, [asked])[0]
        reply = server._write(*server.last)
        pending = engine._pending(asked)
        client = engine._client
        for place in places(reply):
            for value in odd:
                changed = put(reply, place, value)

                async def post(*_: Any, changed: Any = changed) -> Any:
                    return changed

                client.post = post
                try:
                    part = client.call(client.once(client.servers[0], pending, []))
                except (TroubleError, RefusedError):
                    continue
                assert part.ids is None or part.ids == good.token_ids
                assert part.logprobs is None or np.isfinite(part.logprobs).all()
                assert part.means is None or all(-9999 < each < 0.01 for each in part.means)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where values stand in a JSON value."""
    if not isinstance(value, dict | list):
        return [path]
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2])
    return [path, *(each for key, item in inner for each in places(item, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with something else in one place; an object still, on the outside."""
    if not path:
        return new if isinstance(new, dict) else {"object": new}
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = new if len(path) == 1 else put(value[path[0]], path[1:], new)
    return changed
