"""Step × step attention of a few traces, as the page carries it.

What a model wrote reaches the page as strings, which it sets as text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.figures.text import flag, shorten, text
from analysis.page.evidence import Evidence
from cot.types import TRACE_KEY

__all__ = ["AttentionTrace", "attention_traces"]

STEPS = 40
"""Steps of a trace that a page carries, evenly spaced; an even choice has no favourites."""
NUMBERS = 150_000
"""Numbers of a trace that a page carries: with more, the heads of the highest scores stay."""
UNITS = 9999
"""A head's largest attention, as it is sent: four digits."""
CHARACTERS = 300
"""Of a step's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionTrace:
    """A trace whose matrices are kept."""

    id: str
    """Its question's id."""
    index: int
    """Its sample index."""
    answer: str | None
    """The answer that it states, shortened."""
    right: bool | None
    """Whether that is right."""
    steps: list[int]
    """Numbers of the steps that are shown, ascending."""
    texts: list[str]
    """What they say, the beginning of long ones, shape [step]."""
    n_steps: int
    """Steps whose attention was kept."""
    heads: list[tuple[int, int]]
    """Layer and head of each matrix."""
    tops: list[float]
    """The largest attention of each between two steps, or within one where there is none, shape
    [matrix]."""
    units: list[list[int]]
    """Attention in units of the top over 9999, row by row of the lower triangle with its diagonal:
    the later step's row has the steps up to itself, shape [matrix][pair]."""


def attention_traces(evidence: Evidence) -> list[AttentionTrace]:
    """The traces whose matrices are kept, in the order of the table."""
    table = evidence.get("attention_matrices")
    if table.empty:
        return []
    ranked = _ranked(evidence.get("attention_heads"))
    answers = evidence.get("answers")
    verdicts = {
        (str(row[0]), int(row[1])): (row[2], row[3])
        for row in (
            answers[[*TRACE_KEY, "answer", "correct"]].itertuples(index=False)
            if len(answers)
            else ()
        )
    }
    return [
        _trace(evidence, str(key[0]), int(key[1]), rows, ranked, verdicts.get(key, (None, None)))
        for key, rows in table.groupby(TRACE_KEY, sort=False)
    ]


def _ranked(heads: pd.DataFrame) -> list[tuple[int, int]]:
    """Layer and head, receiver heads and the highest scores first."""
    if heads.empty:
        return []
    order = heads.sort_values(
        ["receiver", "kurtosis"], ascending=False, kind="stable", na_position="last"
    )
    return [(int(layer), int(head)) for layer, head in order[["layer", "head"]].to_numpy()]


def _trace(
    evidence: Evidence,
    name: str,
    index: int,
    rows: pd.DataFrame,
    ranked: list[tuple[int, int]],
    verdict: tuple[object, object],
) -> AttentionTrace:
    whole = sorted(int(step) for step in rows["step"].unique())
    chosen = np.unique(np.linspace(0, len(whole) - 1, min(STEPS, len(whole))).round().astype(int))
    steps = [whole[place] for place in chosen]
    rows = rows[rows["later"].isin(steps) & rows["step"].isin(steps)]
    by_head = rows.sort_values(["layer", "head", "later", "step"], kind="stable")
    keys = by_head[["layer", "head"]].drop_duplicates().to_numpy().tolist()
    n_pairs = len(steps) * (len(steps) + 1) // 2
    values = by_head["attention"].to_numpy(float).reshape(len(keys), n_pairs)
    later, step = np.tril_indices(len(steps))
    apart = values[:, later != step]
    tops = apart.max(axis=1, initial=0.0)
    tops = np.where(tops > 0, tops, values.max(axis=1))  # a lone step looks at itself
    place = {(int(layer), int(head)): i for i, (layer, head) in enumerate(keys)}
    most = max(1, NUMBERS // n_pairs)
    carried = sorted([each for each in (ranked or place) if each in place][:most])
    units = np.rint(values / np.where(tops > 0, tops, 1)[:, None] * UNITS).astype(int)
    words = _texts(evidence, name, index)
    answer = text(verdict[0])
    return AttentionTrace(
        id=name,
        index=index,
        answer=None if answer is None else shorten(answer, 60),
        right=flag(verdict[1]),
        steps=steps,
        texts=[words.get(each, "") for each in steps],
        n_steps=len(whole),
        heads=carried,
        tops=[float(f"{tops[place[each]]:.5g}") for each in carried],
        units=[units[place[each]].tolist() for each in carried],
    )


def _texts(evidence: Evidence, name: str, index: int) -> dict[int, str]:
    """What the steps of the trace say, by number."""
    table, traces = evidence.get("steps"), evidence.traces
    own = traces[(traces["question_id"] == name) & (traces["sample_index"] == index)]["text"]
    if table.empty or own.empty:
        return {}
    rows = table[(table["question_id"] == name) & (table["sample_index"] == index)]
    whole, found = str(own.iloc[0]), {}
    for step, start, end in rows[["step", "start", "end"]].itertuples(index=False):
        found[int(step)] = shorten(whole[int(start) : int(end)].strip(), CHARACTERS)
    return found
