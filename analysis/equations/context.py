"""What stands around an expression: brackets, units, remarks; whether it may begin or end there.

>>> from analysis.equations.lexer import lex
>>> context = Context(lex("5 km/h (about) + 7"))
>>> context.tokens[context.after_units(1)].text
'add'
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.equations.lexer import Token

__all__ = ["CLAUSE", "ENDS", "FACTORS_END", "FILLERS", "MAX_REMARK", "Context"]

MAX_UNITS = 5
"""Most words between a number and the operation that follows it."""
MAX_REMARK = 20
"""Most words in brackets there."""
MAX_BACK = 8
"""Most words before an expression that are looked at."""
CLAUSE = frozenset(
    "and so then but because since if when while he she they it we i you the has have had are was "
    "were that which therefore thus hence answer there not or find get gives where".split()
)
"""Words that are not part of a unit: something else begins."""
FILLERS = frozenset(
    "the a an another his her its their these those all about approximately approx roughly around "
    "nearly almost only just total of exactly".split()
)
"""Words that may stand before a number."""
ENDS = frozenset(("break", "comma", "equals", "says", "relates"))
"""Kinds of tokens that an expression may stand between."""
FACTORS_END = frozenset(("number", "close", "letter", "raised"))
"""Kinds of tokens behind which a bracket or a letter multiplies."""
OPERANDS = frozenset(("number", "open", "fraction", "prefix", "letter", "odd"))
"""Kinds of tokens that an operand may begin with."""
OPAQUE = frozenset(
    "root roots digit digits factor factors multiple multiples divisor divisors remainder log "
    "logarithm average mean median mode gcd gcf lcm square cube inverse reciprocal opposite "
    "negative logarithms average range".split()
)
"""Of what follows them not the value is meant: `the last digit of 3 * 4`."""
COMPOUND = frozenset(
    "hour minute second day week month year foot feet inch yard mile pound ounce dollar cent euro "
    "meter metre centimeter kilometer kilogram gram liter inche hr min ft lb kg km m cm".split()
)
"""Units of which an amount may have two: 5 hours 30 minutes."""
SUBJECTS = frozenset("value result sum total product difference quotient answer".split())
"""What the value of an expression is: `the value of 5 + 7 is 12`."""
OBJECTS = frozenset(
    "of than to by with between from when at in into for above below over under after before a "
    "an".split()
)
"""Words before an expression that make it no subject: `the length of 3 * 4 is 5`."""


class Context:
    """The tokens of a text, with their brackets; places are indices of tokens."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens = tokens
        self.closes = _match_brackets(tokens)
        self.opens = {close: opened for opened, close in self.closes.items()}

    def begins_cleanly(self, place: int) -> bool:
        """Whether an expression may begin at a place, by what stands before it."""
        if not place:
            return True
        before, token = self.tokens[place - 1], self.tokens[place]
        if before.kind == "comma":
            return not _is_thousands(before, token)
        if before.kind == "break" and before.text == "." and place > 1:
            return self.tokens[place - 2].kind != "operation"  # .8 + . 84
        if before.kind in ENDS or before.kind in ("prefix", "comparison"):
            return True
        if place == 1 and before.text == "add":
            return True  # +5 + 7
        if before.kind == "verb" and place > 1:
            return self.tokens[place - 2].kind == "says"  # is divided into 5 + 7
        if before.kind == "open":
            return self._opens_cleanly(place - 1)
        if before.kind == "close":
            opened = self.opens.get(place - 1)
            return opened is not None and self.after_remark(opened) == place
        return before.kind == "word"

    def is_object(self, place: int) -> bool:
        """Whether the words before an expression make it no subject of what follows."""
        tokens, first = self.tokens, place
        while place and tokens[place - 1].text in (FILLERS | {"sum", "expression"}) - OBJECTS:
            place -= 1
        if not place:
            return False
        before = tokens[place - 1]
        if before.text == "and":  # between 21/5 and 49/9
            return any(token.text == "between" for token in tokens[max(0, place - 12) : place])
        if before.text == "of":
            return place == 1 or tokens[place - 2].text not in SUBJECTS
        if before.text == "by" and tokens[first].kind == "prefix":
            return False  # by dividing 12 by 4, which is 3
        return before.kind in ("relates", "comparison") or before.text in OBJECTS

    def is_share(self, end: int) -> bool:
        """Whether what ends at a place is a share of what follows: `2/5 of his land`."""
        tokens = self.tokens
        if tokens[end].text != "of" or tokens[end].kind != "word":
            return False
        number = tokens[end - 1].number
        if number is None or number.value is None:
            return tokens[end - 1].kind == "close"
        return number.percent or 0 < number.value < 1 or tokens[end - 2].text == "div"

    def is_remark(self, place: int) -> bool:
        """Whether a bracket with a number says again what the words before it say: `half (1/2)`."""
        before = self.tokens[place - 1]
        if not place or before.kind != "word" or before.text in CLAUSE | FILLERS:
            return False
        close = self.closes.get(place, place)
        after, inside = self.tokens[close + 1 : close + 2], self.tokens[place + 1 : close]
        if not after or not inside or after[0].kind not in ("equals", "says", "operation"):
            return False
        if len(inside) == 1:
            return after[0].text not in ("mul", "div", "pow")
        return len(inside) == 3 and inside[1].text == "div" and after[0].kind != "operation"

    def units(self, begin: int, end: int) -> set[str]:
        """The units between two places that are written in LaTeX."""
        tokens = self.tokens[begin:end]
        labels = (token for token in tokens if token.end - token.start > len(token.text) + 1)
        return {token.text for token in labels if token.kind == "word"}

    def words(self, begin: int, end: int) -> set[str]:
        """The words between two places that may be units."""
        tokens = self.tokens[begin:end]
        return {token.text for token in tokens if token.kind == "word"} - FILLERS - CLAUSE

    def after_units(self, begin: int) -> int:
        """The place after the words that belong to a number: `cookies`, `dollars/hour`, `(left)`,
        `cm^2`."""
        tokens, place = self.tokens, begin
        for _ in range(MAX_UNITS):
            token = tokens[place]
            if token.kind == "operation" and token.text == "div":
                under = tokens[place + 1]
                if place > begin and under.kind == "letter":
                    place += 2  # km/h
                    continue
                if _is_unit(under) and (place > begin or under.text not in FILLERS):
                    place += 1
                    token = under
            if token.kind == "open":
                after = self.after_remark(place)
                if after == place:
                    break
                place = after
            elif _is_unit(token):
                place = self._after_power(place + 1)
            else:
                break
        return place

    def _after_power(self, place: int) -> int:
        """The place after the power of a unit."""
        tokens = self.tokens
        if tokens[place].kind == "raised":
            return place + 1
        if tokens[place].text != "pow" or tokens[place].kind != "operation":
            return place
        if tokens[place + 1].kind == "number":
            return place + 2
        close = self.closes.get(place + 1)
        return close + 1 if close is not None and close <= place + 4 else place

    def after_remark(self, place: int) -> int:
        """The place after a bracket of words, or the place itself where it is none."""
        close = self.closes.get(place)
        if close is None or close - place > MAX_REMARK:
            return place
        inside = self.tokens[place + 1 : close]
        kinds = {token.kind for token in inside}
        if "word" in kinds and kinds <= {"word", "number", "letter"}:
            return close + 1
        if len(inside) == 1 and inside[0].number is not None and place:  # 0.20 (20%)
            before = self.tokens[place - 1].number
            if before is not None and before.value == inside[0].number.value:
                return close + 1 if inside[0].number.percent else place
        return place

    def ends_cleanly(self, end: int, place: int) -> bool:
        """Whether what stands at a place ends an expression up to `end`, with units behind it."""
        token, before = self.tokens[place], self.tokens[place - 1]
        if end < place and token.kind in OPERANDS:
            return not self._is_compound(end, place)
        if token.kind == "number":
            return self._goes_before(end, place)
        if token.kind == "comma":
            return not _is_thousands(token, self.tokens[place + 1])
        if token.kind in ENDS or token.kind in ("close", "word", "prefix"):
            return True
        if token.kind == "comparison" or (token.kind == "verb" and token.text == "mul"):
            after = self.known(place + 1)
            is_open = self.tokens[after].kind == "open" and after not in self.closes
            return is_open or self.tokens[after].kind not in OPERANDS  # 5 times as many
        if token.kind == "open" and token.start > before.end:
            close = self.closes.get(place)
            return close is None or any(
                each.kind == "word" for each in self.tokens[place : min(close, place + MAX_REMARK)]
            )
        return False

    def _goes_before(self, end: int, place: int) -> bool:
        """Whether a number right behind an expression is of something else: `= 12 12 * 2`,
        `= 5 $10 bills`; not so `3 000 g`."""
        tokens = self.tokens
        if tokens[place].text[0] == "$":
            return tokens[end - 1].kind == "number"
        after = tokens[self.after_units(place + 1)]
        is_power = after.text == "pow" or tokens[end - 2].text == "pow"  # 2^2 3^2
        goes_on = after.kind in ("operation", "verb") and tokens[end - 1].kind == "number"
        return goes_on and not is_power and len(tokens[place].text) != 3

    def _is_part(self, place: int) -> bool:
        """Whether a proper fraction stands at a place."""
        top, line, bottom = (token.number for token in self.tokens[place : place + 3])
        if self.tokens[place + 1].text != "div" or line or not top or not bottom:
            return False
        return top.value is not None and bottom.value is not None and top.value < bottom.value

    def _is_compound(self, begin: int, place: int) -> bool:
        """Whether words and the number behind them go on with an amount: 5 hours 30 minutes."""
        words = [token.text for token in self.tokens[begin:place]] + [self.tokens[place + 1].text]
        names = {word.removesuffix("s") for word in words if word != "and"}
        return place > begin and names <= COMPOUND

    def _outermost(self, place: int) -> int:
        """The first of the brackets that open right before a place, or the place."""
        first = max(0, place - MAX_BACK)
        while place > first and self.tokens[place - 1].kind == "open":
            place -= 1
        return place

    def _opens_cleanly(self, place: int) -> bool:
        """Whether a bracket is one of prose around a statement."""
        place = self._outermost(place)
        before = self.tokens[place - 1]
        if not place or before.kind in ENDS or before.kind == "prefix":
            return True
        is_remark = place not in self.closes and before.end < self.tokens[place].start
        if is_remark and before.kind in ("word", "number", "letter", "verb", "close"):
            return True  # on day 1 (5 + 7 = 12)
        return before.kind == "word" and not self.is_call(place)

    def follows_words(self, place: int) -> bool:
        """Whether an expression begins behind the words before it, and is no part of more."""
        tokens = self.tokens
        place = self._outermost(place)
        if not place or tokens[place - 1].kind != "word":
            return True
        begin = place
        while begin and place - begin < MAX_BACK and tokens[begin - 1].kind == "word":
            begin -= 1
            if tokens[begin].text in CLAUSE - FILLERS:
                break
        words = [token.text for token in tokens[begin:place]]
        before = tokens[begin - 1] if begin else None
        while len(words) > 1 and words[-1] in FILLERS and words[-1] != "of":
            words.pop()
        if words[-1] == "of" and words[-2:-1] and words[-2] in OPAQUE:
            return words[-3:-2] in (["a"], ["an"])  # an average of 5 * 4
        if before is None or len(words) >= MAX_BACK or words[0] in CLAUSE - FILLERS - {"and"}:
            return True
        if before.kind == "operation":
            is_dash = before.text == "sub" and tokens[begin - 2].kind not in FACTORS_END
            return begin > 1 and is_dash
        if before.kind == "number":
            is_plain = len(words) <= 3 and FILLERS.isdisjoint(words[:-1])
            if (words[-1] == "of" and is_plain) or ("per" in words and words[-1] == "for"):
                return False  # 3 boxes of 5 + 2
            if words == ["and"] and self._is_part(place):
                return False  # 1 and 1/4
            return not self._is_compound(begin, place)
        return not (before.kind == "close" and words[-1] == "of")

    def is_call(self, place: int) -> bool:
        """Whether a bracket opens directly after a word, as in f(16): an unknown."""
        before = self.tokens[place - 1]
        return (
            self.tokens[place].kind == "open"
            and before.kind == "word"
            and before.end == self.tokens[place].start
        )

    def known(self, place: int) -> int:
        """The place after words that may stand before a number."""
        while self.tokens[place].kind == "word" and self.tokens[place].text in FILLERS:
            place += 1
        return place

    def is_known(self, place: int) -> bool:
        """Whether what stands at a place is not just words."""
        return self.tokens[self.known(place)].kind != "word"


def _match_brackets(tokens: Sequence[Token]) -> dict[int, int]:
    """Each opening bracket's closing one, where neither a break nor a relation lies between."""
    matched = {}
    opened: list[int] = []
    for place, token in enumerate(tokens):
        if token.kind in ("break", "equals", "says", "relates"):
            opened.clear()
        elif token.kind == "open":
            opened.append(place)
        elif token.kind == "close" and opened:
            matched[opened.pop()] = place
    return matched


def _is_unit(token: Token) -> bool:
    return token.kind == "word" and token.text not in CLAUSE


def _is_thousands(comma: Token, after: Token) -> bool:
    """Whether a comma stands in a number that is not well written, as in 16,0000."""
    return after.kind == "number" and comma.end == after.start and after.end - after.start >= 3
