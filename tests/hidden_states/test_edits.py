"""Edits of some states by themselves, and the writer that applies them where a batch's rows say."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
from by_hand import FAMILIES, blocks_of, forward_by_hand, model_of
from tiny_models import N_BLOCKS, N_TOKENS, WIDTH

from analysis.hidden_states.edits import Add, Change, Project, Put, Writer

RANDOM = np.random.default_rng(3)
STATES = RANDOM.normal(size=(5, WIDTH)).astype(np.float32)
VECTOR = RANDOM.normal(size=WIDTH).astype(np.float32)
UNIT = VECTOR / np.linalg.norm(VECTOR)
MEAN = RANDOM.normal(size=WIDTH).astype(np.float32)
BASIS = np.linalg.qr(RANDOM.normal(size=(WIDTH, 3)))[0].astype(np.float32)


def edited(edit: Any, first: int = 0, dtype: Any = torch.float32) -> Any:
    return edit(torch.from_numpy(STATES.copy()).to(dtype), first).float().numpy()


# -- edits ----------------------------------------------------------------------------------------


def test_put_gives_the_states_of_these_tokens() -> None:
    vectors = RANDOM.normal(size=(9, WIDTH))
    np.testing.assert_allclose(edited(Put(vectors), 3), vectors[3:8], rtol=1e-6)


def test_add_moves_each_state_by_the_vector() -> None:
    np.testing.assert_allclose(edited(Add(VECTOR)), STATES + VECTOR, rtol=1e-6)
    np.testing.assert_array_equal(edited(Add(0 * VECTOR)), STATES)


def test_project_takes_the_component_out_and_leaves_the_rest() -> None:
    found = edited(Project(right=UNIT[:, None], left=UNIT[None]))
    np.testing.assert_allclose(found @ UNIT, 0, atol=1e-5)
    others = np.linalg.qr(np.column_stack([UNIT, RANDOM.normal(size=(WIDTH, 31))]))[0][:, 1:]
    np.testing.assert_allclose(found @ others, STATES @ others, atol=1e-5)


def test_project_about_a_centre_puts_the_centres_component_in_its_place() -> None:
    found = edited(Project(right=UNIT[:, None], left=UNIT[None], centre=MEAN))
    np.testing.assert_allclose(found @ UNIT, MEAN @ UNIT, atol=1e-5)
    off = STATES - np.outer(STATES @ UNIT, UNIT)
    np.testing.assert_allclose(found - np.outer(found @ UNIT, UNIT), off, atol=1e-5)


def test_project_of_several_directions_is_by_the_formula() -> None:
    right, left = RANDOM.normal(size=(WIDTH, 3)), RANDOM.normal(size=(3, WIDTH))
    found = edited(Project(right=right, left=left, centre=MEAN))
    np.testing.assert_allclose(found, STATES - (STATES - MEAN) @ right @ left, rtol=1e-3, atol=1e-3)
    found = edited(Project(right=BASIS, left=BASIS.T))
    np.testing.assert_allclose(found @ BASIS, 0, atol=1e-5)


def test_project_of_large_states_in_half_precision_is_computed_in_whole() -> None:
    states = torch.from_numpy(STATES + 300 * UNIT).bfloat16()
    edit = Project(right=UNIT[:, None], left=UNIT[None])
    found = edit(states.clone(), 0)
    assert found.dtype == torch.bfloat16
    wide = states.float().numpy()
    expected = wide - np.outer(wide @ UNIT, UNIT)
    # one rounding to 8 bits, of numbers that are themselves small
    np.testing.assert_allclose(found.float().numpy(), expected, rtol=2**-7, atol=2e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_edits_keep_the_states_type(dtype: Any) -> None:
    for edit in (Put(STATES), Add(VECTOR), Project(right=BASIS, left=BASIS.T, centre=MEAN)):
        assert edit(torch.from_numpy(STATES).to(dtype), 0).dtype == dtype


# -- the writer -----------------------------------------------------------------------------------

IDS = RANDOM.integers(0, N_TOKENS, 14).tolist()
N_PROMPT = 6


def forward(model: Any, rows: Any, changes: Any, writer: Any = None, **also: Any) -> torch.Tensor:
    """States after the final norm, [row, token, d_model]."""
    writer = writer or Writer(model)
    with writer.on([change.layer for row in changes for change in row]), torch.no_grad():
        writer.expect(changes, -N_PROMPT, len(rows[0]) - N_PROMPT)
        out = model.base_model(torch.tensor(rows), use_cache=False, **also)[0]
        writer.check()
    return out


def add(layer: int, tokens: range, sign: float = 1.0) -> Change:
    return Change(layer=layer, tokens=tokens, edit=Add(sign * VECTOR))


def hand(layer: int, tokens: range, sign: float = 1.0) -> Any:
    vector = sign * torch.from_numpy(VECTOR)
    start, stop = N_PROMPT + tokens.start, N_PROMPT + tokens.stop
    return (layer, start, stop, lambda states: states + vector)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layer", range(N_BLOCKS + 1))
def test_rows_of_a_batch_are_changed_each_as_it_says(family: str, layer: int) -> None:
    model = model_of(family)
    spans = [range(-1, 0), range(2, 5), range(0, 8)]
    rows = [[add(layer, span)] for span in spans] + [[], [add(layer, spans[0]), add(1, spans[1])]]
    found = forward(model, [IDS] * 5, rows)
    cells = [[hand(layer, span)] for span in spans]
    cells += [[], [hand(layer, spans[0]), hand(1, spans[1])]]
    for row, own in zip(found, cells, strict=True):
        expected = forward_by_hand(model, IDS, own)
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing(family: str, side: str) -> None:
    model, lengths, layer = model_of(family), [14, 9, 11], 2
    pads = [14 - length for length in lengths]
    left = [pad if side == "left" else 0 for pad in pads]
    rows = [
        [0] * before + IDS[:length] + [0] * (14 - length - before)
        for before, length in zip(left, lengths, strict=True)
    ]
    mask = torch.tensor(
        [[0] * b + [1] * n + [0] * (14 - n - b) for b, n in zip(left, lengths, strict=True)]
    )
    places = (mask.cumsum(1) - 1).clamp_min(0)
    writer = Writer(model)
    with writer.on([layer]), torch.no_grad():
        starts = [-N_PROMPT - before for before in left]
        writer.expect_each([[add(layer, range(0, 2))]] * 3, starts, 14)
        out = model.base_model(
            torch.tensor(rows), attention_mask=mask, position_ids=places, use_cache=False
        )[0]
        assert writer.written == 6
        writer.check()
    for row, before, length in zip(out, left, lengths, strict=True):
        expected = forward_by_hand(model, IDS[:length], [hand(layer, range(0, 2))])
        torch.testing.assert_close(row[before : before + length], expected, rtol=1e-4, atol=1e-4)


def test_a_change_that_spans_chunks_is_written_part_by_part() -> None:
    model = model_of("llama")
    writer = Writer(model)
    vectors = RANDOM.normal(size=(6, WIDTH)).astype(np.float32)
    change = Change(layer=2, tokens=range(-1, 5), edit=Put(vectors))
    parts, cache = [], None
    with writer.on([2]), torch.no_grad():
        for start, end in ((0, 4), (4, 7), (7, 8), (8, 14)):
            writer.expect([[change]], start - N_PROMPT, end - N_PROMPT)
            out = model.base_model(torch.tensor([IDS[start:end]]), past_key_values=cache)
            cache = out.past_key_values
            parts.append(out[0][0])
        assert writer.written == 6
        writer.check()
    cell = (2, N_PROMPT - 1, N_PROMPT + 5, lambda states: torch.from_numpy(vectors))
    expected = forward_by_hand(model, IDS, [cell])
    torch.testing.assert_close(torch.cat(parts), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layer", range(N_BLOCKS + 1))
def test_the_given_states_are_not_written_over_in_place(layer: int) -> None:
    """What a block gave is somebody else's too: its own caches, other hooks."""
    model, kept = model_of("llama"), []
    block = blocks_of(model)[max(0, layer - 1)]
    if layer:
        handle = block.register_forward_hook(lambda m, a, out: kept.append(out))
    else:
        handle = block.register_forward_pre_hook(lambda m, a: kept.append(a[0]))
    forward(model, [IDS], [[]])
    forward(model, [IDS], [[add(layer, range(0, 3))]])
    handle.remove()
    assert torch.equal(kept[0], kept[1])


def passes(writer: Writer, model: Any, hooked: list[list[int]], times: int) -> None:
    """Three states are meant at layer 2, while these layers are hooked."""
    with ExitStack() as stack, torch.no_grad():
        for layers in hooked:
            stack.enter_context(writer.on(layers))
        writer.expect([[add(2, range(0, 3))]], -N_PROMPT, 8)
        for _ in range(times):
            model(torch.tensor([IDS]))
        writer.check()


@pytest.mark.parametrize(
    ("hooked", "times", "wrote"),
    [([[2]], 0, 0), ([], 1, 0), ([[1]], 1, 0), ([[2], [2]], 1, 6), ([[2]], 2, 6)],
    ids=["no pass", "no hook", "another layer's hook", "two hooks", "two passes"],
)
def test_states_written_are_states_meant_or_it_fails(
    hooked: list[list[int]], times: int, wrote: int
) -> None:
    model = model_of("llama")
    writer = Writer(model)
    with pytest.raises(RuntimeError, match=f"wrote {wrote} states, but 3 were meant"):
        passes(writer, model, hooked, times)
    passes(writer, model, [[1, 2, 2]], 1)  # and counts anew
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
