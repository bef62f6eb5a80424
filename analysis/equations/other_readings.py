r"""Other ways to read an expression, for one that does not hold as it is read by the rules.

People write `25 / 1/3` and mean 25 / (1/3), `42 + 20 / 12 + 10` for one sum over another, or
`4 less than 12 * 2 = 24`, where only the end is said to be equal; `10 (100-199) + 9 (400-488)`
counts what lies in ranges, and `400-488 is 89` is one. An equation that holds in such a reading is
not wrong; it is not shown to be right either.

    >>> from analysis.equations.lexer import lex
    >>> [str(value) for value in other_values(lex("25 / 1/3"), 0, 5)]
    ['75']
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from analysis.equations.expressions import Expression, Number, Operation, evaluate
from analysis.equations.lexer import Token
from analysis.equations.parser import Parser, TooLongError

__all__ = ["is_begun", "is_range", "other_values"]

BEHIND = frozenset("to by from with and".split())
"""Words between the operands of `add 1 to 5 + 7`."""
MAX_TOKENS = 200
"""A longer expression is read in one way only."""


def is_begun(near: Expression | None, expression: Expression) -> bool:
    """Whether a side only begins to work out an expression: `3 + 4 - 5 = 3 + 4 = 7`."""
    while isinstance(near, Operation) and isinstance(expression, Operation):
        expression = expression.left
        if expression == near:
            return True
    return False


def is_range(tokens: Sequence[Token], begin: int, end: int, stated: Fraction) -> bool:
    """Whether an expression is a range of whole numbers, and the result how many they are."""
    bounds = _range(tokens[begin:end])
    return bounds is not None and stated - (bounds[1] - bounds[0]) in (0, 1)


def _range(tokens: Sequence[Token]) -> tuple[Fraction, Fraction] | None:
    """The bounds of `480-488`, written without spaces, the lower one first; None for anything
    else."""
    if len(tokens) != 3 or tokens[1].text != "sub" or tokens[1].end - tokens[1].start != 1:
        return None
    first, line, last = tokens
    if first.number is None or last.number is None or first.end != line.start:
        return None
    low, high = first.number, last.number
    is_whole = low.places == high.places == 0 and line.end == last.start
    if not is_whole or low.value is None or high.value is None or low.value >= high.value:
        return None
    return low.value, high.value


def other_values(
    tokens: Sequence[Token], begin: int, end: int, in_signs: bool = True
) -> Iterator[Fraction]:
    """The values that the tokens of an expression have in other readings.

    Args:
        in_signs: whether a sign says what they equal: `add 1/99 to 0.5 = 1/2` is of 0.5 alone.
    """
    inside = list(tokens[begin:end])
    if len(inside) > MAX_TOKENS:
        return
    for reading in (*_readings(inside, in_signs), *_with_thousands(tokens, begin, inside)):
        value = _value(reading)
        if value is not None:
            yield value


def _readings(tokens: list[Token], in_signs: bool) -> Iterator[list[Token]]:
    lines = sum(token.text == "div" for token in tokens)
    if lines > 1:
        yield _with_tight_fractions(tokens)
    if lines and any(token.text == "10" for token in tokens):
        yield _with_powers_of_ten(tokens)
    if lines == 1 and len(tokens) > 3:
        yield from _over_one_line(tokens)
    if any(token.kind == "fraction" for token in tokens[1:]):
        yield _with_products(tokens)
    if any(token.kind == "open" for token in tokens[1:]):
        yield _without_ranges(tokens)
        if tokens[0].kind == "number" and tokens[0].end < tokens[1].start:
            yield tokens[1:]  # the result before goes on on a line of its own: 4 (5 - 2) = 3
    for place, token in enumerate(tokens):
        if token.kind == "comparison" or (token.kind == "word" and token.text == "of"):
            yield tokens[place + 1 :]
            yield tokens[:place]
        elif in_signs and token.text in BEHIND and tokens[0].kind == "prefix":
            yield tokens[place + 1 :]


def _value(tokens: list[Token]) -> Fraction | None:
    """The value of an expression that takes all of the tokens."""
    if not tokens:
        return None
    try:
        side = Parser([*tokens, _sign("break", "", tokens[-1])]).side(0)
    except TooLongError:
        return None
    whole = side.expression is not None and side.after == len(tokens)
    return evaluate(side.expression) if whole and side.expression is not None else None


def _without_ranges(tokens: list[Token]) -> list[Token]:
    """`10 (100-199) + 9 (400-488)` as 10 + 9."""
    read: list[Token] = []
    place = 0
    while place < len(tokens):
        inside = tokens[place + 1 : place + 4]
        if tokens[place].kind == "open" and _range(inside) and place:
            place += 5
        else:
            read.append(tokens[place])
            place += 1
    return read


def _with_thousands(
    tokens: Sequence[Token], begin: int, inside: list[Token]
) -> Iterator[list[Token]]:
    """`14, 400 / 80` as 14400 / 80."""
    if begin < 2 or tokens[begin - 1].kind != "comma" or len(inside[0].text) != 3:
        return
    before, first = tokens[begin - 2].number, inside[0].number
    if before is not None and before.value is not None and first is not None and first.value:
        whole = Number(value=before.value * 1000 + first.value, places=0)
        yield [inside[0]._replace(number=whole), *inside[1:]]


def _with_tight_fractions(tokens: list[Token]) -> list[Token]:
    """`a / b/c` as a / (b/c): what is written without spaces belongs together."""
    read: list[Token] = []
    place = 0
    while place < len(tokens):
        if _is_tight_fraction(tokens, place) and read and read[-1].text == "div":
            first, last = tokens[place], tokens[place + 2]
            read += [_sign("open", "(", first), *tokens[place : place + 3]]
            read.append(_sign("close", ")", last))
            place += 3
        else:
            read.append(tokens[place])
            place += 1
    return read


def _is_tight_fraction(tokens: list[Token], place: int) -> bool:
    if place + 2 >= len(tokens):
        return False
    over, line, under = tokens[place : place + 3]
    is_fraction = over.kind == under.kind == "number" and line.text == "div"
    return is_fraction and over.end == line.start and line.end == under.start


def _with_products(tokens: list[Token]) -> list[Token]:
    r"""2\frac{3}{4} as a product."""
    read: list[Token] = []
    for token in tokens:
        if token.kind == "fraction" and read and read[-1].kind == "number":
            read.append(_sign("operation", "mul", token))
        read.append(token)
    return read


def _with_powers_of_ten(tokens: list[Token]) -> list[Token]:
    r"""`a / 5 \times 10^{-9}` as a over the whole number."""
    read: list[Token] = []
    place = 0
    while place < len(tokens):
        after = _after_power_of_ten(tokens, place)
        if after and read and read[-1].text == "div":
            read += [_sign("open", "(", tokens[place]), *tokens[place:after]]
            read.append(_sign("close", ")", tokens[after - 1]))
            place = after
        else:
            read.append(tokens[place])
            place += 1
    return read


def _after_power_of_ten(tokens: list[Token], place: int) -> int:
    """The place after a number times a power of ten, or 0."""
    texts = [token.text for token in tokens[place : place + 8]]
    if tokens[place].kind != "number" or texts[1:4] != ["mul", "10", "pow"] or len(texts) < 5:
        return 0
    if texts[4] == "{" and "}" in texts:
        return place + texts.index("}") + 1
    return place + 5 if tokens[place + 4].kind == "number" else 0


def _over_one_line(tokens: list[Token]) -> Iterator[list[Token]]:
    """`a + b / c + d` as (a + b) / (c + d)."""
    line = next(place for place, token in enumerate(tokens) if token.text == "div")
    over, under = tokens[:line], tokens[line + 1 :]
    if over and under:
        yield [
            *(_sign("open", "(", over[0]), *over, _sign("close", ")", over[-1])),
            tokens[line],
            *(_sign("open", "(", under[0]), *under, _sign("close", ")", under[-1])),
        ]


def _sign(kind: str, text: str, near: Token) -> Token:
    return Token(kind, text, near.start, near.end)
