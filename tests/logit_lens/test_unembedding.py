"""The lens against a plain forward, in every family; and the models that it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import CONFIGS, N_BLOCKS, N_TOKENS, WIDTH, reference, tiny_model

from analysis.hidden_states.model_parts import find_norm
from analysis.logit_lens.unembedding import Unembedding
from cot.errors import InputError

PROMPT, IDS = [7, 3, 9], [4, 250, 17, 60]
ANSWERS = [[5], [17, 60], [250]]


def by_hand(model: Any, states: Any) -> Any:
    """head(norm(h)) with the family's own modules."""
    body = model.base_model
    norm = body.ln_f if hasattr(body, "ln_f") else body.norm
    with torch.inference_mode():
        logits = model.lm_head(norm(torch.from_numpy(states)))
    cap = getattr(model.config, "final_logit_softcapping", None)
    return torch.tanh(logits / cap) * cap if cap else logits


@pytest.mark.parametrize("family", CONFIGS)
def test_every_layer_is_read_as_by_hand(family: str) -> None:
    model = tiny_model(family)
    states, _ = reference(model, PROMPT, IDS)
    lens, expected = Unembedding(model), by_hand(model, states)
    assert states.shape == (N_BLOCKS + 1, len(PROMPT) + len(IDS), WIDTH)

    logits = lens.candidates(states, ANSWERS)
    assert logits.shape == (*states.shape[:2], len(ANSWERS))
    sums = [expected[..., tokens].logsumexp(-1) for tokens in ANSWERS]
    np.testing.assert_allclose(logits, torch.stack(sums, -1), atol=1e-4)

    said = lens.vocabulary(states[2], 60)
    p = expected[2].softmax(-1)
    np.testing.assert_allclose(said.p, p[:, 60], atol=1e-5)
    np.testing.assert_allclose(said.entropy, -(p * p.log()).sum(-1), atol=1e-4)
    np.testing.assert_array_equal(said.top, p.argmax(-1))
    np.testing.assert_allclose(said.p_top, p.max(-1).values, atol=1e-5)
    assert np.isnan(lens.vocabulary(states[2], None).p).all()


@pytest.mark.parametrize("family", CONFIGS)
def test_the_last_layer_is_normed_once(family: str) -> None:
    model = tiny_model(family)
    states, _ = reference(model, PROMPT, IDS)
    with torch.inference_mode():
        own = model(torch.tensor([[*PROMPT, *IDS]])).logits[0]
    read = Unembedding(model).candidates(states[-1], [[k] for k in range(N_TOKENS)])
    np.testing.assert_allclose(read, own, atol=1e-4)


def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    states, _ = reference(model, PROMPT, IDS)
    lens = Unembedding(model)
    whole = lens.vocabulary(states[1], 5)
    monkeypatch.setattr("analysis.logit_lens.unembedding.SLICE", 1)
    np.testing.assert_allclose(lens.vocabulary(states[1], 5).entropy, whole.entropy, atol=1e-6)


def test_a_head_that_does_not_fit_is_refused() -> None:
    model = tiny_model("llama")
    bent = torch.linspace(-1, 1, N_TOKENS)

    def bend(module: Any, args: Any, output: Any) -> Any:
        output.logits = output.logits + bent
        return output

    model.register_forward_hook(bend)
    with pytest.raises(InputError, match="can't read LlamaForCausalLM: its head on its final norm"):
        Unembedding(model)


def test_a_model_without_a_final_norm_is_refused() -> None:
    model = tiny_model("llama")
    assert find_norm(model) is model.base_model.norm
    model.base_model.norm = torch.nn.Identity()
    with pytest.raises(InputError, match="LlamaForCausalLM has no norm beside its blocks"):
        Unembedding(model)
