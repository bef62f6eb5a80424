"""Teacher forcing against a plain forward of prompt and trace together, in every family."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS, N_BLOCKS, N_TOKENS, SIZE, WIDTH, reference, tiny_model

from analysis.hidden_states.hooks import HookTeacherForcing, _Gather
from analysis.hidden_states.model_parts import Head, find_blocks
from analysis.hidden_states.teacher_forcing import ForcedTrace, Job
from cot.errors import InputError

LAYERS = list(range(N_BLOCKS + 1))
SPOTS = np.array([[-1, 0], [0, 1], [2, 3], [0, 4]])


def jobs(seed: int = 0, n_questions: int = 2) -> list[Job]:
    random = np.random.default_rng(seed)
    return [
        Job(
            question_id=f"q{number}",
            prompt_ids=random.integers(0, N_TOKENS, 9 + number).tolist(),
            traces=[
                ForcedTrace(
                    sample_index=index,
                    token_ids=random.integers(0, N_TOKENS, length).tolist(),
                    spots=np.vstack([SPOTS, [[length - 1, length], [0, length]]]),
                )
                for index, length in enumerate([5, 17, 4, 30])
            ],
        )
        for number in range(n_questions)
    ]


def forward(model: Any, some: list[Job], layers: list[int], **options: Any) -> dict[Any, Any]:
    return {
        (done.job.question_id, done.sample_index): done
        for done in HookTeacherForcing(model, **options).forward(some, layers)
    }


@pytest.mark.parametrize("family", CONFIGS)
def test_states_and_log_probabilities_are_those_of_a_plain_forward(family: str) -> None:
    model = tiny_model(family)
    some = jobs()
    found = forward(model, some, LAYERS)
    for job in some:
        length = len(job.prompt_ids)
        for trace in job.traces:
            states, logprobs = reference(model, list(job.prompt_ids), list(trace.token_ids))
            done = found[job.question_id, trace.sample_index]
            expected = np.stack(
                [states[:, length + a : length + b].mean(axis=1) for a, b in trace.spots], axis=1
            )
            assert done.vectors.shape == (len(LAYERS), len(trace.spots), WIDTH)
            np.testing.assert_allclose(done.vectors, expected, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(done.logprobs, logprobs, rtol=1e-4, atol=1e-4)
        ends = found[job.question_id, None].vectors
        np.testing.assert_allclose(ends[:, 0], states[:, length - 1], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_prompts_that_begin_alike_change_nothing(family: str) -> None:
    model, some = tiny_model(family), jobs(n_questions=4)
    start = list(range(7, 49))
    alike = [
        dataclasses.replace(job, prompt_ids=[*start[: 42 - 5 * number], *job.prompt_ids])
        for number, job in enumerate(some[:3])
    ]
    alike += [
        dataclasses.replace(some[3], question_id=f"{end}", prompt_ids=start[:end])
        for end in (33, 40)
    ]
    found = forward(model, alike, LAYERS)
    for job in alike:
        alone = forward(model, [job], LAYERS)
        for key, done in alone.items():
            np.testing.assert_allclose(found[key].vectors, done.vectors, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_padding_on_the_left_would_change_nothing(family: str) -> None:
    model, job = tiny_model(family), jobs()[0]
    found = forward(model, [job], LAYERS[:-1])
    texts = [[*job.prompt_ids, *trace.token_ids] for trace in job.traces]
    width = max(map(len, texts))
    mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in texts])
    padded = torch.tensor([[0] * (width - len(ids)) + ids for ids in texts])
    at = (mask.cumsum(1) - 1).clamp_min(0)
    with torch.inference_mode():
        out = model(padded, attention_mask=mask, position_ids=at, output_hidden_states=True)
    for row, trace in enumerate(job.traces):
        last = torch.stack(out.hidden_states[:-1])[:, row, -1].numpy()
        ours = found[job.question_id, trace.sample_index].vectors[:, -2]
        np.testing.assert_allclose(ours, last, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_half_precision(family: str) -> None:
    model, job = tiny_model(family), jobs()[0]
    sure = forward(model, [job], LAYERS)
    half = forward(model.to(torch.bfloat16), [job], LAYERS)
    for key, done in half.items():
        assert done.vectors.dtype == np.float32
        scale = np.abs(sure[key].vectors).max(axis=(1, 2), keepdims=True)
        assert np.abs((done.vectors - sure[key].vectors) / scale).max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma2", "gemma3", "gpt2"])
@pytest.mark.parametrize("size", [1, 7])
def test_chunks_change_nothing(family: str, size: int) -> None:
    model, some = tiny_model(family), certain(jobs())
    whole, parts = forward(model, some, LAYERS), forward(model, some, LAYERS, chunk_tokens=size)
    assert whole.keys() == parts.keys()
    for key, done in whole.items():
        np.testing.assert_allclose(parts[key].vectors, done.vectors, rtol=1e-4, atol=1e-4)
        if done.logprobs is not None:
            np.testing.assert_allclose(parts[key].logprobs, done.logprobs, rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(parts[key].certainty, done.certainty, rtol=1e-4)


def test_no_more_than_a_chunk_passes_at_once() -> None:
    model, widths = tiny_model("llama"), []
    forcing = HookTeacherForcing(model, chunk_tokens=4)

    def watch(*_: Any) -> None:
        chunk = forcing.chunk
        assert chunk is not None
        widths.append((chunk.end - chunk.start, len(chunk.traces)))

    handle = model.model.layers[0].register_forward_pre_hook(watch)
    for _ in forcing.forward(jobs(n_questions=1), [1]):
        pass
    handle.remove()
    prompt, traces = [n for n, k in widths if not k], [n for n, k in widths if k]
    assert (max(prompt), sum(prompt)) == (4, 9)
    assert max(traces) == 4
    assert forcing.chunk is None


def certain(some: list[Job]) -> list[Job]:
    return [
        dataclasses.replace(
            job, traces=[dataclasses.replace(trace, certainty=True) for trace in job.traces]
        )
        for job in some
    ]


def test_certainty_is_that_of_a_plain_forward() -> None:
    model, some = tiny_model("llama"), certain(jobs())
    for (question_id, sample), done in forward(model, some, [1]).items():
        if sample is None:
            assert done.certainty is None
            continue
        job = some[int(question_id[1:])]
        trace = job.traces[sample]
        ids = torch.tensor([[*job.prompt_ids, *trace.token_ids]])
        log_p = model(ids).logits[0].detach().double().log_softmax(-1)[len(job.prompt_ids) - 1 : -1]
        entropy = -(log_p.exp() * log_p).sum(-1).mean()
        kl = -(log_p + np.log(N_TOKENS)).mean(-1).mean()  # of uniform to p
        assert done.certainty == pytest.approx((float(kl), float(entropy)), rel=1e-4)


def test_uniform_logits_are_no_certainty_at_all() -> None:
    model = tiny_model("llama")
    model.lm_head.weight.data.mul_(1e-6)
    for done in forward(model, certain(jobs()), [1]).values():
        if done.sample_index is not None:
            assert done.certainty == pytest.approx((0, np.log(N_TOKENS)), abs=1e-5)
            np.testing.assert_allclose(done.logprobs, -np.log(N_TOKENS), rtol=1e-5)


def test_questions_are_taken_one_at_a_time() -> None:
    taken = 0

    def some() -> Any:
        nonlocal taken
        for job in jobs(n_questions=5):
            taken += 1
            yield job

    for done in HookTeacherForcing(tiny_model("llama")).forward(some(), [1]):
        assert taken == 1 + int(done.job.question_id[1:])


def test_batches_and_their_order_change_nothing() -> None:
    model = tiny_model("llama")
    some = jobs()
    together = forward(model, some, LAYERS)
    alone = forward(model, some[::-1], LAYERS, tokens_per_batch=1)
    assert together.keys() == alone.keys()
    for key, done in together.items():
        np.testing.assert_allclose(done.vectors, alone[key].vectors, rtol=1e-4, atol=1e-4)


def test_asked_layers_in_the_asked_order_and_nothing_is_left_behind() -> None:
    model = tiny_model("llama")
    some = jobs()
    every, two = forward(model, some, LAYERS), forward(model, some, [3, 1])
    for key, done in two.items():
        np.testing.assert_array_equal(done.vectors, every[key].vectors[[3, 1]])
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_only_asked_states_are_kept() -> None:
    model, sizes = tiny_model("llama"), []
    for done in HookTeacherForcing(model).forward(jobs(), [1, 2]):
        base = done.vectors if done.vectors.base is None else done.vectors.base
        sizes.append(base.size)
    assert max(sizes) <= 2 * 4 * (len(SPOTS) + 2) * WIDTH


def test_a_trace_may_ask_for_nothing_but_its_score() -> None:
    job = jobs(n_questions=1)[0]
    bare = [
        ForcedTrace(
            sample_index=trace.sample_index,
            token_ids=trace.token_ids,
            spots=np.empty((0, 2), np.int64),
            score=trace.sample_index < 2,
        )
        for trace in job.traces
    ]
    asked = [Job(question_id="q", prompt_ids=job.prompt_ids, traces=bare)]
    found = forward(tiny_model("gpt2"), asked, [0])
    assert found["q", 0].vectors.shape == (1, 0, WIDTH)
    assert found["q", 1].logprobs.shape == (17,)
    assert found["q", 3].logprobs is None


def test_a_scaled_head_is_followed_and_another_is_noticed() -> None:
    model = tiny_model("llama")
    states = model.base_model(torch.tensor([[5, 6, 7]]))[0][0]
    plain = Head(model)
    assert plain.exact
    forward = model.forward
    model.forward = lambda **kw: _changed(forward(**kw), lambda logits: logits * 0.25)
    scaled = Head(model)
    assert scaled.exact
    torch.testing.assert_close(scaled.logits(states), plain.logits(states) * 0.25)
    model.forward = lambda **kw: _changed(forward(**kw), torch.sin)
    assert not Head(model).exact


def _changed(output: Any, change: Any) -> Any:
    output.logits = change(output.logits)
    return output


def test_a_model_without_one_list_of_blocks_is_refused() -> None:
    model = tiny_model("llama")
    model.config.num_hidden_layers = 7
    with pytest.raises(InputError, match="7 blocks, but a list of 3"):
        find_blocks(model)


def test_blocks_of_experts_are_not_taken_for_the_models() -> None:
    model = tiny_model("llama")
    model.model.layers[0].experts = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(9))
    assert len(find_blocks(model)) == N_BLOCKS


@pytest.mark.parametrize("config", ["JambaConfig", "BertConfig"])
def test_a_model_that_cannot_go_on_from_a_prompt_is_refused(config: str) -> None:
    import transformers

    transformers.utils.logging.set_verbosity_error()
    made = getattr(transformers, config)(**SIZE)
    model = transformers.AutoModelForCausalLM.from_config(made)
    with pytest.raises(InputError, match=r"can't go on from its prompt's cache.*decoder-only"):
        HookTeacherForcing(model)


def test_states_are_gathered_on_the_device_that_they_are_on() -> None:
    gather = _Gather()
    gather.ask([np.array([[0, 1], [0, 2]]), np.array([[1, 2]])])
    states = torch.arange(24.0).reshape(2, 3, 4)
    gather.hook(1)(None, (), {}, states.to("meta"))
    gather.hook(2)(None, (), {}, (states,))
    assert gather.totals[1].device.type == "meta"
    assert gather.take([2]).tolist() == [[[0, 1, 2, 3], [2, 3, 4, 5], [16, 17, 18, 19]]]
