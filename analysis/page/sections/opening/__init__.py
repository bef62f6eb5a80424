"""What the page opens with: what voting gains, how far the three witnesses agree, where they part,
and what was not measured.

A pair of witnesses is an edge of a triangle. It is drawn solid where they agree more than permuted
labels do, dashed where that is not shown, dotted where it can't be said or was never measured.

    >>> opening(gather(open_run("runs/demo"))).verdict                           # doctest: +SKIP
    'The answers and the hidden states moderately agree; the answers and the reasoning are not ...'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from analysis.figures.text import chance, decimal, number, percent, points
from analysis.findings import beyond_chance, extent
from analysis.page.cards import Row, find, listed, make_row, sentence
from analysis.page.evidence import Evidence
from analysis.page.kinds import Panel, kind_panels
from analysis.page.section import Unmeasured, section, unmeasured
from analysis.page.sections.opening.card import agreement_card, suspicion_card

__all__ = ["Edge", "Opening", "Voted", "opening"]

WITNESSES = {"answers": "answers", "clusters": "reasoning", "hidden states": "hidden states"}
"""Partition in the tables to the word for it on the page."""
CORNERS = {"answers": (190, 24), "clusters": (66, 216), "hidden states": (314, 216)}
"""Where the triangle's corners are, in its own units."""
LABELS = {"answers × clusters": (66, 98), "answers × hidden states": (314, 98)}
LABELS |= {"clusters × hidden states": (190, 247)}
"""Where an edge's number stands."""
ALIKE = {
    "answers × clusters": "Traces that reason alike share an answer more often than by chance.",
    "answers × hidden states": "Traces with like states share an answer more often than by chance.",
    "clusters × hidden states": "Traces with like states reason alike more often than by chance.",
}
"""What it means that a pair agrees."""
THREE = " × ".join(WITNESSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Two witnesses, and how far they agree; or all three."""

    ends: tuple[str, ...]
    """The witnesses, as partitions are named in the tables."""
    title: str
    """The witnesses in words: `answers × reasoning`."""
    state: str
    """`agree`, `nothing` (not shown to be more than chance), `undefined` or `missing`."""
    row: Row | None
    """The coefficient with interval and null; None where it is missing."""
    extent: str
    """How far they agree, as an adverb; empty where no agreement is shown, and for all three."""
    p: str
    """Its p-value against permuted labels, with its sign."""
    claim: str
    """A sentence that says no more than the interval."""

    @property
    def line(self) -> tuple[int, ...]:
        """x, y of one end and x, y of the other."""
        return (*CORNERS[self.ends[0]], *CORNERS[self.ends[1]])

    @property
    def place(self) -> tuple[int, int]:
        """x, y of its number."""
        return LABELS[" × ".join(self.ends)]

    @property
    def width(self) -> float:
        """Of the line: it grows with the coefficient, from 2 at chance to 16 where it is 1."""
        known = self.row.strip if self.row and self.state == "agree" else None
        return 2.0 if known is None else round(2 + 14 * min(max(known[1], 0.0), 1.0), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Voted:
    """The accuracy of a vote, and what it gains over a single trace."""

    rule: str
    """The vote rule: `majority`, or the first that was asked for."""
    accuracy: Row
    """The share of questions that it is right on."""
    single: str
    """The mean accuracy of a single trace, formatted."""
    gain: Row
    """The paired difference of the two, in points."""
    state: str
    """`more`, `less`, or `nothing` where the gain's interval includes 0."""

    @property
    def claim(self) -> str:
        """What the gain's interval shows."""
        return {
            "more": "Beats a single trace.",
            "less": "Worse than a single trace.",
            "nothing": "Not shown to beat a single trace: the interval includes 0.",
        }[self.state]

    @property
    def verdict(self) -> str:
        """Accuracy and gain in one sentence."""
        gained = self.gain.shown.removeprefix("\N{MINUS SIGN}")
        told = {
            "more": f", {gained} points more than a single trace.",
            "less": f", {gained} points less than a single trace.",
            "nothing": f"; it is not shown to beat a single trace ({self.single}).",
        }[self.state]
        return (
            f"The {self.rule} vote is right on {self.accuracy.shown} of "
            f"{self.accuracy.n_questions} questions{told}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A few numbers and what they come to."""

    voted: Voted | None
    """The vote; None where it wasn't made, or no question has gold."""
    unmeasured: list[Unmeasured]
    """What the page can't show, and the command for each."""
    edges: tuple[Edge, ...]
    """The three pairs."""
    three: Edge
    """All three witnesses at once."""
    verdict: str
    """Who agrees with whom, in one sentence."""
    without: tuple[str, ...]
    """Witnesses that no coefficient knows, as the tables name them."""
    commands: tuple[str, ...]
    """What adds them."""
    place: str
    """Where the hidden states were read, in words; empty where they weren't."""
    rows: list[list[str]]
    """Every pair of partitions by every measure, formatted."""
    places: list[list[str]]
    """Agreement with the hidden states of every captured place, formatted."""
    panels: list[Panel]
    """Questions by kind."""

    @property
    def corners(self) -> list[tuple[str, int, int, bool]]:
        """Word, x, y and whether it is there, for each witness."""
        return [(WITNESSES[name], *CORNERS[name], name not in self.without) for name in WITNESSES]


def opening(evidence: Evidence) -> Opening:
    """The pairs of witnesses as `cot agree` compared them; missing where it hasn't."""
    findings = evidence.get("findings_agree")
    edges = tuple(_edge(pair, findings) for pair in combinations(WITNESSES, 2))
    known = {end for edge in edges if edge.state != "missing" for end in edge.ends}
    without = tuple(name for name in WITNESSES if name not in known)
    commands = _commands(evidence, without)
    return Opening(
        voted=_voted(evidence.get("findings_vote")),
        unmeasured=[*unmeasured(evidence), *_left_out(evidence, without, commands)],
        edges=edges,
        three=_edge(tuple(WITNESSES), findings),
        verdict=_verdict(edges),
        without=without,
        commands=commands,
        place=_place(evidence),
        rows=_coefficients(evidence),
        places=_places(evidence),
        panels=kind_panels(evidence),
    )


def _edge(ends: tuple[str, ...], findings: pd.DataFrame) -> Edge:
    name = " × ".join(ends)
    title = " × ".join(WITNESSES[end] for end in ends)
    finding = find(findings, "ami" if len(ends) == 2 else "three_way", name)
    if finding is None:
        claim = "Not measured."
        return Edge(
            ends=ends, title=title, state="missing", row=None, extent="", p="–", claim=claim
        )
    more, far = beyond_chance(finding), ""
    if more is None:
        state, claim = "undefined", "Undefined: no question has two classes or more of each."
    elif more:
        state = "agree"
        far = extent(float(finding["estimate"])) if len(ends) == 2 else ""
        claim = ALIKE.get(name, "All three have something in common.")
    else:
        state = "nothing"
        claim = "Not shown to agree beyond chance."
    row = make_row(finding, title, decimal, [("shuffled", finding["null_mean"])])
    p = chance(number(finding["p"]))
    return Edge(ends=ends, title=title, state=state, row=row, extent=far, p=p, claim=claim)


def _voted(findings: pd.DataFrame) -> Voted | None:
    if findings.empty:
        return None
    rules = [str(rule) for rule in findings.loc[findings["baseline"] == "single", "subject"]]
    if not rules:
        return None
    rule = "majority" if "majority" in rules else rules[0]
    accuracy, single = find(findings, "accuracy", rule), find(findings, "accuracy", "single")
    gain = find(findings, "accuracy", rule, "single")
    if accuracy is None or single is None or gain is None or number(gain["low"]) is None:
        return None
    return Voted(
        rule=rule,
        accuracy=make_row(accuracy, f"{rule} vote", percent),
        single=percent(number(single["estimate"])),
        gain=make_row(gain, "gain over a single trace", points),
        state="more" if gain["low"] > 0 else "less" if gain["high"] < 0 else "nothing",
    )


def _verdict(edges: Sequence[Edge]) -> str:
    """Which witnesses agree, and how far, in one sentence."""
    known = [edge for edge in edges if edge.state in ("agree", "nothing")]
    if not known:
        measured = any(edge.state == "undefined" for edge in edges)
        return f"The witnesses {'could not be' if measured else 'have not been'} compared."
    agreeing = [edge for edge in known if edge.state == "agree"]
    if len(known) == len(edges) and not agreeing:
        return "No two witnesses are shown to agree beyond chance."
    said = [f"{_both(edge)} {edge.extent} agree" for edge in agreeing]
    others = [_both(edge) for edge in known if edge.state == "nothing"]
    if others:
        pairs = ", and ".join(others) + ("," if len(others) > 1 else "")
        said.append(f"{pairs} are not shown to agree beyond chance")
    return f"{sentence('; '.join(said))}."


def _both(edge: Edge) -> str:
    return listed([f"the {WITNESSES[end]}" for end in edge.ends])


def _left_out(
    evidence: Evidence, without: Sequence[str], commands: Sequence[str]
) -> list[Unmeasured]:
    """What the agreement leaves out, as `cot agree` says it."""
    missing = evidence.get("agreement_missing").to_dict("records")
    if missing:
        return [
            Unmeasured(
                text=f"The agreement is without {row['what']}: {row['why']}.",
                command=str(row["command"]),
            )
            for row in missing
        ]
    if not without:
        return []
    words = listed([WITNESSES[name] for name in without])
    return [Unmeasured(text=f"Not compared: {words}.", command=", then ".join(commands))]


def _commands(evidence: Evidence, without: Sequence[str]) -> tuple[str, ...]:
    if not without:
        return ()
    model = "" if evidence.run.identity.model else " --model MODEL"
    capture = [f"cot capture {evidence.run.path}{model}"] if "hidden states" in without else []
    return (*capture, evidence.command("findings_agree"))


def _place(evidence: Evidence) -> str:
    table = evidence.get("agreement")
    known = table.dropna(subset=["layer"]) if "layer" in table else table.iloc[:0]
    return f"layer {known['layer'].iloc[0]} at {known['position'].iloc[0]}" if len(known) else ""


MEASURES = {"ami": "AMI", "ari": "ARI", "vi": "VI, nats", "three_way": "three-way"}


def _coefficients(evidence: Evidence) -> list[list[str]]:
    return [
        [str(row["subject"]), MEASURES[str(row["measure"])], *_numbers(row)]
        for row in evidence.get("agreement_coefficients").to_dict("records")
    ]


def _places(evidence: Evidence) -> list[list[str]]:
    return [
        [str(row["layer"]), str(row["position"]), str(row["subject"]), *_numbers(row)]
        for row in evidence.get("agreement_places").to_dict("records")
    ]


def _numbers(row: Mapping[Any, Any]) -> list[str]:
    """Estimate, interval, null with its 95%, p, questions, left out."""
    value, low, high, null, bottom, top = (
        decimal(number(row[name]))
        for name in ("estimate", "low", "high", "null_mean", "null_low", "null_high")
    )
    return [
        value,
        f"{low} to {high}",
        f"{null} ({bottom} to {top})",
        chance(number(row["p"])).removeprefix("= "),
        str(row["n_questions"]),
        str(row["n_excluded"]),
    ]


section(
    folder=__name__,
    name="opening",
    title="Agreement of the three witnesses",
    navigation="Overview",
    order=10,
    always=True,
    reads=["findings_vote", "agreement", "agreement_kinds", "findings_agree"],
    downloads=["agreement_coefficients", "agreement_places", "findings_agree"],
    data=opening,
    cards=((60, agreement_card), (70, suspicion_card)),
)
