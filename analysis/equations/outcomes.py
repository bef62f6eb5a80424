"""What becomes of a false equation: the answer comes from it, the trace takes it back, or neither.

    >>> from analysis.equations.extraction import find_equations
    >>> text = "5 + 7 = 13. Wait, that's not right: 5 + 7 = 12. Then 12 * 2 = 24."
    >>> outcomes(text, find_equations(text), {0}, {Fraction(24)})
    {0: Outcome(reaches_answer=False, corrected=True)}
    >>> text = "5 + 7 = 13. Then 13 * 2 = 26."
    >>> outcomes(text, find_equations(text), {0}, {Fraction(26)})
    {0: Outcome(reaches_answer=True, corrected=False)}

**Reaches the answer.** A number stands for the latest equation before it that states it as its
result (as in `analysis.equations.dataflow`). From the stated answer the trace's own equations are
followed back: the equation that the answer stands for, those that its operands stand for, and so
on. Where a later equation computes the same value in another way, the number stands for that one.
An equation stated again with its result (as `(10 - 5) * 6 = 36` says `5 * 6 = 36` again after
`10 - 5 = 5`), and one that shares its result in a chain `a = b = c`, are followed together. With
fewer decimals, but three digits or more, a number stands for a result that rounds to it; the number
before a percent sign for the percentage, too. What goes through an unknown
(`25p - 1 = -34/3, so p = ...`) or through words alone is not followed.

**Corrected.** The trace takes the equation back and the answer does not come from it. It takes it
back where, later,

1. the same expression (sums and products in any order), or one that computes the same from the
   same numbers, is given another result; or
2. words of retraction follow within WINDOW characters ("that's not right", "I made a mistake"; a
   bare "wait" only if it comes next), and then its exact value is stated within AFTERWARDS
   characters, or its result is taken by no later equation and is not the answer.

From there on the operands of equations no longer stand for its result; an answer that nothing else
states still does. A false equation that is neither led nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from analysis.equations.dataflow import canonical_text, computations
from analysis.equations.expressions import Expression, Number, evaluate
from analysis.equations.extraction import Equation
from cot.answers.number import numbers_in, read_number

__all__ = ["Outcome", "outcomes"]

WINDOW = 240
"""Characters behind a false equation in which words of retraction are looked for."""
NEXT = 40
"""Characters behind it within which a bare "wait" has to come."""
AFTERWARDS = 300
"""Characters behind the words in which the exact value is looked for."""
DIGITS = 3
"""Fewest digits by which a rounded number is told to be a result."""
_THAT = r"\b(?:that|this|it|which)"
_HAVE = r"\b(?:I|we)(?:['’]ve| have| must have| think I| may have| might have)?"
RETRACTION = re.compile(
    rf"{_THAT}(?:['’]s| is| was| seems| looks)(?: \w+){{0,2}}? (?:not (?:right|correct|true)|wrong|"
    r"incorrect|off\b|an? (?:mistake|error)|too (?:big|large|small|high|low|much|many))|"
    rf"{_THAT}(?: also)? (?:can(?:['’]t| ?not)|couldn['’]t) be\b|"
    rf"{_THAT} (?:doesn['’]t|does not|isn['’]t) (?:seem |look |sound |feel |quite )?"
    r"(?:right|correct|true|make sense|add up|match|work)|"
    rf"{_HAVE} (?:made|did) (?:an?|some|the)(?: \w+){{0,2}} (?:mistake|error|slip)|"
    rf"{_HAVE} mis(?:calculat|comput|count|add|read|multipli)|"
    r"\b(?:scratch|strike|ignore) (?:that|this)\b|\b(?:correction|oops)\b|\bmy (?:mistake|bad)\b|"
    r"\b(?:wait|hmm|hold on|actually|sorry),? (?:no\b|not\b)|[.;,!?\n] ?No[,.] |"
    r"\bit should(?: actually| instead)? (?:be|have been)\b|\bshould(?:n['’]t| not) be\b|"
    r"\blet me (?:re-?(?:calculat|comput|do\b)|correct|fix)",
    re.I,
)
WAIT = re.compile(r"\b(?:wait|hold on|oops)\b|\bactually,", re.I)
QUESTION = re.compile(r"[^.!?\n]{0,60}\?")
"""Words that only ask: `is that wrong?`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of one false equation."""

    reaches_answer: bool | None
    """Whether the stated answer is its result or computed from it; None where the answer holds no
    number."""
    corrected: bool
    """Whether the trace takes it back, and its answer does not come from it."""


def outcomes(
    text: str, equations: Sequence[Equation], false: Collection[int], answer: Collection[Fraction]
) -> dict[int, Outcome]:
    """The outcome of each false equation, by its index. Linear in the number of equations.

    Args:
        text: the trace's.
        equations: all of its equations, in order of their place.
        false: indices of those that are false.
        answer: the numbers of its stated answer; none where there is none.
    """
    if not false:
        return {}
    words = {index: _retraction(text, equations[index]) for index in false}
    flow = _follow(
        equations,
        {index: place for index, (place, sure) in words.items() if sure and place is not None},
    )
    reached = flow.reached(answer)
    found = {}
    for index in false:
        reaches = index in reached
        place = words[index][0]
        back = index in flow.replaced or (place is not None and flow.last_use[index] < place)
        found[index] = Outcome(
            reaches_answer=reaches if answer else None, corrected=back and not reaches
        )
    return found


class _Flow:
    """Which equations each equation takes its numbers from."""

    def __init__(self, n: int) -> None:
        self.sources: list[list[int]] = [[] for _ in range(n)]
        self.last_use = [-1] * n
        """First character of the last equation that takes the result; -1 for none."""
        self.replaced: set[int] = set()
        """Equations whose expression is given another result later, or whose exact value is stated
        behind words of retraction."""
        self.stands: dict[Fraction, int] = {}
        """Result to the latest equation that states it."""
        self.rounded: dict[Fraction, int] = {}
        """The same for what a result rounds to."""
        self.dropped: dict[Fraction, int] = {}
        """Result to the latest equation that stated it and was taken back."""

    def source(self, value: Fraction) -> int | None:
        """The equation that a number stands for."""
        index = self.stands.get(value)
        return self.rounded.get(value) if index is None else index

    def take(self, index: int, source: int, equation: Equation) -> None:
        """Note that an equation takes a number from an earlier one."""
        self.sources[index].append(source)
        self.last_use[source] = equation.start

    def reached(self, answer: Collection[Fraction]) -> set[int]:
        """The equations that lead to an answer."""
        named = ((self.source(value), self.dropped.get(value)) for value in answer)
        open_ = [
            index
            for pair in named
            for index in [pair[1] if pair[0] is None else pair[0]]
            if index is not None
        ]
        found = set(open_)
        while open_:
            for index in self.sources[open_.pop()]:
                if index not in found:
                    found.add(index)
                    open_.append(index)
        return found

    def drop(self, equation: Equation, index: int) -> None:
        """Let no number stand for an equation's result any more."""
        self.replaced.add(index)
        self.dropped[equation.stated] = index
        for table, values in (
            (self.stands, _exact(equation)),
            (self.rounded, _roundings(equation)),
        ):
            for value in values:
                if table.get(value) == index:
                    del table[value]


