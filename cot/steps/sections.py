"""Sections: runs of steps that a long chain of thought is read in.

A section begins where the reasoning or the answer does, and, once the one before it holds
`SHORTEST` characters, at a paragraph (a blank line) or at a step that changes the plan (`MARKER`,
or of the kind backtrack or check). One that holds `LONGEST` characters ends with its step. A last
short one joins the one before it. Time is linear in the number of steps.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cot.steps.splitting import Part, Span

__all__ = ["LONGEST", "SHORTEST", "Section", "sections"]

SHORTEST = 200
"""Characters; a paragraph goes on until it has as many."""
LONGEST = 2000
"""Characters; a section that has as many ends with its step."""
TURNS = ("backtrack", "check")
"""Kinds of steps that begin a section, which is then of that kind."""

BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
MARKER = re.compile(
    r"\W*(?:(?:but|so|and|okay|ok|hmm+|now|then)\b\W*)*"
    r"(?:wait|alternatively|another (?:way|approach|idea|method)|so far"
    r"|let me (?:check|verify|double|see if|try|start|re-?\w+)|to (?:recap|summari[sz]e)"
    r"|first(?:ly)?|second(?:ly)?|third(?:ly)?|next|step \d+|case \d+)\b",
    re.I,
)
"""How a step begins that changes the plan."""


@dataclass(frozen=True, slots=True)
class Section:
    """A run of steps and its place in the text."""

    start: int
    """First character."""
    end: int
    """One past the last character."""
    first_step: int
    """Its first step, from 0."""
    last_step: int
    """Its last step, inclusive."""
    part: Part
    """That of all its steps."""
    kind: str
    """That of its first step where this is a backtrack or a check; else the kind whose steps hold
    the most characters, the earlier of two that hold as many."""


def sections(text: str, steps: Sequence[Span]) -> list[Section]:
    """The sections of a text's steps, in order; each step is in one."""
    if not steps:
        return []
    firsts: list[int] = []
    for i, step in enumerate(steps):
        before = steps[i - 1] if i else None
        if before is None or before.part != step.part:
            firsts.append(i)
            continue
        length = before.end - steps[firsts[-1]].start
        if length >= LONGEST or (length >= SHORTEST and _turns(text, before, step)):
            firsts.append(i)
    groups = list(zip(firsts, [*firsts[1:], len(steps)], strict=True))
    joined: list[tuple[int, int]] = []
    for n, (first, past) in enumerate(groups):
        is_last = n + 1 == len(groups) or steps[past].part != steps[first].part
        short = steps[past - 1].end - steps[first].start < SHORTEST
        if joined and is_last and short and steps[first - 1].part == steps[first].part:
            joined[-1] = (joined[-1][0], past)
        else:
            joined.append((first, past))
    return [_section(steps, first, past) for first, past in joined]


def _turns(text: str, before: Span, step: Span) -> bool:
    """Whether a section may begin at this step."""
    return (
        step.kind in TURNS
        or MARKER.match(text, step.start, step.end) is not None
        or BLANK_LINE.search(text, before.end, step.start) is not None
    )


def _section(steps: Sequence[Span], first: int, past: int) -> Section:
    lengths: dict[str, int] = defaultdict(int)
    for step in steps[first:past]:
        lengths[step.kind] += step.end - step.start
    kind = steps[first].kind
    if kind not in TURNS:
        kind = max(lengths, key=lengths.__getitem__)
    return Section(
        steps[first].start, steps[past - 1].end, first, past - 1, steps[first].part, kind
    )
