"""Steps: every trace's reasoning, split into sentences and lines, as character and token spans."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import pandas as pd

from analysis.declaration import analysis
from cot.errors import InputError
from cot.steps import segment as split
from cot.store.run import Run
from cot.types import Step

__all__ = ["segment"]

log = logging.getLogger("cot")


@analysis(makes={"steps": "one row a step: its characters, its tokens and its kind"})
def segment(run: Run) -> pd.DataFrame:
    """Split each trace into steps; writes and returns the table `steps`, one row a step.

    Columns: question_id, sample_index, step (from 0), start, end (characters of the raw text),
    token_start, token_end (Int64; missing where the run names no model, its tokenizer can't be
    loaded, or the trace has no token ids), kind. How a text is split: `cot.steps`.
    """
    traces = run.traces(["text", "token_ids"])
    spans_of = _token_spans(run)
    rows = []
    for question_id, index, text, token_ids in zip(
        *(traces[name] for name in ("question_id", "sample_index", "text", "token_ids")),
        strict=True,
    ):
        spans = split(text)
        tokens = spans_of(token_ids, text) if spans and token_ids is not None else None
        for number, span in enumerate(spans):
            first, last = (None, None) if tokens is None else tokens(span.start, span.end)
            step = Step(
                key=(question_id, index),
                index=number,
                start=span.start,
                end=span.end,
                token_start=first,
                token_end=last,
                kind=span.kind,
            )
            rows.append(
                (*step.key, step.index, step.start, step.end)
                + (step.token_start, step.token_end, step.kind)
            )
    names = ["question_id", "sample_index", "step", "start", "end"]
    frame = pd.DataFrame(rows, columns=[*names, "token_start", "token_end", "kind"])
    frame = frame.astype({"token_start": "Int64", "token_end": "Int64", "kind": "str"})
    run.write_table("steps", frame)
    return frame


def _token_spans(run: Run) -> Callable[[Any, str], Callable[[int, int], tuple[int, int]] | None]:
    """A function from (token ids, text) to one from a character span to a token span."""
    model = run.identity.model
    if model is None:
        return lambda token_ids, text: None
    from cot.models import load_tokenizer, resolve
    from cot.tokens import char_to_token, token_spans

    @cache
    def tokenizer() -> Any:  # loaded only where a trace has token ids
        try:
            return load_tokenizer(resolve(model))
        except InputError as error:
            log.warning("steps have no token spans, as the tokenizer can't be loaded: %s", error)
            return None

    def spans_of(token_ids: Any, text: str) -> Callable[[int, int], tuple[int, int]] | None:
        if tokenizer() is None:
            return None
        spans = token_spans(tokenizer(), token_ids, text)
        return lambda start, end: char_to_token(spans, start, end)

    return spans_of
