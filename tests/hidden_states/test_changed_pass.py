"""Branches of the forced pass under a change, against a plain forward with hooks made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import FAMILIES, Cell, blocks_of, forward_by_hand, model_of
from tiny_models import N_BLOCKS, N_TOKENS, SIZE, WIDTH

from analysis.hidden_states.changed_pass import Branch, ChangedPass
from analysis.hidden_states.edits import Add, Change, Project, Put
from cot.errors import InputError

RANDOM = np.random.default_rng(7)
PROMPT = RANDOM.integers(0, N_TOKENS, 9).tolist()
TRACE = RANDOM.integers(0, N_TOKENS, 20).tolist()
DONOR = RANDOM.integers(0, N_TOKENS, 20).tolist()
LAST = len(TRACE) - 1
ASKED = [-1, 0, 5, 6, 12, LAST]
LAYERS = [0, 2, N_BLOCKS]
"""First, middle, last."""
SPANS = [range(-1, 0), range(6, 7), range(LAST, LAST + 1), range(-1, LAST + 1), range(3, 14)]
VECTOR = RANDOM.normal(size=WIDTH).astype(np.float32)
UNIT = VECTOR / np.linalg.norm(VECTOR)
CENTRE = RANDOM.normal(size=WIDTH).astype(np.float32)

Made = tuple[Branch, Sequence[Cell], tuple[int, int] | None]
"""A branch, and what it is by hand."""


def added(layer: int, span: range) -> Made:
    vector = torch.from_numpy(VECTOR)
    change = Change(layer=layer, tokens=span, edit=Add(VECTOR))
    return made([change], [lambda states: states + vector])


def put(layer: int, span: range) -> Made:
    vectors = RANDOM.normal(size=(len(span), WIDTH)).astype(np.float32)
    change = Change(layer=layer, tokens=span, edit=Put(vectors))
    return made([change], [lambda states: torch.from_numpy(vectors).to(states.dtype)])


def projected(layer: int, span: range) -> Made:
    unit, centre = torch.from_numpy(UNIT), torch.from_numpy(CENTRE)

    def by(states: torch.Tensor) -> torch.Tensor:
        along = (states.float() - centre) @ unit
        return (states.float() - along[:, None] * unit).to(states.dtype)

    edit = Project(right=UNIT[:, None], left=UNIT[None], centre=CENTRE)
    return made([Change(layer=layer, tokens=span, edit=edit)], [by])


def hiding(span: range) -> Made:
    return Branch(hidden=[span]), [], (len(PROMPT) + span.start, len(PROMPT) + span.stop)


def made(changes: Sequence[Change], by: Sequence[Any]) -> Made:
    n = len(PROMPT)
    cells = [
        (change.layer, n + change.tokens.start, n + change.tokens.stop, how)
        for change, how in zip(changes, by, strict=True)
    ]
    return Branch(changes=changes), cells, None


def both(*some: Made) -> Made:
    """Several changes of one row."""
    hidden = [span for *_, span in some if span]
    branch = Branch(
        changes=[change for one, *_ in some for change in one.changes],
        hidden=[span for one, *_ in some for span in one.hidden],
    )
    return branch, [cell for _, cells, _ in some for cell in cells], (hidden or [None])[0]


def changes() -> list[Made]:
    kinds = (added, put, projected)
    return [kind(layer, span) for kind in kinds for layer in LAYERS for span in SPANS]


def hidings() -> list[Made]:
    spans = (range(0, 4), range(5, 6), range(5, 9), range(0, LAST), range(15, LAST + 1))
    return [hiding(span) for span in spans]


def mixed() -> list[Made]:
    return [
        both(added(0, range(-1, 3)), put(2, range(6, 9)), projected(N_BLOCKS, range(2, 19))),
        both(added(2, range(2, 12)), projected(2, range(5, 20))),
        both(hiding(range(5, 9)), added(2, range(3, 7)), put(3, range(9, 12))),
        both(hiding(range(2, 3)), projected(1, range(18, 20))),
    ]


def states(model: Any, ids: Sequence[int], *how: Any) -> torch.Tensor:
    """By hand, at the asked tokens."""
    at = [len(PROMPT) + token for token in ASKED]
    return forward_by_hand(model, [*PROMPT, *ids], *how)[at]


def run(model: Any, some: Sequence[Made], **options: Any) -> tuple[Any, list[Any]]:
    return ChangedPass(model, **options).run(PROMPT, TRACE, [one for one, *_ in some], ASKED)


def close(found: torch.Tensor, expected: torch.Tensor, rtol: float = 1e-4) -> None:
    torch.testing.assert_close(found, expected, rtol=rtol, atol=rtol * float(expected.abs().max()))


def differs(found: torch.Tensor, other: torch.Tensor) -> bool:
    return float((found - other).abs().max()) > 0.01 * float(other.abs().max())


# -- against a plain forward ----------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_the_unchanged_trace_is_a_plain_forward(family: str) -> None:
    model = model_of(family)
    base, none = run(model, [])
    assert none == []
    close(base, states(model, TRACE))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_each_branch_is_a_plain_forward_with_a_hook(family: str) -> None:
    model, some = model_of(family), changes()
    base, found = run(model, some)
    plain = states(model, TRACE)
    assert np.mean([differs(own, plain) for own in found]) > 0.9
    for own, (branch, cells, _) in zip(found, some, strict=True):
        close(own, states(model, TRACE, cells))
        (change,) = branch.changes
        before = [i for i, token in enumerate(ASKED) if token < change.tokens.start]
        assert torch.equal(own[before], base[before])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_hidden_span_is_a_plain_forward_with_a_mask(family: str) -> None:
    model, some = model_of(family), hidings()
    base, found = run(model, some)
    plain = states(model, TRACE)
    for own, (branch, _, hidden) in zip(found, some, strict=True):
        close(own, states(model, TRACE, (), hidden))
        if branch.hidden[0].stop > LAST:  # nothing follows
            close(own, base, 1e-5)
        else:
            assert differs(own, plain)


def test_two_hidden_spans_are_hidden_from_all_that_follows_each() -> None:
    model, spans = model_of("llama"), [range(1, 4), range(5, 9)]
    ids, n = [*PROMPT, *TRACE], len(PROMPT)
    seen = torch.ones(len(ids), len(ids)).tril()
    for span in spans:  # the second doesn't see the first either
        seen[n + span.stop :, n + span.start : n + span.stop] = 0
    mask = torch.where(seen > 0, 0.0, torch.finfo(torch.float32).min)[None, None]
    with torch.no_grad():
        plain = model.base_model(torch.tensor([ids]), attention_mask=mask, use_cache=False)[0][0]
    _, (found,) = ChangedPass(model).run(PROMPT, TRACE, [Branch(hidden=spans)], ASKED)
    close(found, plain[[n + token for token in ASKED]])


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2", "gpt_neox"])
def test_several_changes_of_one_row(family: str) -> None:
    model, some = model_of(family), mixed()
    _, found = run(model, some)
    for own, (_, cells, hidden) in zip(found, some, strict=True):
        close(own, states(model, TRACE, cells, hidden))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_half_precision_is_that_of_a_plain_forward_in_half_precision(family: str) -> None:
    """Within 4 % of the largest coordinate: bfloat16 has 8 bits, and a cache sums otherwise."""
    model, some = model_of(family).to(torch.bfloat16), [*changes()[::4], *hidings()]
    _, found = run(model, some)
    for own, (_, cells, hidden) in zip(found, some, strict=True):
        assert own.dtype == torch.bfloat16
        expected = states(model, TRACE, cells, hidden).float()
        gap = (own.float() - expected).abs().max() / expected.abs().max()
        assert float(gap) < 0.04


# -- what changes nothing, and what changes all ----------------------------------------------------


def own_states(model: Any, ids: Sequence[int]) -> Any:
    """Layer to the states of prompt's last token and trace, [token, d_model]."""
    kept: dict[int, Any] = {}
    cells = [
        (layer, len(PROMPT) - 1, len(PROMPT) + len(ids), lambda h, k=layer: kept.setdefault(k, h))
        for layer in range(N_BLOCKS + 1)
    ]
    forward_by_hand(model, [*PROMPT, *ids], cells)
    return {layer: value.numpy() for layer, value in kept.items()}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_nothing_added_is_nothing_changed(family: str) -> None:
    under = ChangedPass(model_of(family))
    for layer, span in product(LAYERS, SPANS):
        nothing = Branch(changes=[Change(layer=layer, tokens=span, edit=Add(0 * VECTOR))])
        same = Branch(changes=[Change(layer=layer, tokens=span, edit=lambda h, first: h)])
        base, found = under.run(PROMPT, TRACE, [nothing, same], ASKED)
        assert torch.equal(found[0], found[1])  # rows of one batch: bit for bit
        close(found[0], base, 1e-5)


