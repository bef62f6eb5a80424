"""The lens of one trace, token by token: what each layer would say next after each token.

What a model wrote, and what its layers would write, are strings that the page sets as text. Each
distinct string is sent once; the cells of a map are indices into them.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from analysis.figures.text import flag, shorten, text
from analysis.page.evidence import Evidence
from cot.types import TRACE_KEY

__all__ = ["CELLS", "TOKENS", "left_out", "token_maps"]

TOKENS = 192
"""The last tokens of a trace that are shown: a page of cells for each layer, and no more."""
CELLS = 60_000
"""Cells that one page carries; the first traces come first."""
LENGTH = 40
"""Characters of a token that are sent: one token can be a long run of spaces or signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMap:
    """One stored trace: what each layer would write after each token."""

    id: str
    """Its question's id."""
    index: int
    """Its sample index."""
    answer: str | None
    """The answer that it states, shortened, or None."""
    right: bool | None
    """Whether that is right, or None where unknown."""
    tokens: list[str]
    """Texts of the tokens, shape [token]."""
    first: int
    """Index of the first of them in the trace."""
    n_tokens: int
    """Tokens of the whole trace."""
    layers: list[int]
    """Deepest first."""
    texts: list[str]
    """Distinct texts of most probable next tokens."""
    top: list[list[int | None]]
    """Most probable next token, an index into `texts`, shape [layer][token]."""
    p_top: list[list[float | None]]
    """Its probability, shape [layer][token]."""
    p_stated: list[list[float | None]]
    """Probability of the stated answer's first token, shape [layer][token]; None where the trace
    states nothing."""
    entropy: list[list[float | None]]
    """Over the vocabulary, nats, shape [layer][token]."""


def token_maps(evidence: Evidence) -> list[TokenMap]:
    """One a stored trace, the first of them up to `CELLS`."""
    table = evidence.get("lens_tokens")
    if table.empty:
        return []
    verdicts = _verdicts(evidence.get("answers"))
    maps: list[TokenMap] = []
    used = 0
    for (question_id, index), rows in table.groupby(TRACE_KEY, sort=False):
        key = (str(question_id), int(index))
        made = _map(key, rows, *verdicts.get(key, (None, None)))
        used += len(made.tokens) * len(made.layers)
        if maps and used > CELLS:
            break
        maps.append(made)
    return maps


def left_out(evidence: Evidence, maps: list[TokenMap]) -> int:
    """How many stored traces have no map."""
    table = evidence.get("lens_tokens")
    return table.groupby(["question_id", "sample_index"]).ngroups - len(maps) if len(table) else 0


def _map(
    key: tuple[str, int], rows: pd.DataFrame, answer: str | None, right: bool | None
) -> TokenMap:
    n = int(rows["token"].nunique())
    last = sorted(rows["token"].unique())[-TOKENS:]
    rows = rows[rows["token"].isin(last)]
    written = rows.drop_duplicates("token").set_index("token")["text"]
    places = rows["top"].fillna("").astype(str).str.slice(0, LENGTH)
    codes, texts = pd.factorize(places)
    grid = rows.assign(top=codes).pivot(index="layer", columns="token")
    grid = grid.sort_index(ascending=False)

    def values(name: str, digits: int) -> list[list[float | None]]:
        cells = grid[name].astype(float).round(digits)
        return [[None if pd.isna(v) else v for v in line] for line in cells.to_numpy().tolist()]

    return TokenMap(
        id=key[0],
        index=key[1],
        answer=answer,
        right=right,
        tokens=[str(written[token])[:LENGTH] for token in last],
        first=int(last[0]),
        n_tokens=n,
        layers=[int(layer) for layer in grid.index],
        texts=[str(each) for each in texts],
        top=[
            [None if pd.isna(v) else int(v) for v in line]
            for line in grid["top"].to_numpy().tolist()
        ],
        p_top=values("p_top", 3),
        p_stated=values("p_stated", 4),
        entropy=values("entropy", 2),
    )


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
