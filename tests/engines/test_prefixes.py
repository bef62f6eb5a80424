"""What prompts share is read once, and reading it so changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cot.engines.prefixes import KEPT, Prefixes, common
from cot.models import load_model, resolve
from tests.hidden_states.tiny_models import CONFIGS, tiny_model

TEXT = tuple(torch.randint(0, 190, (90,), generator=torch.Generator().manual_seed(0)).tolist())
CUE = (7, 8, 9)


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny_model("llama")


def plain(model: Any, prompt: tuple[int, ...]) -> Any:
    with torch.inference_mode():
        return model(torch.tensor([prompt]), use_cache=True)


def check(model: Any, prompts: list[tuple[int, ...]], prefixes: Prefixes) -> None:
    """Logits, keys and values are those of one plain pass over each prompt."""
    for prompt, prefix in zip(prompts, prefixes.read(model, prompts), strict=True):
        expected = plain(model, prompt)
        assert prefix.length == len(prompt)
        torch.testing.assert_close(prefix.logits, expected.logits[0, -1], atol=2e-4, rtol=1e-4)
        for mine, layer in zip(prefix.layers, expected.past_key_values, strict=True):
            if layer[0].shape[2] == len(prompt):  # a sliding layer of a plain pass keeps its window
                torch.testing.assert_close(mine[0], layer[0][0], atol=2e-4, rtol=1e-4)
                torch.testing.assert_close(mine[1], layer[1][0], atol=2e-4, rtol=1e-4)


def truncations(text: tuple[int, ...], cuts: int) -> list[tuple[int, ...]]:
    return [text[: (k + 1) * len(text) // cuts] + CUE for k in range(cuts)]


def test_truncations_of_a_text_read_each_token_once(llama: Any) -> None:
    prefixes = Prefixes(least=4)
    check(llama, truncations(TEXT, 9), prefixes)
    assert prefixes.tokens_read == prefixes.tokens_computed == len(TEXT) + 9 * len(CUE)
    assert sum(map(len, truncations(TEXT, 9))) == 450 + 9 * 3


def test_questions_behind_the_same_exemplars(llama: Any) -> None:
    """The exemplars once, then all questions in one pass; what came lately is still there."""
    questions = [(200 + i, *range(i, i + 9)) for i in range(20)]
    prefixes = Prefixes()
    check(llama, [TEXT + question for question in questions], prefixes)
    assert prefixes.tokens_read == prefixes.tokens_computed == len(TEXT) + 20 * 10
    check(llama, [TEXT + (199, *range(50, 59))], prefixes)
    assert prefixes.tokens_read == len(TEXT) + 21 * 10


@pytest.mark.parametrize("family", CONFIGS)
def test_sharing_changes_nothing(family: str) -> None:
    """Prompts of all lengths, in every family of models, sliding windows among them."""
    model = tiny_model(family)
    texts = [TEXT[:60], TEXT[:40] + TEXT[60:75], TEXT[60:90], TEXT[:3]]
    prompts = [cut for text in texts for cut in truncations(text, 3)]
    sharing, alone = Prefixes(least=1), Prefixes(least=10**9)
    check(model, prompts, sharing)
    check(model, prompts, alone)
    assert sharing.tokens_read < alone.tokens_read == sum(map(len, set(prompts)))
    check(model, list(reversed(truncations(TEXT, 8))), sharing)


def test_sliding_windows_of_another_kind(sliding: Path) -> None:
    check(load_model(resolve(str(sliding)), dtype="float32"), truncations(TEXT, 5), Prefixes())


def test_a_prompt_that_another_begins_with(llama: Any) -> None:
    """Its last token is read for its logits; the same prompt again is not."""
    prefixes = Prefixes()
    check(llama, [TEXT, TEXT[:50], TEXT], prefixes)
    assert prefixes.tokens_read == len(TEXT) + 1
    check(llama, [TEXT[:50]], prefixes)
    assert prefixes.tokens_read == len(TEXT) + 1


def test_little_in_common_is_read_together(llama: Any) -> None:
    """A few tokens in common are no reason for one more pass."""
    passes: list[int] = []
    hook = llama.register_forward_pre_hook(
        lambda module, args, kwargs: passes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    prompts = [(1, 2, 3, *TEXT[i : i + 40]) for i in range(30)]
    Prefixes().read(llama, prompts)
    hook.remove()
    assert passes == [30]


def test_as_many_are_kept_as_said(llama: Any) -> None:
    prefixes = Prefixes()
    prompts = [(i, *TEXT[i : i + 20]) for i in range(KEPT + 3)]
    prefixes.read(llama, prompts)
    read = prefixes.tokens_read
    prefixes.read(llama, prompts[3:])
    assert prefixes.tokens_read == read
    prefixes.clear()
    prefixes.read(llama, prompts[3:4])
    assert prefixes.tokens_read == read + 21


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
@settings(max_examples=50)
def test_common(one: list[int], other: list[int]) -> None:
    n = common(one, other)
    assert one[:n] == other[:n]
    assert one[n : n + 1] != other[n : n + 1] or n == len(one) == len(other)
