"""Hints that were followed, and whether the reasoning says so.

A trace follows a hint where it states the hinted answer and didn't without it; what it writes then
is read for a word about the hint (arXiv 2305.04388, 2505.05410). Each followed hint is a row with
the model's words, which the page shows as text. Traces are counted here; shares and their intervals
are those of the table `findings_faithfulness`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.figures.text import flag, interval, number, percent, shorten, text
from analysis.page.evidence import Evidence, detail_of

__all__ = ["HEADS", "MOST", "MOST_CHARACTERS", "Followed", "Hints", "followed_hints"]

MOST = 100
"""Followed hints that the page carries, those that aren't acknowledged first."""
HEADS = ["Kind", "Answers to it", "Followed", "Share", "95% interval", "Stated without it"]
HEADS += ["Acknowledged", "Share of followed", "95% interval", "Mentioned without it"]
HEADS += ["Not acknowledged"]
"""Of the counts. Beside the shares: how often the question's other traces state the hinted answer
without a hint, and how often the rules find a mention in the trace that saw none."""
MOST_CHARACTERS = 4000
"""Of a reply on the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A hint that was followed."""

    id: str
    """The question's."""
    trace: int
    """The trace's sample index."""
    kind: str
    """The kind of hint, or the test where it has no kinds."""
    hinted: str | None
    """The answer that was hinted at."""
    stated: str | None
    """The trace's answer without the hint."""
    acknowledged: bool | None
    """Whether the text says that it follows a hint; None where it wasn't looked for."""
    where: str
    """Where the text says so: in the reasoning, in the answer, in both; empty where the two aren't
    told apart."""
    quote: str | None
    """The words that say so."""
    text: str | None
    """What the model wrote after the hint."""
    cut: bool
    """Whether it wrote more than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """The hints that were given."""

    heads: list[str]
    """Heads of the counts."""
    counts: list[list[str]]
    """A row a kind of hint, as shown."""
    rows: list[Followed]
    """Hints that were followed, those that aren't acknowledged first."""
    left_out: int
    """How many more were followed."""


def followed_hints(evidence: Evidence) -> Hints | None:
    """Counts by kind, and the followed hints; None where no test gave any."""
    given = _given(evidence)
    if not len(given):
        return None
    followed = given[given["followed"]]
    order = followed["acknowledged"].map({False: 0, None: 1, True: 2})
    shown = followed.loc[order.sort_values(kind="stable").index].head(MOST)
    groups = list(given.groupby(["test", "kind"], sort=False))
    kinds = [str(kind) for (_, kind), _ in groups]
    return Hints(
        heads=HEADS,
        counts=[
            [
                str(kind) if kinds.count(str(kind)) == 1 else f"{kind}, {test}",
                *_counts(rows, _findings(evidence, str(test), str(kind))),
            ]
            for (test, kind), rows in groups
        ],
        rows=[_row(row) for row in shown.to_dict("records")],
        left_out=len(followed) - len(shown),
    )


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
        where=[_where(detail) for detail in details],
        quote=[text(_plain(detail.get("quote"))) for detail in details],
        stated=_stated(evidence, rows),
    )


def _where(detail: Mapping[str, Any]) -> str:
    """Which part of a reply acknowledges the hint."""
    parts = [
        part for part in ("reasoning", "answer") if _known(detail.get(f"acknowledged_in_{part}"))
    ]
    return " and ".join(parts)


def _followed(detail: Mapping[str, Any], answer: Any, same: Any) -> bool:
    known = _known(detail.get("followed"))
    if known is not None:
        return known
    return str(answer) == str(detail.get("hinted")) and flag(same) is False


def _counts(rows: pd.DataFrame, found: Mapping[str, Mapping[Any, Any]]) -> list[str]:
    """The cells of `HEADS` after the first.

    Args:
        rows: the replies to hints of this kind.
        found: the findings on them, by measure.
    """
    followed = rows[rows["followed"]]
    looked = followed["acknowledged"].map(lambda each: each is not None)
    said = int((followed["acknowledged"][looked.astype(bool)]).astype(bool).sum())
    return [
        str(len(rows)),
        str(len(followed)),
        *_share(found.get("followed", {})),
        _estimate(found.get("unhinted", {})),
        str(said),
        *_share(found.get("acknowledged", {})),
        _estimate(found.get("false_alarms", {})),
        str(int(looked.sum()) - said),
    ]


def _findings(evidence: Evidence, test: str, kind: str) -> dict[str, Mapping[Any, Any]]:
    """The findings on a test's hints of one kind, by measure; differences left out."""
    table = evidence.get("findings_faithfulness")
    if not len(table):
        return {}
    own = (table["subject"] == test) & (table["kind"] == kind) & (table["baseline"] == "")
    return {str(row["measure"]): row for row in table[own].to_dict("records")}


def _share(finding: Mapping[Any, Any]) -> list[str]:
    ends = (number(finding.get("low")), number(finding.get("high")))
    return [_estimate(finding), interval(*ends, percent)]


def _estimate(finding: Mapping[Any, Any]) -> str:
    return percent(number(finding.get("estimate")))


def _row(row: Mapping[Any, Any]) -> Followed:
    written = text(row["text"])
    return Followed(
        id=str(row["question_id"]),
        trace=int(row["sample_index"]),
        kind=shorten(row["kind"], 80),
        hinted=text(row["hinted"]),
        stated=text(row["stated"]),
        acknowledged=row["acknowledged"],
        where=row["where"],
        quote=None if text(row["quote"]) is None else shorten(str(row["quote"]), 300),
        text=None if written is None else written[:MOST_CHARACTERS],
        cut=written is not None and len(written) > MOST_CHARACTERS,
    )


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


def _plain(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) else str(value)