def test_a_branch_without_a_change_is_the_base() -> None:
    none = [
        Branch(),
        Branch(hidden=[range(4, 4)]),
        Branch(changes=[Change(layer=1, tokens=range(3, 3), edit=Add(VECTOR))]),
    ]
    under = ChangedPass(model_of("llama"))
    base, found = under.run(PROMPT, TRACE, none, ASKED)
    assert all(torch.equal(own, base) for own in found)
    assert under.tokens_run == len(PROMPT) + len(TRACE)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_traces_own_states_change_nothing(family: str) -> None:
    model = model_of(family)
    kept = own_states(model, TRACE)
    some = [
        Branch(changes=[Change(layer=layer, tokens=span, edit=Put(kept[layer][cut]))])
        for layer in range(N_BLOCKS + 1)
        for span in SPANS
        for cut in [slice(span.start + 1, span.stop + 1)]
    ]
    base, found = ChangedPass(model).run(PROMPT, TRACE, some, ASKED)
    for own in found:
        close(own, base, 1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_all_of_a_donors_states_give_the_donor(family: str) -> None:
    model = model_of(family)
    kept, donor = own_states(model, DONOR), states(model, DONOR)
    every = range(0, LAST + 1)
    some = [
        Branch(changes=[Change(layer=layer, tokens=every, edit=Put(kept[layer][1:]))])
        for layer in range(N_BLOCKS + 1)
    ]
    base, found = ChangedPass(model).run(PROMPT, TRACE, some, ASKED)
    for own in found:  # the prompt is the same, so at any layer
        close(own, donor)
    assert differs(donor, base)


def test_a_change_leaves_the_layers_below_it_and_the_tokens_before_it() -> None:
    model, seen = model_of("llama"), {}
    cells = [
        (layer, 0, 29, lambda h, k=layer: seen.setdefault(k, h.clone()))
        for layer in range(N_BLOCKS + 1)
    ]
    forward_by_hand(model, [*PROMPT, *TRACE], cells)
    plain, seen = seen, {}
    _, change, _ = added(2, range(6, 9))
    forward_by_hand(model, [*PROMPT, *TRACE], [*change, *cells])
    for layer in range(N_BLOCKS + 1):
        same = [bool(torch.equal(plain[layer][at], seen[layer][at])) for at in range(29)]
        first = 29 if layer < 2 else len(PROMPT) + 6
        assert same[:first] == [True] * first
        assert not any(same[first : first + 3])


# -- batches, order, chunks, caches ---------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
@pytest.mark.parametrize(
    "options",
    [{"tokens_per_batch": 1}, {"tokens_per_batch": 90}, {"chunk_tokens": 3}, {"chunk_tokens": 1}],
)
def test_batches_and_chunks_change_nothing(family: str, options: dict[str, int]) -> None:
    model, some = model_of(family), [*changes()[::2], *hidings(), *mixed()]
    base, found = run(model, some)
    again, others = run(model, some, **options)
    close(again, base, 1e-5)
    for own, other in zip(found, others, strict=True):
        close(other, own, 2e-5)


def test_order_changes_nothing() -> None:
    model, some = model_of("llama"), [*changes(), *hidings(), *mixed()]
    order = RANDOM.permutation(len(some))
    _, found = run(model, some, tokens_per_batch=120)
    _, others = run(model, [some[i] for i in order], tokens_per_batch=120)
    for place, i in enumerate(order):
        close(others[place], found[i], 2e-5)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
def test_traces_of_one_prompt_and_of_like_prompts_one_after_another(family: str) -> None:
    model, longer = model_of(family), [*range(40), *PROMPT]
    other = [*range(36), 99, *PROMPT]
    under = ChangedPass(model)
    for prompt, ids in ((longer, TRACE), (longer, DONOR), (other, TRACE), (PROMPT, TRACE)):
        branches = [one for one, *_ in [*changes()[::7], *hidings()]]
        base, found = under.run(prompt, ids, branches, ASKED)
        fresh, expected = ChangedPass(model).run(prompt, ids, branches, ASKED)
        close(base, fresh, 1e-5)
        for own, alone in zip(found, expected, strict=True):
            close(own, alone, 1e-5)


def test_only_what_changes_is_run_again() -> None:
    under = ChangedPass(model_of("llama"))
    whole = len(PROMPT) + len(TRACE)
    run_of = [added(2, range(LAST, LAST + 1))[0]] * 3
    under.run(PROMPT, TRACE, run_of, [LAST])
    assert under.tokens_run == whole + 3
    under.run(PROMPT, TRACE, [hiding(range(4, 15))[0]], [LAST])
    assert under.tokens_run == whole + 3 + len(TRACE) + 1 + 5  # the prompt's last token anew


def test_a_prompt_of_one_token_and_a_trace_of_none() -> None:
    model = model_of("llama")
    under = ChangedPass(model)
    change = Change(layer=1, tokens=range(-1, 0), edit=Add(VECTOR))
    base, (own,) = under.run([5], [], [Branch(changes=[change])], [-1])
    close(base, forward_by_hand(model, [5]))
    by = torch.from_numpy(VECTOR)
    close(own, forward_by_hand(model, [5], [(1, 0, 1, lambda states: states + by)]))


# -- what is counted, and what is left behind ------------------------------------------------------


def hooks(model: Any) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_as_it_was(family: str) -> None:
    model = model_of(family)
    ids = torch.tensor([[*PROMPT, *TRACE]])
    with torch.no_grad():
        before = model(ids).logits
    run(model, [*changes(), *hidings(), *mixed()])
    with torch.no_grad():
        after = model(ids).logits
    assert torch.equal(before, after)
    assert hooks(model) == 0
    assert not any("forward" in vars(block) for block in blocks_of(model))


def test_a_failure_leaves_no_hook_behind() -> None:
    model = model_of("llama")
    under = ChangedPass(model)

    def fails(states: Any, first: int) -> Any:
        raise ZeroDivisionError

    change = Change(layer=2, tokens=range(3, 5), edit=fails)
    with pytest.raises(ZeroDivisionError):
        under.run(PROMPT, TRACE, [Branch(changes=[change])], ASKED)
    assert hooks(model) == 0
    assert not any("forward" in vars(block) for block in blocks_of(model))
    base, (own,) = under.run(PROMPT, TRACE, [added(2, range(3, 5))[0]], ASKED)
    close(base, states(model, TRACE))
    close(own, states(model, TRACE, added(2, range(3, 5))[1]))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_hook_that_is_gone_is_an_error(layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    under = ChangedPass(model_of("llama"))

    @contextmanager
    def nothing(layers: Any) -> Any:
        yield

    monkeypatch.setattr(under.writer, "on", nothing)
    with pytest.raises(RuntimeError, match="wrote 0 states, but 4 were meant"):
        under.run(PROMPT, TRACE, [added(layer, range(3, 7))[0]], ASKED)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_hook_that_fires_twice_is_an_error(layer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    under = ChangedPass(model_of("llama"))
    on = under.writer.on

    @contextmanager
    def twice(layers: Any) -> Any:
        with on(layers), on(layers):
            yield

    monkeypatch.setattr(under.writer, "on", twice)
    with pytest.raises(RuntimeError, match="wrote 8 states, but 4 were meant"):
        under.run(PROMPT, TRACE, [added(layer, range(3, 7))[0]], ASKED)


def test_tokens_and_layers_that_are_not_there_are_an_error() -> None:
    under = ChangedPass(model_of("llama"))
    for span in (range(LAST, LAST + 2), range(-2, 0), range(2, 8, 2)):
        for branch in (added(2, span)[0], hiding(span)[0]):
            with pytest.raises(ValueError, match=r"no tokens range\(.*\) in a trace of 20"):
                under.run(PROMPT, TRACE, [branch], ASKED)
    for layer in (-1, N_BLOCKS + 1):
        with pytest.raises(ValueError, match=f"no layer {layer}: 0 to 3"):
            under.run(PROMPT, TRACE, [added(layer, range(3, 5))[0]], ASKED)


def test_tokens_are_not_hidden_from_layers_of_another_kind() -> None:
    model = model_of("llama")
    under = ChangedPass(model)
    model.config.layer_types = ["full_attention", "chunked_attention", "full_attention"]
    with pytest.raises(
        InputError, match="layers of kind chunked_attention: no token can be hidden"
    ):
        under.run(PROMPT, TRACE, [hiding(range(4, 6))[0]], ASKED)


@pytest.mark.parametrize("config", ["JambaConfig", "BertConfig"])
def test_a_model_that_cannot_go_on_from_its_cache_is_refused(config: str) -> None:
    import transformers

    transformers.utils.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**SIZE))
    with pytest.raises(InputError, match=r"can't go on from its prompt's cache.*decoder-only"):
        ChangedPass(model)
