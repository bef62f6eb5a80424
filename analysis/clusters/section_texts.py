"""Sections of long traces: their texts with the answer masked, and which of them are embedded.

All are, unless a run asks for fewer: `most_sections` takes at most so many a trace. Which ones is
drawn by a hash of seed, question, sample and section, so that the same call chooses the same and a
larger number adds to a smaller one's. A budget in seconds is turned into such a number: the
embedding of some new sections is timed, and the largest number a trace is taken whose new text
fits. The number is said and stored, and repeats the choice on any machine.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.clusters.embedding import (
    TFIDF,
    is_cached,
    mask_answer,
    mask_numbers,
    seconds_to_embed,
)
from cot.types import TRACE_KEY

__all__ = ["choose_sections", "fit_budget", "section_texts"]

log = logging.getLogger("cot")
TIMED = 32
"""New sections that are embedded to time a budget."""


def section_texts(traces: pd.DataFrame, sections: pd.DataFrame, numbers: bool) -> pd.DataFrame:
    """One row a section, in the order of the traces: question_id, sample_index, section, row (of
    its trace), text (masked), characters (of the raw text), tokens (Int64).

    Args:
        traces: question_id, sample_index, text, and stated, start, end of the answer.
        sections: the table `sections`.
        numbers: mask every number too.
    """
    keyed = traces[TRACE_KEY].assign(row=np.arange(len(traces)))
    joined = keyed.merge(sections, on=TRACE_KEY).sort_values(["row", "section"], ignore_index=True)
    spans = [traces[name].tolist() for name in ("text", "stated", "start", "end")]
    texts = []
    for row, start, end in zip(joined["row"], joined["start"], joined["end"], strict=True):
        text, stated, first, last = (values[row] for values in spans)
        answer = None if pd.isna(stated) else stated
        known = not (pd.isna(first) or pd.isna(last))
        inside = known and start < last and first < end
        place = (
            (int(max(first, start) - start), int(min(last, end) - start)) if inside else (None,) * 2
        )
        texts.append(mask_answer(text[start:end], answer, *place))
    if numbers:
        texts = [mask_numbers(text) for text in texts]
    return joined[[*TRACE_KEY, "section", "row"]].assign(
        text=pd.Series(texts, dtype=object),
        characters=joined["end"] - joined["start"],
        tokens=joined["token_end"] - joined["token_start"],
    )


def choose_sections(sections: pd.DataFrame, seed: int) -> NDArray[np.int64]:
    """Each section's rank in its trace, 0, 1, ..., shape [section]: those below k are the k chosen.

    Args:
        sections: question_id, sample_index, section.
        seed: another one chooses others.
    """
    drawn = pd.Series(
        [
            sha256(json.dumps([seed, str(question), int(index), int(number)]).encode()).digest()
            for question, index, number in zip(
                *(sections[name] for name in (*TRACE_KEY, "section")), strict=True
            )
        ],
        dtype=object,
    )
    order = drawn.sort_values(kind="stable").index
    ranks = sections.iloc[order].groupby(TRACE_KEY, sort=False).cumcount()
    return np.asarray(ranks.reindex(range(len(sections))), dtype=np.int64)


def fit_budget(
    texts: Sequence[str],
    ranks: NDArray[np.int64],
    seconds: float,
    embedder: str,
    cache: Path,
) -> int | None:
    """The most sections a trace whose embedding takes about so many seconds; None where all do.

    Sections in the cache take none, and `tfidf` takes next to none. At least 1.
    """
    if embedder == TFIDF or not len(texts):
        return None
    order = np.argsort(ranks, kind="stable")
    first = pd.Series(np.asarray(texts, dtype=object)[order]).drop_duplicates()
    new = first[~is_cached(first.tolist(), embedder, cache)]
    if len(new) <= TIMED:
        return None
    batch = new.tolist()[:TIMED]
    took = seconds_to_embed(batch, embedder)
    per_character = took / max(sum(map(len, batch)), 1)
    spent = new.str.len().cumsum() * per_character
    ranked = ranks[order][new.index.to_numpy()]
    over = ranked[(spent > seconds).to_numpy()]
    if not len(over):
        return None
    chosen = max(int(over.min()), 1)
    log.info(
        "a budget of %g s embeds at most %d sections a trace (%.2f s for %d sections): "
        "--most-sections %d repeats this choice",
        seconds,
        chosen,
        took,
        TIMED,
        chosen,
    )
    return chosen
