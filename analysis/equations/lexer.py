r"""The tokens of arithmetic in prose and LaTeX: numbers, operations, brackets, relations, words.

    >>> [token.kind for token in lex("5 apples plus 7 is 12.")]
    ['number', 'word', 'verb', 'number', 'says', 'number', 'break', 'break']
    >>> [token.kind for token in lex(r"\(x^2 = 2\sqrt{9}\)")]
    ['letter', 'operation', 'number', 'equals', 'number', 'odd', 'open', 'number', 'close', 'break']

Markup is left out. What no expression is read over is a token of its own kind, `odd`, so that a
reader knows where it has to stop. One linear pass; nothing is evaluated.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from analysis.equations.expressions import Number
from analysis.equations.numerals import MAX_CHARACTERS, read_numeral
from analysis.equations.token_patterns import (
    ARGUMENT,
    ARTICLE,
    ATTACHED,
    BULLET,
    CAPITALS,
    CLOSED,
    COMMANDS,
    EMPHASIS,
    FUNCTIONS,
    MEASURES,
    OPENERS,
    OPERATIONS,
    PHRASE,
    REPEATING,
    SCALES,
    SENTENCE_ENDS,
    SHORT,
    TOKEN,
    UNIT_LETTER,
    UNIT_RESULT,
    VARIABLE,
    VARIABLE_E,
)
from cot.answers.number import read_words

__all__ = ["Token", "lex"]

QUANTITIES = frozenset(("number", "close", "letter", "raised"))
"""Kinds of tokens that an amount may end in."""
LINES = frozenset(("\n", "\\\\", "\\quad", "\\qquad", "&"))
"""Breaks that a relation or an operation behind them does away with."""
SAME = {
    "time": "letter",
    "code": "letter",
    "ordinal": "word",
    "compares": "relates",
    "vector": "odd",
}
"""Kinds of tokens by the name of their pattern, where they differ."""
SKIPPED = frozenset(("space", "rupees", "degree", "aside", "markup"))
DETERMINERS = frozenset(
    "the each every last per this next a an that one other same final following first second third "
    "fourth fifth sixth seventh eighth ninth tenth before after whole simple".split()
)
"""Words before a name that make it no label: `each day 5 + 7`, `the equation 5 + 7`."""


class Token(NamedTuple):
    """One token of a text."""

    kind: str
    """`number`; `operation` (a sign between operands), `verb` (the same in words), `comparison`
    (more than, less than), `prefix` (words before operands), `fraction` (LaTeX), `raised` (a square
    or cube); `open`, `close`; `equals` (a sign), `says` (the same in words), `relates` (<, ≠, ≡);
    `word`; `letter` (an unknown); `comma`; `break` (the end of a sentence or line); `odd` (a root,
    a factorial, a matrix, and whatever else is not read)."""
    text: str
    """As written, in lower case; an operation's name."""
    start: int
    """First character."""
    end: int
    """One past the last character."""
    number: Number | None = None
    """What a number says."""


def lex(text: str) -> list[Token]:
    """The tokens of a text in order; a last `break` is added."""
    lexer = _Lexer(text)
    place, end = _after_bullet(text, 0), len(text)
    while place < end:
        if text[place] == " ":
            place += 1  # half of all tokens
            continue
        match = TOKEN.match(text, place)
        assert match is not None  # `other` is any character
        group = match.lastgroup or ""
        reader = READERS.get(group)
        if reader is not None:
            place = reader(lexer, match)
            continue
        place = match.end()
        if group not in SKIPPED:
            kind = SAME.get(group, group)
            lexer.tokens.append(Token(kind, match[0].lower(), match.start(), place))
    lexer.tokens.append(Token("break", "", len(text), len(text)))
    return lexer.with_units()


