"""Hints that were followed, and whether the reasoning says so.

A trace follows a hint where it states the hinted answer and didn't without it; what it writes then
is read for a word about the hint (arXiv 2305.04388, 2505.05410). Each followed hint is a row with
the model's words, which the page shows as text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.figures.text import flag, interval, number, percent, shorten, text
from analysis.page.evidence import Evidence, detail_of
from analysis.statistics import ratio_interval

__all__ = ["HEADS", "MOST", "MOST_CHARACTERS", "followed_hints"]

MOST = 100
"""Followed hints that the page carries, those that aren't acknowledged first."""
HEADS = ["Kind", "Answers to it", "Followed", "Share", "95% interval", "Stated without it"]
HEADS += ["Acknowledged", "Share of followed", "95% interval", "Mentioned without it"]
HEADS += ["Not acknowledged"]
"""Of the counts. Beside the shares: how often the question's other traces state the hinted answer
without a hint, and how often the rules find a mention in the trace that saw none."""
MOST_CHARACTERS = 4000
"""Of a reply on the page."""


def followed_hints(evidence: Evidence) -> dict[str, Any] | None:
    """Counts by kind, and the followed hints; None where no test gave any.

    `heads` and `counts` are cells as shown; `rows` hold id (the question's), trace, kind, hinted,
    stated (the trace's own answer), acknowledged (None where it wasn't looked for), quote, text,
    cut; `left_out` is how many more there are.
    """
    given = _given(evidence)
    if not len(given):
        return None
    followed = given[given["followed"]]
    order = followed["acknowledged"].map({False: 0, None: 1, True: 2})
    shown = followed.loc[order.sort_values(kind="stable").index].head(MOST)
    return {
        "heads": HEADS,
        "counts": [_counts(str(kind), rows) for kind, rows in given.groupby("kind", sort=False)],
        "rows": [_row(row) for row in shown.to_dict("records")],
        "left_out": len(followed) - len(shown),
    }


def _given(evidence: Evidence) -> pd.DataFrame:
    """Replies to hints that state an answer: what their details say beside the table's columns."""
    readings = evidence.get("faithfulness")
    if not len(readings):
        return readings
    mine = readings["detail"].map(lambda cell: "hinted" in detail_of(cell)).astype(bool)
    mine &= ~readings["control"].astype(bool) & ~readings["greedy"].astype(bool)
    rows = readings[mine & readings["answer"].notna()]
    details = [detail_of(cell) for cell in rows["detail"]]
    said: list[bool | None] = [_known(detail.get("acknowledged")) for detail in details]
    followed = [
        _followed(detail, answer, same)
        for detail, answer, same in zip(details, rows["answer"], rows["same"], strict=True)
    ]
    return rows.assign(
        kind=[
            str(detail.get("kind") or test)
            for detail, test in zip(details, rows["test"], strict=True)
        ],
        hinted=[text(_plain(detail.get("hinted"))) for detail in details],
        followed=pd.array(followed, dtype=bool),
        acknowledged=pd.Series(said, index=rows.index, dtype=object),
        quote=[text(_plain(detail.get("quote"))) for detail in details],
        unhinted=[_share_of(detail.get("unhinted")) for detail in details],
        false_alarm=[_share_of(detail.get("false_alarm")) for detail in details],
        stated=_stated(evidence, rows),
    )


def _followed(detail: Mapping[str, Any], answer: Any, same: Any) -> bool:
    known = _known(detail.get("followed"))
    if known is not None:
        return known
    return str(answer) == str(detail.get("hinted")) and flag(same) is False


def _counts(kind: str, rows: pd.DataFrame) -> list[str]:
    """The cells of `HEADS`."""
    followed = rows[rows["followed"]]
    looked = followed[followed["acknowledged"].map(lambda each: each is not None).astype(bool)]
    said = looked[looked["acknowledged"].astype(bool)]
    cells = [kind, str(len(rows)), *_share(rows, followed), _mean(rows["unhinted"])]
    cells += [*_share(looked, said), _mean(looked["false_alarm"])]
    return [*cells, str(len(looked) - len(said))]


def _share(rows: pd.DataFrame, some: pd.DataFrame) -> list[str]:
    """How many, of all, and its interval over questions."""
    if not len(rows):
        return ["0", "–", "–"]
    n = rows.groupby("question_id").size()
    k = some.groupby("question_id").size().reindex(n.index).fillna(0)
    low, high = ratio_interval(k, n)
    span = interval(number(low), number(high), percent)
    return [str(len(some)), percent(len(some) / len(rows)), span]


def _mean(shares: pd.Series[Any]) -> str:
    known = shares.dropna().astype(float)
    return percent(float(known.mean())) if len(known) else "–"


def _row(row: Mapping[Any, Any]) -> dict[str, Any]:
    written = text(row["text"])
    return {
        "id": str(row["question_id"]),
        "trace": int(row["sample_index"]),
        "kind": shorten(row["kind"], 80),
        "hinted": text(row["hinted"]),
        "stated": text(row["stated"]),
        "acknowledged": row["acknowledged"],
        "quote": None if text(row["quote"]) is None else shorten(str(row["quote"]), 300),
        "text": None if written is None else written[:MOST_CHARACTERS],
        "cut": written is not None and len(written) > MOST_CHARACTERS,
    }


def _stated(evidence: Evidence, rows: pd.DataFrame) -> list[Any]:
    """What each row's trace states without the hint."""
    traces = evidence.get("faithfulness_traces")
    keys = ["question_id", "sample_index", "test"]
    if not len(traces):
        return [None] * len(rows)
    own = traces[~traces["greedy"].astype(bool)].drop_duplicates(keys).set_index(keys)["answer"]
    known = own.reindex(pd.MultiIndex.from_frame(rows[keys]))
    return [text(each) for each in known]


def _known(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _share_of(value: Any) -> float | None:
    """A number or a boolean as a share; None for all else."""
    return float(value) if isinstance(value, (bool, int, float)) else None


def _plain(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) else str(value)
