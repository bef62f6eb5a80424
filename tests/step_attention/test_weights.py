"""Attention weights are the model's own, whatever implementation it runs with."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.shared_pass import Settings
from analysis.step_attention.reading import AttentionReader, StepTrace
from analysis.step_attention.weights import watch_attention
from cot.errors import InputError
from cot.models import resolve
from tests.hidden_states.tiny_models import CONFIGS, tiny_model

IDS = [7, 3, 9, 1, 4, 200, 31, 5, 8, 8, 2, 61, 17, 90, 33, 12, 3, 4, 250, 6]
STEPS = {0: range(0, 4), 2: range(4, 9), 3: range(9, 10), 4: range(10, 14)}
"""Of the tokens after the prompt of five; the last one is in no step."""
PROMPT = 5


def eager_weights(model: Any, ids: list[int]) -> Any:
    """Shape [layer, head, query, key], by transformers itself."""
    loaded = model.config._attn_implementation
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        out = model(torch.tensor([ids]), output_attentions=True, use_cache=False)
    model.set_attn_implementation(loaded)
    return torch.stack([each[0] for each in out.attentions])


def seen_weights(model: Any, ids: list[int], block: int = 2**20) -> Any:
    found: dict[int, list[Any]] = {}
    see = lambda layer, row, first, weights: found.setdefault(layer, []).append(weights)  # noqa: E731
    with watch_attention(model, see, lambda: {0: len(ids)}, block), torch.inference_mode():
        model(torch.tensor([ids]), use_cache=False)
    return torch.stack([torch.cat(found[layer], dim=1) for layer in sorted(found)])


@pytest.mark.parametrize("family", CONFIGS)
def test_they_are_those_of_eager_attention(family: str) -> None:
    model = tiny_model(family)
    model.set_attn_implementation("eager")
    np.testing.assert_allclose(seen_weights(model, IDS), eager_weights(model, IDS), atol=1e-6)


@pytest.mark.parametrize("family", [name for name in CONFIGS if name != "gemma2"])
def test_they_are_the_same_with_sdpa(family: str) -> None:
    model = tiny_model(family)
    model.set_attn_implementation("sdpa")
    np.testing.assert_allclose(seen_weights(model, IDS), eager_weights(model, IDS), atol=1e-6)


def test_with_sdpa_gemma_2_attends_without_its_cap_and_so_do_its_weights() -> None:
    model = tiny_model("gemma2")
    model.set_attn_implementation("sdpa")
    with_sdpa = seen_weights(model, IDS)
    model.config.attn_logit_softcapping = None
    for block in model.model.layers:
        block.self_attn.attn_logit_softcapping = None
    np.testing.assert_allclose(with_sdpa, eager_weights(model, IDS), atol=1e-6)


def test_a_few_queries_at_a_time_give_the_same() -> None:
    model = tiny_model("llama")
    whole = seen_weights(model, IDS)
    np.testing.assert_allclose(seen_weights(model, IDS, block=4 * 20 * 3), whole, atol=1e-7)


@pytest.mark.parametrize("family", CONFIGS)
def test_states_are_bit_for_bit_those_of_a_pass_without_it(family: str) -> None:
    model = tiny_model(family)
    with torch.inference_mode():
        before = model(torch.tensor([IDS])).logits
        with watch_attention(model, lambda *_: None, lambda: {0: len(IDS)}):
            during = model(torch.tensor([IDS])).logits
    assert torch.equal(before, during)
    assert "get_interface" not in vars(ALL_ATTENTION_FUNCTIONS)


def test_weights_that_are_not_the_models_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    model.set_attn_implementation("sdpa")
    twice = lambda *given, **more: (2 * torch.ones_like(given[1]).transpose(1, 2), None)  # noqa: E731
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._local_mapping, "sdpa", twice)
    with pytest.raises(InputError, match="layer 1 can't be read: weights times values"):
        seen_weights(model, IDS)


# -- between steps, as a reader of the pass sums them up -------------------------------------------


class Kept:
    """Stands for the store."""

    def __init__(self) -> None:
        self.done: set[Any] = set()
        self.found: dict[Any, Any] = {}

    def add(self, key: Any, numbers: Any) -> None:
        self.found[key] = numbers


def read(model: Any, chunk: int, block: int = 2**20, nearest: int = 0) -> Any:
    """The numbers of three traces of different lengths, in one padded batch."""
    traces = [
        StepTrace(
            question_id="q",
            sample_index=index,
            prompt_ids=IDS[:PROMPT],
            token_ids=IDS[PROMPT:][:length],
            logprobs=None,
            steps={step: tokens for step, tokens in STEPS.items() if tokens.stop <= length},
            seed=1,
            matrix=True,
        )
        for index, length in enumerate((15, 10, 15))
    ]
    kept = Kept()
    settings = Settings(model=resolve("smollm2-135m-instruct"))
    reader = AttentionReader(traces, settings, kept, nearest, block)  # type: ignore[arg-type]
    forcing = HookTeacherForcing(model, chunk_tokens=chunk)
    reader.eye.begin(forcing)
    try:
        for done in forcing.forward([job for job, _ in reader.asked], (0,)):
            if (seen := reader.eye.see(0, done)) is not None:
                reader.keep(0, done.sample_index, seen)
    finally:
        reader.eye.close()
    return kept.found


def by_hand(weights: Any, steps: dict[int, range]) -> Any:
    """Mean attention by pairs of steps, [layer, head, later, step], from a whole matrix."""
    found = np.zeros((*weights.shape[:2], len(steps), len(steps)))
    spans = [slice(PROMPT + each.start, PROMPT + each.stop) for each in steps.values()]
    for (i, later), (j, step) in product(enumerate(spans), repeat=2):
        found[:, :, i, j] = weights[:, :, later, step].double().mean(dim=(2, 3))
    return found


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("chunk", [64, 3])
def test_matrices_are_the_means_of_whole_ones(family: str, chunk: int) -> None:
    model = tiny_model(family)
    if family == "gemma2":
        model.set_attn_implementation("eager")  # with sdpa it attends without its cap
    found = read(model, chunk)
    whole = eager_weights(model, IDS)
    for index in (0, 2):
        expected = by_hand(whole, STEPS)
        np.testing.assert_allclose(found["q", index]["matrix"], expected, atol=1e-6)
    short = {step: STEPS[step] for step in (0, 2, 3)}
    np.testing.assert_allclose(found["q", 1]["matrix"], by_hand(whole, short), atol=1e-6)


def test_chunks_and_blocks_give_what_the_whole_gives() -> None:
    model = tiny_model("gemma3")
    whole, parts = read(model, 64), read(model, 4, block=1)
    for key, numbers in whole.items():
        for name, values in numbers.items():
            np.testing.assert_allclose(parts[key][name], values, atol=2e-5, equal_nan=True)


def test_vertical_scores_are_the_means_of_a_matrix_under_its_diagonal() -> None:
    found = read(tiny_model("llama"), 64)["q", 0]
    matrix = found["matrix"]
    expected = np.stack([matrix[:, :, j + 1 :, j].mean(axis=-1) for j in range(3)], axis=-1)
    np.testing.assert_allclose(found["vertical"], expected, atol=1e-6)
    further = read(tiny_model("llama"), 64, nearest=1)["q", 0]["vertical"]
    expected = np.stack([matrix[:, :, j + 2 :, j].mean(axis=-1) for j in range(2)], axis=-1)
    np.testing.assert_allclose(further, expected, atol=1e-6)


def test_where_attention_goes_sums_to_one() -> None:
    model = tiny_model("qwen3")
    found = read(model, 6)["q", 0]
    sizes = np.array([len(tokens) for tokens in STEPS.values()])
    pairs = found["matrix"] * sizes[:, None] * sizes  # summed weights
    prompt = found["shares"][1]
    np.testing.assert_allclose(prompt + pairs.sum(axis=(2, 3)) / sizes.sum(), 1, atol=1e-5)
    own = np.einsum("lhii->lh", pairs) / sizes.sum()
    np.testing.assert_allclose(found["shares"][2], own, atol=1e-6)
    whole = eager_weights(model, IDS)[:, :, PROMPT : PROMPT + sizes.sum()]
    np.testing.assert_allclose(found["shares"][0], whole[..., 0].mean(axis=-1), atol=1e-6)


# -- other kinds of attention ----------------------------------------------------------------------


def test_a_learned_sink_takes_attention_that_no_key_gets() -> None:
    from transformers import AutoModelForCausalLM, GptOssConfig

    torch.manual_seed(0)
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1, "intermediate_size": 16}
    tokens = {"vocab_size": 280, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = GptOssConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=12,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        **experts,
        **tokens,
    )
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    found = seen_weights(model, IDS)
    np.testing.assert_allclose(found, eager_weights(model, IDS), atol=1e-6)
    assert found.sum(dim=-1).max() < 0.99


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_half_precision_is_within_its_rounding(implementation: str) -> None:
    model = tiny_model("llama").to(torch.bfloat16)
    model.set_attn_implementation(implementation)
    found = seen_weights(model, IDS)
    assert found.dtype == torch.float32
    expected = eager_weights(model, IDS).float()
    np.testing.assert_allclose(found, expected, atol=1e-2)