class _Lexer:
    """A text and the tokens that were read so far. Each method adds what a match says, and returns
    the place after what was read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.has_latex = "\\" in text

    @cached_property
    def has_x(self) -> bool:
        return VARIABLE.search(self.text) is not None

    @cached_property
    def has_e(self) -> bool:
        return VARIABLE_E.search(self.text) is not None

    @property
    def last(self) -> Token:
        return self.tokens[-1] if self.tokens else Token("break", "", 0, 0)

    def word(self, match: re.Match[str]) -> int:
        text, (start, end) = match[0], match.span()
        lower = text.lower()
        attached = self.last.kind == "number" and self.last.end == start
        if lower in OPENERS and not attached:
            phrase = PHRASE.match(self.text, start)
            if phrase is not None:
                return self.phrase(phrase)
        kind = "word"
        if len(lower) <= 3 or "-" in lower or attached or lower in FUNCTIONS:
            kind = self.kind_of_word(text, end, attached)
        self.tokens.append(Token(kind, lower, start, end))
        return end

    def kind_of_word(self, text: str, end: int, attached: bool) -> str:
        """Whether a word is a `word`, an unknown (`letter`) or a function (`odd`)."""
        lower = text.lower()
        if lower in FUNCTIONS and ARGUMENT.match(self.text, end):
            return "odd"
        if attached and len(text) < (99 if self.has_latex else 3):
            return "word" if lower in ATTACHED else "letter"
        if lower == "pi":
            return "letter"
        if len(text) == 1:
            if lower in "ai" and ARTICLE.match(self.text, end):
                return "word"  # an article, a pronoun
            return "letter" if text.isascii() or "Ͱ" <= text <= "Ͽ" else "word"
        if all(len(part) == 1 for part in lower.split("-")):
            return "letter"
        if text.isascii() and text.isupper() and len(text) == 2:
            is_unit = lower in ATTACHED and not self.has_latex
            return "word" if is_unit or text in CAPITALS else "letter"
        if not self.has_latex or not text.isascii():
            return "word"
        if text.isupper():
            return "letter" if len(text) <= 3 else "word"
        return "word" if len(text) > 2 or lower in SHORT else "letter"

    def phrase(self, phrase: re.Match[str]) -> int:
        group, (start, end) = phrase.lastgroup or "", phrase.span()
        text = phrase[0].lower()
        if group == "label" and self.is_no_label(text):
            end = start + len(text.split()[0])
            group, text = "word", text[: end - start]
        if group == "says" and self.last.text == "or":  # less than or equal to
            group = "relates"
        if group == "says" and self.last.text == "by":  # by making two cuts
            group = "word"
        if group == "verb_mul" and self.text.startswith("/", end):  # 4 times/minute
            group = "word"
        kind, _, name = group.partition("_")
        if kind == "says" and self.last.kind == "comma":
            self.tokens.pop()
        number = None
        if kind == "number":
            scale = SCALES[phrase["scale"].lower()] if phrase["scale"] else 1
            whole = read_words(phrase["words"].replace(",", ""))
            value = None if whole is None else Fraction(whole) * scale
            number = Number(value=value, places=0, scale=scale)
        kind = "letter" if kind == "label" else kind
        self.tokens.append(Token(kind, name or text, start, end, number))
        return end

    def is_no_label(self, text: str) -> bool:
        """Whether a name with a number behind it is none: `5 days 3 * 4`, `the equation 5 + 7`."""
        last = self.last
        return last.kind == "number" or (last.text in DETERMINERS and "-" not in text)

    def number(self, match: re.Match[str]) -> int:
        start, end = match.span()
        text, last = match[0], self.last
        if last.end == start and last.kind in ("word", "letter") and not match["currency"]:
            is_unit = last.text in ("m", "cm", "km", "ft", "in") and text in ("2", "3")
            if is_unit or len(last.text) < 3:
                kind = "word" if is_unit and not self.has_latex else "letter"  # m2; H2, x1
                self.tokens[-1] = last._replace(kind=kind, end=end)
                return end
        if text.isdecimal() and len(text) <= MAX_CHARACTERS:  # 66666₁₆ is of digits, too
            value = None if text[0] == "0" != text else Fraction(int(text))  # 0130 is a time
            number = Number(value=value, places=0)
        else:
            number, end = read_numeral(match)
            if match["power"] and self.has_e:
                number = Number(value=None)
        self.tokens.append(Token("number", self.text[start:end].lower(), start, end, number))
        return end

    def hyphen(self, match: re.Match[str]) -> int:
        """Between a number and a word: of `10 2-legged animals` the 2 is no amount; how much
        `2 5-dollar bills` are is not calculated; `1- and 2-digit numbers` are none."""
        last, noun = self.last, match["noun"].lower()
        if last.kind == "number" and noun in ("digit", "digits"):
            self.tokens[-1] = last._replace(kind="letter", text=last.text + "-", number=None)
        elif last.kind == "number" and any(x.kind == "number" for x in self.tokens[-2:-1]):
            kind = "letter" if noun in MEASURES or noun.endswith("s") else "word"
            self.tokens[-1] = last._replace(kind=kind, text=last.text + "-", number=None)
        return match.end()

    def times(self, match: re.Match[str]) -> int:
        """An x before a number or a bracket: a sign, or an unknown."""
        start, end = match.span()
        is_sign = self.last.kind in QUANTITIES or self.last.kind == "word"
        if is_sign and (self.text[end] not in "($\\" or not self.has_x):
            self.tokens.append(Token("operation", "mul", start, end))
        else:
            self.tokens.append(Token("letter", "x", start, end))
        return end

    def operation(self, match: re.Match[str]) -> int:
        start, end = match.span()
        name = OPERATIONS[match[0]]
        if match[0] == "*" and self.is_emphasis(start, end):
            return end
        self.go_on(name, match)
        is_second = name == "pow" and self.is_power()  # 10^35^0 is two powers in LaTeX
        self.tokens.append(Token("odd" if is_second else "operation", name, start, end))
        return end

    def is_emphasis(self, start: int, end: int) -> bool:
        """Whether a star is Markdown's, not an operation's."""
        if self.last.kind in QUANTITIES or self.text[end].isspace():
            return False
        if self.last.kind == "word" and not self.text[start - 1].isspace():
            return False
        return self.last.kind != "word" or EMPHASIS.match(self.text, start) is not None

    def is_power(self) -> bool:
        """Whether the last number, of more than one digit, is a power."""
        before, last = self.tokens[-2:] if len(self.tokens) > 1 else (self.last, self.last)
        is_number = last.kind == "number" and len(last.text) > 1
        return is_number and before.kind == "operation" and before.text == "pow"

    def go_on(self, name: str, match: re.Match[str]) -> None:
        """Leave out the line breaks before an operation that goes on with the line before."""
        tokens, count = self.tokens, len(self.tokens)
        while count and tokens[count - 1].kind == "break" and tokens[count - 1].text in LINES:
            count -= 1
        if count == len(tokens) or not count or tokens[count - 1].kind not in QUANTITIES:
            return
        between = self.text[tokens[count].start : match.start()]
        may_be_mark = (name == "sub" or match[0] == "*") and ("\n" in between or "\\\\" in between)
        if not may_be_mark or ("\\\\" in between and ("&" in between or "quad" in between)):
            del tokens[count:]

    def equals(self, match: re.Match[str]) -> int:
        while self.last.kind == "break" and self.last.text in LINES and self.tokens:
            self.tokens.pop()
        self.tokens.append(Token("equals", match[0], *match.span()))
        return match.end()

    def line(self, match: re.Match[str]) -> int:
        start, end = match.span()
        last = self.last
        if last.kind == "odd" and last.text[0] in "\\_":
            return end  # \log_{2} goes on
        if last.kind == "operation" and any(x.kind in QUANTITIES for x in self.tokens[-2:-1]):
            return end
        self.tokens.append(Token("break", "\n", start, end))
        return _after_bullet(self.text, end)

    def separator(self, match: re.Match[str]) -> int:
        """An arrow, the begin or end of a display, of a line or a column in LaTeX."""
        text = "\\\\" if match[0].startswith("\\\\") else match[0]
        if text == "&" and self.last.kind in ("operation", "equals"):
            return match.end()
        self.tokens.append(Token("break", text, *match.span()))
        return match.end()

    def label(self, match: re.Match[str]) -> int:
        r"""Words in LaTeX, such as \text{ apples}."""
        words = re.findall(r"[^\W_]+", match["inside"].lower())
        if match[0].startswith("\\operatorname") or not FUNCTIONS.isdisjoint(words):
            kind = "odd"
        else:
            kind = "word" if CLOSED.isdisjoint(words) else "break"
        if words:
            self.tokens.append(Token(kind, " ".join(words), *match.span()))
        return match.end()

    def environment(self, match: re.Match[str]) -> int:
        kind = "odd" if match["layout"].lower().endswith("matrix") else "break"
        self.tokens.append(Token(kind, match[0].lower(), *match.span()))
        return match.end()

    def command(self, match: re.Match[str]) -> int:
        start, end = match.span()
        name = match[0].lstrip("\\")
        kind = COMMANDS.get(name, "odd")
        if match[0].startswith("\\\\") and kind == "odd":  # a new line, then words
            self.tokens.append(Token("break", "\\\\", start, start + 2))
            return start + 2
        if kind in ("mul", "div"):
            self.go_on(kind, match)
            self.tokens.append(Token("operation", kind, start, end))
        elif kind != "skip":
            self.tokens.append(Token(kind, "\\" + name, start, end))
        return end

    def index(self, match: re.Match[str]) -> int:
        """What is written below: the name before it is an unknown."""
        start, end = match.span()
        last = self.last
        if not self.tokens or (last.end != start and match[0][1] != "{"):
            return start + 1  # emphasis
        if last.kind in ("word", "letter"):
            self.tokens[-1] = last._replace(kind="letter", end=end)
        else:
            self.tokens.append(Token("odd", "_", start, end))
        return end

    def dots(self, match: re.Match[str]) -> int:
        kind = "break" if SENTENCE_ENDS.match(self.text, match.end()) else "odd"
        self.tokens.append(Token(kind, match[0], *match.span()))
        return match.end()

    def other(self, match: re.Match[str]) -> int:
        kind = self.kind_of_sign(match[0], *match.span())
        if kind != "skip":
            self.tokens.append(Token(kind, match[0].lower(), *match.span()))
        return match.end()

    def kind_of_sign(self, sign: str, start: int, end: int) -> str:
        """The kind of a sign that nothing else has read."""
        text, last = self.text, self.last
        before = text[start - 1] if start else "\n"
        after = text[end] if end < len(text) else "\n"
        if sign == "_":
            return "odd" if after == "{" else "skip"
        if sign == ".":
            return "odd" if after.isdigit() or REPEATING.match(text, end) else "break"
        if sign == ":":
            is_ratio = last.kind == "number" and (before.isspace() or after.isdigit())
            return "odd" if is_ratio else "break"
        if sign == "!":
            is_end = last.kind not in QUANTITIES or SENTENCE_ENDS.match(text, end)
            return "break" if is_end else "odd"
        if sign == "|":
            return "break" if before.isspace() and after.isspace() else "odd"
        if sign in "@#?":
            is_operator = last.end == start and last.kind in QUANTITIES and not after.isspace()
            return "odd" if is_operator else "break"
        return "odd" if sign in "\\′″%" or unicodedata.category(sign) == "Sm" else "break"

    def with_units(self) -> list[Token]:
        """The tokens, with letters that are units made words: where a result carries one, as in
        `7g - 3g = 4g`, or where, outside LaTeX, each stands behind a number: `4 m x 4 m`."""
        tokens = self.tokens
        if not UNIT_LETTER.search(self.text):
            return tokens
        units = {match[1].lower() for match in UNIT_RESULT.finditer(self.text)}
        spaced: Counter[str] = Counter()
        for place, token in enumerate(tokens):
            if token.kind != "letter" or self.text[token.start : token.end] not in "gmhslL":
                continue
            before, after = tokens[place - 1], tokens[place + 1]
            is_unit = place > 0 and (before.kind == "number" or before.text == "div")
            if not is_unit:
                spaced[token.text] -= len(tokens)
            elif before.end < token.start or after.text == "pow":
                spaced[token.text] += not self.has_latex
        units |= {letter for letter, count in spaced.items() if count > 0}
        units -= {letter for letter, count in spaced.items() if count < 0}
        if not units:
            return tokens
        return [
            token._replace(kind="word", text="unit")
            if token.kind == "letter" and token.text in units
            else token
            for token in tokens
        ]


READERS = {
    "word": _Lexer.word,
    "number": _Lexer.number,
    "hyphen": _Lexer.hyphen,
    "times": _Lexer.times,
    "operation": _Lexer.operation,
    "equals": _Lexer.equals,
    "line": _Lexer.line,
    "arrow": _Lexer.separator,
    "column": _Lexer.separator,
    "display": _Lexer.separator,
    "label": _Lexer.label,
    "environment": _Lexer.environment,
    "command": _Lexer.command,
    "sub": _Lexer.index,
    "dots": _Lexer.dots,
    "other": _Lexer.other,
}
"""Methods by the name of the pattern that they read."""


def _after_bullet(text: str, place: int) -> int:
    """The place after the mark of a list's entry, if one is there."""
    bullet = BULLET.match(text, place)
    return bullet.end() if bullet else place
