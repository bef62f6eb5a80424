"""The transformers engine against hand-run forwards, on a tiny model and on the bundled one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cot.engines.contract import check_engine
from cot.engines.transformers import TransformersEngine
from cot.errors import InputError
from cot.models import DEFAULT_MODEL
from cot.types import Completion, Request, Sampling

PROMPTS = [
    "Q: Tom has 3 apples and gets 4 more. How many has he?\nA:",
    "The capital of France is",
    "1,",
    "A: 3 + 4 = 7. The answer is 7.\n" * 5,
]


def request(prompt: Any, index: int = 0, seed: int = 7, **settings: Any) -> Request:
    sampling = Sampling(**({"temperature": 0.0, "max_tokens": 20, "top_p": 1.0} | settings))
    return Request(
        question_id=str(prompt), sample_index=index, prompt=prompt, sampling=sampling, seed=seed
    )


def ask(engine: Any, requests: list[Request]) -> list[Completion]:
    """Completions in the order of the requests."""
    found = {id(asked): completion for asked, completion in engine.generate(iter(requests))}
    assert len(found) == len(requests)
    return [found[id(asked)] for asked in requests]


def forward(engine: Any, prompt: str, completion: Completion) -> torch.Tensor:
    """Raw log-probabilities before each generated token, from one plain pass, [token, vocab]."""
    ids = engine.tokenizer(prompt)["input_ids"]
    tokens = torch.tensor([[*ids, *(completion.token_ids or ())]])
    with torch.inference_mode():
        logits = engine.weights(tokens).logits[0].float()
    return logits[len(ids) - 1 : -1].log_softmax(-1)


@pytest.fixture(scope="module")
def engine(tiny: Path) -> Iterator[TransformersEngine]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a model this small only waits for its threads
    engine = TransformersEngine(str(tiny), batch_rows=6)
    yield engine
    engine.close()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def smol() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(DEFAULT_MODEL)
    yield engine
    engine.close()


def check_against_forward(engine: Any, **settings: Any) -> None:
    """Mixed prompts in few rows: what is stored is what one plain pass over each says."""
    requests = [
        request(prompt, index, seed=index * 991 + place, top_logprobs=3, **settings)
        for place, prompt in enumerate(PROMPTS)
        for index in range(4)
    ]
    for asked, got in zip(requests, ask(engine, requests), strict=True):
        expected = forward(engine, str(asked.prompt), got)
        tokens = torch.tensor(got.token_ids)
        picked = expected.gather(-1, tokens[:, None])[:, 0]
        np.testing.assert_allclose(got.logprobs, picked, atol=1e-4)
        np.testing.assert_allclose(got.top_means, expected.topk(3).values.mean(-1), atol=1e-4)
        if settings.get("temperature") == 0:
            assert (expected.max(-1).values - picked).max() < 1e-3


@pytest.mark.slow
def test_contract(engine: TransformersEngine) -> None:
    check_engine(engine)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_batches_equal_a_plain_forward(engine: TransformersEngine, temperature: float) -> None:
    check_against_forward(engine, temperature=temperature, max_tokens=40)


@pytest.mark.slow
def test_sliding_windows_equal_a_plain_forward(sliding: Path) -> None:
    check_against_forward(TransformersEngine(str(sliding), batch_rows=5), max_tokens=40)


@pytest.mark.slow
def test_a_trace_does_not_depend_on_its_batch(engine: TransformersEngine) -> None:
    requests = [
        request(prompt, index, seed=index * 2**60 + place, temperature=1.0, top_p=0.9)
        for place, prompt in enumerate(PROMPTS)
        for index in range(3)
    ]
    together = ask(engine, requests)
    for asked, got in zip(requests, together, strict=True):
        assert ask(engine, [asked])[0].token_ids == got.token_ids


@pytest.mark.slow
def test_columns_move_when_the_buffers_fill(engine: TransformersEngine) -> None:
    """Far more steps than free columns, with traces coming and going all the while."""
    requests = [
        request(PROMPTS[i % 3], i, max_tokens=5 + 37 * i % 90, temperature=1.0, seed=i)
        for i in range(30)
    ]
    for asked, got in zip(requests, ask(engine, requests), strict=True):
        expected = forward(engine, str(asked.prompt), got)
        picked = expected.gather(-1, torch.tensor(got.token_ids)[:, None])[:, 0]
        np.testing.assert_allclose(got.logprobs, picked, atol=1e-4)


@pytest.mark.slow
def test_settings_shape_what_is_drawn_and_not_what_is_stored(engine: TransformersEngine) -> None:
    """Second tokens of many seeds, after a first one that is forced, against the distribution
    written out from a plain forward."""
    first = engine.tokenizer.convert_tokens_to_ids("7")
    settings: dict[str, Any] = {
        "temperature": 0.8,
        "min_p": 0.05,
        "repetition_penalty": 1.3,
        "presence_penalty": 0.4,
        "frequency_penalty": 0.2,
        "think_budget": 0,
        "think_end": "7",
        "max_tokens": 2,
    }
    found = ask(engine, [request(PROMPTS[1], i, seed=i * 7919, **settings) for i in range(600)])
    ids = engine.tokenizer(PROMPTS[1])["input_ids"]
    with torch.inference_mode():
        raw = engine.weights(torch.tensor([[*ids, first]])).logits[0, -1].double()
    logits = raw.clone()
    seen = list({*ids, first})
    logits[seen] = torch.where(logits[seen] > 0, logits[seen] / 1.3, logits[seen] * 1.3)
    logits[first] -= 0.4 + 0.2
    expected = (logits / 0.8).softmax(-1)
    expected[expected < 0.05 * expected.max()] = 0
    expected /= expected.sum()
    tokens = [(got.token_ids or (0, 0))[1] for got in found]
    drawn = np.bincount(tokens, minlength=len(expected))
    assert {(got.token_ids or ())[0] for got in found} == {first}
    assert (expected > 0).sum() > 2
    assert drawn[expected.numpy() == 0].sum() == 0
    error = 4 * (expected * (1 - expected) / len(found)).sqrt().numpy()
    assert (np.abs(drawn / len(found) - expected.numpy()) <= error + 1e-12).all()
    for got, token in zip(found[:20], tokens, strict=False):
        assert got.logprobs is not None
        np.testing.assert_allclose(got.logprobs[1], raw.log_softmax(-1)[token], atol=1e-4)


def test_forced_tokens_have_the_models_own_log_probabilities(engine: TransformersEngine) -> None:
    requests = [
        request(
            prompt, i, temperature=1.0, seed=i, think_budget=4, think_end="\nA: ", max_tokens=15
        )
        for prompt in PROMPTS
        for i in range(3)
    ]
    for asked, got in zip(requests, ask(engine, requests), strict=True):
        expected = forward(engine, str(asked.prompt), got)
        picked = expected.gather(-1, torch.tensor(got.token_ids)[:, None])[:, 0]
        np.testing.assert_allclose(got.logprobs, picked, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"think_budget": -1}, "at least 0"),
        ({"think_budget": 3, "think_end": " \n"}, "think_end"),
        ({"think_budget": 3, "stop": ("\n\n",)}, "stop string"),
    ],
)
def test_a_budget_that_cannot_be_meant(
    engine: TransformersEngine, settings: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        ask(engine, [request(PROMPTS[0], **settings)])


@pytest.mark.slow
def test_length_is_clipped_to_the_context(engine: TransformersEngine) -> None:
    n = len(engine.tokenizer(PROMPTS[0])["input_ids"])
    got = ask(engine, [request(PROMPTS[0], max_tokens=10_000)])[0]
    assert got.finish_reason == "stop" or n + len(got.token_ids or ()) == engine.context


def test_a_prompt_is_read_once(engine: TransformersEngine) -> None:
    prompt = "A prompt that no other test reads"
    before = engine.prefixes.tokens_computed
    ask(engine, [request(prompt, index, temperature=1.0, seed=index) for index in range(20)])
    assert engine.prefixes.tokens_computed - before == len(engine.tokenizer(prompt)["input_ids"])


def test_ids_and_text_are_the_same_prompt(engine: TransformersEngine) -> None:
    ids = tuple(engine.tokenizer(PROMPTS[0])["input_ids"])
    by_text, by_ids = ask(engine, [request(PROMPTS[0]), request(ids)])
    assert by_text.token_ids == by_ids.token_ids


def test_messages_need_a_chat_template(engine: TransformersEngine) -> None:
    with pytest.raises(InputError, match="--as text"):
        ask(engine, [request(({"role": "user", "content": "Hi"},))])


def test_empty_prompt_is_an_error(engine: TransformersEngine) -> None:
    assert ask(engine, [request(())])[0].finish_reason == "error"


def test_construction_is_cheap(tiny: Path) -> None:
    engine = TransformersEngine(str(tiny))
    assert engine.dtype == "float32"
    assert engine.context == 256
    assert "weights" not in vars(engine)
    assert list(engine.generate([])) == []
    assert "weights" not in vars(engine)


def test_rows_must_be_positive(tiny: Path) -> None:
    with pytest.raises(InputError, match="batch_rows"):
        TransformersEngine(str(tiny), batch_rows=0)


@pytest.mark.model
def test_bundled_model_contract(smol: TransformersEngine) -> None:
    check_engine(smol)


@pytest.mark.model
def test_bundled_model_equals_a_plain_forward(smol: TransformersEngine) -> None:
    check_against_forward(smol, temperature=0.7, max_tokens=16)


@pytest.mark.model
def test_mixed_prompts_equal_one_at_a_time(smol: TransformersEngine) -> None:
    together = ask(smol, [request(prompt) for prompt in PROMPTS])
    alone = [ask(smol, [request(prompt)])[0] for prompt in PROMPTS]
    assert [c.text for c in together] == [c.text for c in alone]


@pytest.mark.model
def test_bfloat16(smol: TransformersEngine) -> None:
    engine = TransformersEngine(DEFAULT_MODEL, dtype="bfloat16")
    got = ask(engine, [request(PROMPTS[1], max_tokens=4)])[0]
    assert engine.dtype == "bfloat16"
    assert got.logprobs is not None
    assert np.isfinite(got.logprobs).all()
    assert got.text.startswith(" Paris")
