"""The lens of one trace, token by token: what each layer would say next after each token.

What a model wrote, and what its layers would write, are strings that the page sets as text. Each
distinct string is sent once; the cells of a map are indices into them.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.figures.text import flag, shorten, text
from analysis.page.evidence import Evidence

__all__ = ["CELLS", "TOKENS", "left_out", "token_maps"]

TOKENS = 192
"""The last tokens of a trace that are shown: a page of cells for each layer, and no more."""
CELLS = 60_000
"""Cells that one page carries; the first traces come first."""
LENGTH = 40
"""Characters of a token that are sent: one token can be a long run of spaces or signs."""


def token_maps(evidence: Evidence) -> list[dict[str, Any]]:
    """One map a stored trace: question_id, index, answer, right; `tokens` (their text) and the
    first one's index; `layers`, deepest first; `texts`; and by [layer][token] `top` (an index into
    `texts`), `p_top`, `p_stated` (None where the trace states nothing) and `entropy` (nats)."""
    table = evidence.get("lens_tokens")
    if table.empty:
        return []
    verdicts = _verdicts(evidence.get("answers"))
    maps: list[dict[str, Any]] = []
    used = 0
    for (question_id, index), rows in table.groupby(["question_id", "sample_index"], sort=False):
        key = (str(question_id), int(index))
        answer, right = verdicts.get(key, (None, None))
        drawn = _map(rows)
        used += len(drawn["tokens"]) * len(drawn["layers"])
        if maps and used > CELLS:
            break
        maps.append({"id": key[0], "index": key[1], "answer": answer, "right": right, **drawn})
    return maps


def left_out(evidence: Evidence, maps: list[dict[str, Any]]) -> int:
    """How many stored traces have no map."""
    table = evidence.get("lens_tokens")
    return table.groupby(["question_id", "sample_index"]).ngroups - len(maps) if len(table) else 0


def _map(rows: pd.DataFrame) -> dict[str, Any]:
    n = int(rows["token"].nunique())
    kept = sorted(rows["token"].unique())[-TOKENS:]
    rows = rows[rows["token"].isin(kept)]
    said = rows.drop_duplicates("token").set_index("token")["text"]
    places = rows["top"].fillna("").astype(str).str.slice(0, LENGTH)
    codes, texts = pd.factorize(places)
    grid = rows.assign(top=codes).pivot(index="layer", columns="token")
    grid = grid.sort_index(ascending=False)

    def values(name: str, digits: int) -> list[list[float | None]]:
        cells = grid[name].astype(float).round(digits)
        return [[None if pd.isna(v) else v for v in line] for line in cells.to_numpy().tolist()]

    return {
        "tokens": [str(said[token])[:LENGTH] for token in kept],
        "first": int(kept[0]),
        "n_tokens": n,
        "layers": [int(layer) for layer in grid.index],
        "texts": [str(each) for each in texts],
        "top": [
            [None if pd.isna(v) else int(v) for v in line]
            for line in grid["top"].to_numpy().tolist()
        ],
        "p_top": values("p_top", 3),
        "p_stated": values("p_stated", 4),
        "entropy": values("entropy", 2),
    }


def _verdicts(answers: pd.DataFrame) -> dict[tuple[str, int], tuple[str | None, bool | None]]:
    """The answer that each trace states, and whether it is right."""
    names = ["question_id", "sample_index", "answer", "correct"]
    if answers.empty:
        return {}
    return {
        (str(key), int(index)): (
            None if pd.isna(answer) else shorten(str(text(answer)), 60),
            flag(right),
        )
        for key, index, answer, right in answers[names].itertuples(index=False)
    }
