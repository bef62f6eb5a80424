"""Which layers: layer k is the residual stream after k blocks.

0 is the embeddings (what enters the first block) and L, the number of blocks, the last block's
output *before* the final norm.

    >>> choose_layers("every 4th", 30)
    [4, 8, 12, 16, 20, 24, 28, 30]
    >>> choose_layers("0, 10-12", 30)
    [0, 10, 11, 12]
    >>> choose_layers("0.25,0.5,1.0", 30)
    [8, 15, 30]
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cot.errors import InputError

__all__ = ["LayerSpec", "choose_layers"]

LayerSpec = str | int | float | Sequence[int | float]
"""A number, a list of them, or text: `all`, `every 4th` (the last one too), `0,8,16`, `8-12`. A
number with a decimal point is a fraction of the depth, rounded to the nearest layer: `0.25,0.5`."""


def choose_layers(spec: LayerSpec, n_blocks: int) -> list[int]:
    """The layers that are meant, ascending.

    Raises:
        InputError: not understood, or a layer that the model doesn't have.
    """
    if not isinstance(spec, str):
        numbers = [spec] if isinstance(spec, int | float) else spec
        chosen = [_layer(number, n_blocks) for number in numbers]
    elif spec.strip() == "all":
        chosen = list(range(n_blocks + 1))
    elif match := re.fullmatch(r"\s*every ([1-9]\d*)(?:st|nd|rd|th)?\s*", spec):
        chosen = [*range(int(match[1]), n_blocks, int(match[1])), n_blocks]
    else:
        chosen = [layer for part in spec.split(",") for layer in _range(part, spec, n_blocks)]
    wrong = [layer for layer in chosen if not 0 <= layer <= n_blocks]
    if wrong or not chosen:
        raise InputError(
            f"no layer {', '.join(map(str, wrong)) or 'named'}: the model has layers 0 "
            f"(embeddings) to {n_blocks} (output of the last block)"
        )
    return sorted(set(chosen))


def _range(part: str, spec: str, n_blocks: int) -> Sequence[int]:
    if re.fullmatch(r"\s*\d*\.\d+\s*|\s*\d+\.\s*", part):
        return [_layer(float(part), n_blocks)]
    match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
    if not match:
        raise InputError(
            f"layers {spec!r} not understood: write all, every 4th, 0,8,16, 8-12 or 0.25,0.5"
        )
    return range(int(match[1]), int(match[2] or match[1]) + 1)


def _layer(number: int | float, n_blocks: int) -> int:
    if not isinstance(number, float):
        return int(number)
    if not 0 <= number <= 1:
        raise InputError(f"layer {number} is not a fraction of the depth: from 0.0 to 1.0")
    return int(number * n_blocks + 0.5)
