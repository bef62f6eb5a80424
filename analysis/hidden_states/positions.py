"""Which tokens of a trace are looked at.

    prompt_end       the prompt's last token: the same for all of a question's traces, captured once
    step_end         the last token of each step
    pre_answer       the token before the answer's first
    answer           the answer's last token
    mean             the mean over all stored generated tokens
    every 8 tokens   the 8th, 16th, … generated token
    (a name)         the last token of each of a user's character spans, see `spans.py`

Tokens are counted from the first generated one; -1 is the prompt's last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from analysis.hidden_states.spans import Spans
from cot.errors import InputError
from cot.store.vectors import Place
from cot.tokens import char_to_token, token_spans

__all__ = ["POSITIONS", "Spot", "check_positions", "find_spots"]

POSITIONS = ("prompt_end", "step_end", "pre_answer", "answer", "mean")
EVERY = re.compile(r"\s*every\s+([1-9]\d*)\s+tokens?\s*")


class Spot(NamedTuple):
    """A place and the generated tokens whose mean state is its vector (most often one token)."""

    place: Place
    """Where the vector is from."""
    start: int
    """First token; -1 is the prompt's last."""
    end: int
    """One past the last token."""


def check_positions(positions: Sequence[str]) -> tuple[str, ...]:
    """The positions, each once, in the order of `POSITIONS` and then `every … tokens`.

    Raises:
        InputError: an unknown position, or none.
    """
    matches = {name: EVERY.fullmatch(name) for name in positions}
    unknown = [name for name, match in matches.items() if not match and name not in POSITIONS]
    if unknown or not positions:
        raise InputError(
            f"unknown position {', '.join(map(repr, unknown)) or '(none given)'}: "
            f"choose from {', '.join(POSITIONS)}, or `every 8 tokens`"
        )
    known = [name for name in POSITIONS if name in positions]
    steps = sorted({int(match[1]) for match in matches.values() if match})
    return (*known, *(f"every {step} tokens" for step in steps))


def find_spots(
    traces: pd.DataFrame,
    answers: pd.DataFrame | None,
    steps: pd.DataFrame | None,
    positions: Sequence[str],
    tokenizer: Any,
    spans: Spans | None = None,
) -> Iterator[Spot]:
    """Every spot of the traces, a question's `prompt_end` first.

    Args:
        traces: question_id, sample_index, text, token_ids.
        answers: the table; needed for `pre_answer` and `answer`. An answer without a span in the
            text (missing, or given by an import) has no spot.
        steps: the table; needed for `step_end`.
        positions: as `check_positions` returns them.
        spans: a user's; a span that no token wrote has no spot.
    """
    keys = ["question_id", "sample_index"]
    said = None if answers is None else answers.dropna(subset=["start", "end"])
    stated = {} if said is None else _spans(said, keys)
    stepped = {} if steps is None else _spans(steps, [*keys, "step"])
    own: Spans = spans or {}
    gaps = {name: int(match[1]) for name in positions if (match := EVERY.fullmatch(name))}
    seen: set[str] = set()
    for question_id, sample_index, text, ids in zip(
        *(traces[name] for name in (*keys, "text", "token_ids")), strict=True
    ):
        if "prompt_end" in positions and question_id not in seen:
            seen.add(question_id)
            yield Spot(Place(question_id, None, "prompt_end", None, -1), -1, 0)
        key = (question_id, int(sample_index))
        if key in stepped or key in stated or key in own:
            written = token_spans(tokenizer, ids, text)
        for step, start, end in stepped.get(key, ()):
            first, after = char_to_token(written, start, end)
            if first < after:
                yield _at(key, "step_end", after - 1, step)
        for start, end in stated.get(key, ()):
            first, after = char_to_token(written, start, end)
            for name, token in (("pre_answer", first - 1), ("answer", after - 1)):
                if name in positions and first < after:
                    yield _at(key, name, token)
        if "mean" in positions and len(ids):
            yield Spot(Place(*key, "mean", None, None), 0, len(ids))
        for name, gap in gaps.items():
            for token in range(gap - 1, len(ids), gap):
                yield _at(key, name, token)
        ends = [(name, char_to_token(written, *span)) for name, *span in own.get(key, ())]
        for name, token in dict.fromkeys((name, b - 1) for name, (a, b) in ends if a < b):
            yield _at(key, name, token)


def _at(key: tuple[str, int], name: str, token: int, step: int | None = None) -> Spot:
    return Spot(Place(*key, name, step, token), token, token + 1)


def _spans(frame: pd.DataFrame, names: list[str]) -> Mapping[Any, list[tuple[int, ...]]]:
    """Each trace's rows in the table's order: what `names` has after the key, then start, end."""
    found: dict[tuple[str, int], list[tuple[int, ...]]] = {}
    columns = (frame[name] for name in (*names, "start", "end"))
    for question_id, sample_index, *numbers in zip(*columns, strict=True):
        row = tuple(int(number) for number in numbers)
        found.setdefault((question_id, int(sample_index)), []).append(row)
    return found
