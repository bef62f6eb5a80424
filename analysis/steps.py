"""Steps and sections of every trace, as character and token spans."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pandas as pd

from analysis.declaration import Shown, analysis
from cot.answers.reasoning import Thinking
from cot.errors import InputError
from cot.steps import KINDS, sections
from cot.steps import segment as split
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["segment"]

log = logging.getLogger("cot")
PLACE = ("start", "end", "token_start", "token_end")
SPAN_OF_STEPS = ("first_step", "last_step")


def _show(run: Run, steps: pd.DataFrame) -> Shown:
    counts = {kind: int((steps["kind"] == kind).sum()) for kind in KINDS}
    rows = [
        {"kind": kind, "what it does": KINDS[kind], "steps": n, "share": n / max(len(steps), 1)}
        for kind, n in counts.items()
    ]
    json = {
        "n_traces": len(run.traces()),
        "n_steps": len(steps),
        "n_sections": len(run.table("sections")),
        "n_answer_steps": int((steps["part"] == "answer").sum()),
        "kinds": {row["kind"]: row["share"] for row in rows},
    }
    note = (
        "{n_steps} steps, {n_answer_steps} of them outside think tags, and {n_sections} sections "
        "in {n_traces} traces; kinds are told by rule"
    )
    return Shown(json=json, tables=[rows], note=note.format(**json))


@analysis(
    makes={
        "steps": "one row a step: characters, tokens, kind, part (reasoning or answer), section",
        "sections": "one row a section of steps: its characters, tokens, steps, part and kind",
    },
    show=_show,
)
def segment(run: Run) -> pd.DataFrame:
    """Split each trace into steps and sections; writes `steps` and `sections`, returns `steps`.

    Columns of `steps`: question_id, sample_index, step (from 0), start, end (characters of the raw
    text), token_start, token_end (Int64; missing where the run names no model, its tokenizer can't
    be loaded, or the trace has no token ids), kind, part (`reasoning` or `answer`), section (from
    0). How a text is split: `cot.steps`. Of `sections`: question_id, sample_index, section, start,
    end, token_start, token_end, first_step, last_step (inclusive), part, kind.
    """
    traces = run.traces(["text", "token_ids"])
    spans_of = _token_spans(run)
    thinking = Thinking.of(run.identity)
    rows: list[tuple[Any, ...]] = []
    groups: list[tuple[Any, ...]] = []
    for *key, text, token_ids in zip(
        *(traces[name] for name in (*TRACE_KEY, "text", "token_ids")), strict=True
    ):
        spans = split(text, thinking=thinking)
        found = sections(text, spans)
        tokens = spans_of(token_ids, text) if spans and token_ids is not None else None
        ranges = [(span.start, span.end) for span in spans]
        ranges += [(each.start, each.end) for each in found]
        places = [(*each, *(tokens(*each) if tokens else (None, None))) for each in ranges]
        of = [n for n, each in enumerate(found) for _ in range(each.first_step, each.last_step + 1)]
        rows += [
            (*key, number, *place, span.kind, span.part, section)
            for number, (span, place, section) in enumerate(zip(spans, places, of, strict=False))
        ]
        groups += [
            (*key, number, *place, each.first_step, each.last_step, each.part, each.kind)
            for number, (each, place) in enumerate(zip(found, places[len(spans) :], strict=True))
        ]
    frame = _table(rows, ["step", *PLACE, "kind", "part", "section"])
    run.write_table("steps", frame)
    run.write_table("sections", _table(groups, ["section", *PLACE, *SPAN_OF_STEPS, "part", "kind"]))
    return frame


def _table(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*TRACE_KEY, *names])
    kinds = {"token_start": "Int64", "token_end": "Int64", "kind": "str", "part": "str"}
    return frame.astype(kinds)


def _token_spans(run: Run) -> Callable[[Any, str], Callable[[int, int], tuple[int, int]] | None]:
    """A function from (token ids, text) to one from a character span to a token span."""
    identity = run.identity
    if identity.model is None:
        return lambda token_ids, text: None
    from cot.models import load_tokenizer, resolve_run_model
    from cot.tokens import char_to_token, token_spans

    @cache
    def tokenizer() -> Any:  # loaded only where a trace has token ids
        try:
            return load_tokenizer(resolve_run_model(identity))
        except InputError as error:
            log.warning("steps have no token spans, as the tokenizer can't be loaded: %s", error)
            return None

    def spans_of(token_ids: Any, text: str) -> Callable[[int, int], tuple[int, int]] | None:
        if tokenizer() is None:
            return None
        spans = token_spans(tokenizer(), token_ids, text)
        return lambda start, end: char_to_token(spans, start, end)

    return spans_of