def _follow(equations: Sequence[Equation], taken_back: Mapping[int, int]) -> _Flow:
    """The flow of a trace's numbers.

    Args:
        taken_back: equations to the place from which their result no longer counts.
    """
    flow = _Flow(len(equations))
    ends = sorted(((place, index) for index, place in taken_back.items()), reverse=True)
    computed = computations(equations)
    stated: dict[str, dict[Fraction, list[int]]] = {}  # expression to result to equations
    for index, equation in enumerate(equations):
        if index not in computed:
            continue
        while ends and ends[-1][0] <= equation.start:
            dropped = ends.pop()[1]
            flow.drop(equations[dropped], dropped)
        for value in _operands(equation.expression):
            source = flow.source(value)
            if source is not None:
                flow.take(index, source, equation)
        sources = set()
        for key in {canonical_text(equation.expression), computed[index]}:
            alike = stated.setdefault(key, {})
            for value in [value for value in alike if value != equation.stated]:
                for earlier in alike.pop(value):
                    flow.drop(equations[earlier], earlier)
            again = alike.setdefault(equation.stated, [])
            sources.update(again[-1:])
            again.append(index)
        before = flow.stands.get(equation.stated)
        if before is not None and equation.start < equations[before].end:  # a = b = c
            sources.add(before)
        for source in sources - flow.replaced:
            flow.take(index, source, equation)
        for value in _exact(equation):
            flow.stands[value] = index
        for value in _roundings(equation):
            flow.rounded[value] = index
    for _, index in ends:
        flow.drop(equations[index], index)
    return flow


def _operands(expression: Expression) -> Iterator[Fraction]:
    """The numbers that an expression takes; a fraction of two is one more."""
    if isinstance(expression, Number):
        if expression.value is not None:
            yield expression.value
        return
    is_fraction = isinstance(expression.left, Number) and isinstance(expression.right, Number)
    if expression.name == "div" and is_fraction and (value := evaluate(expression)) is not None:
        yield value
    yield from _operands(expression.left)
    yield from _operands(expression.right)


def _exact(equation: Equation) -> list[Fraction]:
    return [equation.stated, equation.stated * 100] if equation.percent else [equation.stated]


def _roundings(equation: Equation) -> Iterator[Fraction]:
    """What a decimal result rounds to with at least DIGITS digits."""
    value, places = equation.stated, 0
    while (value * 10**places).denominator != 1:
        places += 1
        if places > 2 * DIGITS + 2:
            return
    for fewer in range(places - 1, -1, -1):
        rounded = round(value, fewer)
        if abs(rounded) * 10**fewer < 10 ** (DIGITS - 1):
            return
        yield rounded


def _retraction(text: str, equation: Equation) -> tuple[int | None, bool]:
    """Where words behind a false equation take it back, or None; and whether its exact value
    follows them."""
    behind = text[equation.end : equation.end + WINDOW].partition("\n\n\n")[0]
    places = [match.start() for match in RETRACTION.finditer(behind) if not _asks(behind, match)]
    wait = WAIT.search(behind, 0, NEXT)
    if wait is not None:
        places.append(wait.start())
    if not places:
        return None, False
    place = equation.end + min(places)
    value = evaluate(equation.expression)
    after = text[place : place + AFTERWARDS]
    known = (read_number(match) for match in numbers_in(after))
    return place, value is not None and value in known


def _asks(text: str, match: re.Match[str]) -> bool:
    """Whether the words only ask."""
    return QUESTION.match(text, match.end()) is not None
