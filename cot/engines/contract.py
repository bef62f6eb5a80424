"""What every engine must do, as one check that you can call on your own.

def test_my_engine():
    check_engine(MyEngine("some-model"))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from cot.engines import Engine
from cot.models import encode
from cot.types import Completion, Request, Sampling

__all__ = ["check_engine"]

PROMPTS = (
    "Q: Tom has 3 apples and gets 4 more. How many has he?\nA:",
    "The capital of France is",
    "1, 2, 3, 4,",
)
Key = tuple[str, int]


def check_engine(engine: Engine) -> None:
    """Raise an AssertionError at the first promise that the engine breaks.

    Meant for engines that sample from a model; each check asks for a few short completions.
    """
    for check in (
        _answers_each_request_once,
        _greedy_is_greedy,
        _seeds_decide,
        _completions_are_whole,
        _stops_at_strings,
        _scores_tokens,
        _truncates_by_min_p,
        _penalises_what_was_written,
        _forces_the_end_of_reasoning,
        _drops_the_cancelled,
        _survives_a_long_prompt,
        _pulls_lazily,
        _waits_for_what_depends,
    ):
        check(engine)


def _request(prompt: int = 0, index: int = 0, **settings: object) -> Request:
    sampling = replace(Sampling(temperature=1.0, top_p=1.0, max_tokens=12), **settings)  # type: ignore[arg-type]
    return Request(
        question_id=str(prompt),
        sample_index=index,
        prompt=PROMPTS[prompt],
        sampling=sampling,
        seed=(prompt + 1) * 2**61 + index * 12345,
    )


def _ask(engine: Engine, requests: Iterable[Request]) -> dict[Key, Completion]:
    found: dict[Key, Completion] = {}
    for request, completion in engine.generate(requests):
        key = (request.question_id, request.sample_index)
        assert key not in found, f"{key} came twice"
        assert completion.token_ids is not None
        found[key] = completion
    return found


def _n_tokens(completion: Completion) -> int:
    return len(completion.token_ids or ())


def _answers_each_request_once(engine: Engine) -> None:
    assert list(engine.generate([])) == [], "no request, no completion"
    requests = [_request(prompt, index) for prompt in range(3) for index in range(4)]
    found = _ask(engine, iter(requests))
    assert set(found) == {(r.question_id, r.sample_index) for r in requests}


def _greedy_is_greedy(engine: Engine) -> None:
    requests = [_request(0, index, temperature=0.0) for index in range(3)]
    texts = {completion.text for completion in _ask(engine, requests).values()}
    assert len(texts) == 1, f"greedy texts differ, whatever the seed: {texts}"


def _seeds_decide(engine: Engine) -> None:
    requests = [_request(1, index) for index in range(4)]
    together = _ask(engine, requests)
    assert len({completion.token_ids for completion in together.values()}) > 1, "seeds do nothing"
    again = _ask(engine, requests)
    assert all(again[key].token_ids == c.token_ids for key, c in together.items()), "not repeatable"


def _completions_are_whole(engine: Engine) -> None:
    requests = [_request(2, index, max_tokens=5, top_logprobs=3) for index in range(4)]
    for completion in _ask(engine, requests).values():
        n = _n_tokens(completion)
        assert n == 5 or (completion.finish_reason == "stop" and 0 < n < 5)
        assert completion.finish_reason in ("stop", "length")
        assert completion.logprobs is not None
        assert completion.logprobs.shape == (n,)
        assert completion.logprobs.dtype == np.float32
        assert np.isfinite(completion.logprobs).all()
        assert (completion.logprobs <= 0).all()
        assert completion.top_means is not None
        assert completion.top_means.shape == (n,)
        assert (completion.top_means < 0).all()
        assert completion.scores is None


def _stops_at_strings(engine: Engine) -> None:
    free = _ask(engine, [_request(0, 0, temperature=0.0, max_tokens=24)])["0", 0]
    middle = len(free.text) // 2
    stop = free.text[middle : middle + 4]
    request = _request(0, 0, temperature=0.0, max_tokens=24, stop=(stop, "no such text"))
    stopped = _ask(engine, [request])["0", 0]
    assert stopped.finish_reason == "stop"
    assert stopped.text == free.text[: free.text.index(stop)], (stopped.text, free.text, stop)
    n = _n_tokens(stopped)
    assert stopped.token_ids == (free.token_ids or ())[:n], (
        "the ids that spell the stop string stay"
    )
    spelled = engine.tokenizer.decode(stopped.token_ids)
    assert spelled.count(stop) >= 1
    assert stopped.logprobs is not None
    assert stopped.logprobs.shape == (n,)


def _scores_tokens(engine: Engine) -> None:
    greedy = _ask(engine, [_request(2, 0, temperature=0.0, max_tokens=1)])["2", 0]
    first = (greedy.token_ids or ())[0]
    asked = (first, (first + 1) % 10)
    scored = _ask(engine, [replace(_request(2, 0, max_tokens=1), score_tokens=asked)])["2", 0]
    assert scored.scores is not None
    assert set(scored.scores) == set(asked)
    assert greedy.logprobs is not None
    assert abs(scored.scores[first] - float(np.exp(greedy.logprobs[0]))) < 1e-2
    assert all(0 <= chance <= 1 for chance in scored.scores.values())


def _truncates_by_min_p(engine: Engine) -> None:
    greedy = _ask(engine, [_request(1, 0, temperature=0.0)])["1", 0]
    drawn = _ask(engine, [_request(1, 0, min_p=1.0)])["1", 0]
    assert drawn.token_ids == greedy.token_ids, "min_p 1 leaves the likeliest token alone"


def _penalises_what_was_written(engine: Engine) -> None:
    plain = _ask(engine, [_request(2, 0, temperature=0.0, max_tokens=1)])["2", 0]
    for penalty in ("presence_penalty", "frequency_penalty"):
        request = _request(2, 0, temperature=0.0, max_tokens=1, **{penalty: 2.0})
        found = _ask(engine, [request])["2", 0]
        assert found.token_ids == plain.token_ids, f"{penalty} counts the prompt's tokens"
        assert found.logprobs is not None
        assert plain.logprobs is not None
        assert np.allclose(found.logprobs, plain.logprobs, atol=1e-3), "stored ones are raw"
    prompt = set(encode(engine.tokenizer, PROMPTS[2]))
    found = _ask(engine, [_request(2, 0, temperature=0.0, repetition_penalty=1e4)])["2", 0]
    ids = found.token_ids or ()
    assert len(set(ids)) == len(ids), f"repetition_penalty of 1e4 lets a token stand twice: {ids}"
    assert not prompt & set(ids), "repetition_penalty leaves the prompt's tokens alone"


def _forces_the_end_of_reasoning(engine: Engine) -> None:
    end = "\nSo 7.\n"
    forced_ids = tuple(engine.tokenizer(end, add_special_tokens=False)["input_ids"])
    settings: dict[str, object] = {"temperature": 0.0, "max_tokens": 30, "think_end": end}
    free = _ask(engine, [_request(1, 0, **settings)])["1", 0]
    assert free.forced is None
    for budget in (0, 3):
        got = _ask(engine, [_request(1, 0, **settings, think_budget=budget, top_logprobs=2)])
        found = got["1", 0]
        ids = found.token_ids or ()
        assert found.forced == (budget, budget + len(forced_ids))
        assert ids[:budget] == (free.token_ids or ())[:budget]
        assert ids[slice(*found.forced)] == forced_ids
        assert len(ids) == 30 or found.finish_reason == "stop"
        assert len(ids) > found.forced[1], "sampling goes on after the forced end"
        assert found.text.count(end) == 1
        assert found.logprobs is not None
        assert found.top_means is not None
        assert len(found.logprobs) == len(found.top_means) == len(ids)
        assert (found.logprobs <= 0).all()
        assert np.isfinite(found.logprobs).all()
        short = replace(_request(1, 0, **settings, think_budget=budget))
        short = replace(short, sampling=replace(short.sampling, max_tokens=budget + 1))
        cut = _ask(engine, [short])["1", 0]
        assert cut.token_ids == ids[: budget + 1], "max_tokens bounds all"
        assert cut.finish_reason == "length"
        assert cut.forced == (budget, budget + 1)
    written = free.text.strip()[:4].strip()
    ended = _request(1, 0, **{**settings, "think_end": written}, think_budget=29)
    assert _ask(engine, [ended])["1", 0].forced is None, "what ended its reasoning is left alone"


def _drops_the_cancelled(engine: Engine) -> None:
    requests = [_request(prompt, index) for prompt in range(2) for index in range(3)]
    kept = [r for r, _ in engine.generate(requests, lambda request: request.sample_index == 1)]
    assert sorted(r.sample_index for r in kept) == [0, 0, 2, 2]
    ended: set[Key] = set()
    long = [_request(1, index, max_tokens=4 + 20 * index, temperature=0.0) for index in range(2)]
    for request, _ in engine.generate(long, lambda request: bool(ended)):
        ended.add((request.question_id, request.sample_index))
    assert ended == {("1", 0)}, "a request that is cancelled while it runs is not yielded"


def _survives_a_long_prompt(engine: Engine) -> None:
    one = encode(engine.tokenizer, PROMPTS[1])
    ids = (one * (engine.context // len(one) + 1))[: engine.context]
    requests = [_request(0), replace(_request(1), prompt=ids), _request(2)]
    found = _ask(engine, requests)
    error = found["1", 0]
    assert (error.finish_reason, error.text, error.token_ids) == ("error", "", ())
    assert found["0", 0].finish_reason != "error"
    assert found["2", 0].finish_reason != "error"


def _pulls_lazily(engine: Engine) -> None:
    pulled = 0

    def endless() -> Iterator[Request]:
        nonlocal pulled
        while True:
            yield _request(1, pulled, max_tokens=2)
            pulled += 1

    answers = engine.generate(endless())
    next(answers)
    getattr(answers, "close", lambda: None)()
    assert pulled < 10_000, "requests are pulled only as there is room to run them"


def _waits_for_what_depends(engine: Engine) -> None:
    ended: dict[int, int] = {}
    before: set[int] = set()

    def dependent() -> Iterator[Request | None]:
        yield _request(1, 0, max_tokens=2)
        yield _request(1, 1, max_tokens=40)
        while 0 not in ended:
            yield None
        before.update(ended)
        yield _request(1, 2, max_tokens=2)
        while len(ended) < 3:
            yield None

    for request, completion in engine.generate(dependent()):
        ended[request.sample_index] = _n_tokens(completion)
    assert sorted(ended) == [0, 1, 2]
    assert 1 not in before or ended[1] < 20, "what depends on one completion waits for another"
