r"""The tokens of arithmetic in prose: numbers, operations, brackets, what says "equals", words.

    >>> [token.kind for token in lex("5 apples plus 7 is 12.")]
    ['number', 'word', 'verb', 'number', 'equals', 'number', 'break', 'break']

One linear pass of one regular expression; nothing is evaluated.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import NamedTuple

from cot.answers.number import ONES, TENS, read_words

__all__ = ["Token", "lex"]

SPELLED = frozenset([*ONES, *TENS])
OPERATIONS = {
    "add": r"\+|\bplus\b|\badded to\b|\bmore than\b",
    "sub": r"[-−–]|\bminus\b",
    "less": r"\bless than\b|\bsubtracted from\b",
    "mul": r"\\times\b|\\cdot\b|(?<!\*)\*(?!\*)|[×·⋅∙]|(?<![A-Za-z])x(?=[ \t]*(?:\\?[$(]|\.?\d))|"
    r"\btimes\b|\bmultiplied by\b",
    "div": r"\\div\b|[/÷∕⁄]|\bdivided (?:equally |evenly )?(?:by|among|between|into)\b",
    "pow": r"\^|(?:(?<=[\d)])|(?<=[\d)]\s))\*\*(?=\s?[\d(])|\bto the power of\b",
}
"""How an operation is written. `less`: sub with its operands exchanged."""
PREFIXES = {
    "add": r"sum of|add(?:ing)?",
    "sub": r"difference (?:between|of)",
    "less": r"subtract(?:ing)?",
    "mul": r"product of|multiply(?:ing)?",
    "div": r"quotient of|divid(?:e|ing)",
    "half": r"half(?: of)?|halving",
    "third": r"(?:a |one[ -])?third of",
    "fourth": r"(?:a |one[ -])?(?:quarter|fourth) of",
    "fifth": r"(?:a |one[ -])?fifth of",
    "tenth": r"(?:a |one[ -])?tenth of",
    "twice": r"twice|doubl(?:e|ing)",
    "thrice": r"thrice|tripl(?:e|ing)",
}
"""Operations written before their operands."""
SAYS_EQUALS = (
    r"(?:,\s?)?\b(?:(?:which|that|this|it)\s)?(?:is(?:\sequal\sto)?|equals?(?:\sto)?|gives?(?:\sus)?|"
    r"giving|makes?|making|yields?|totals?|totaling|comes?\sto|becomes|leav(?:es|ing)|results?\sin|"
    r"(?:to|we|you)\sget|for\sa\stotal\sof)\b"
)
AMOUNT = (
    r"(?:\d{1,3}(?:(?:,|\{,\}|\\,|[\u00a0\u2009\u202f])\d{3})+(?!\d)|\d+)"
    r"(?:\.\d+|[ \u00a0]\d{1,3}/\d{1,3}(?![\d/]))?|(?<![\d.])\.\d+"
)
UNIT_RESULT = re.compile(r"=\s?\d[\d.,]*([ghlm])\b(?=\s*(?:[a-z.,;!?)]|\Z))", re.I)
"""A result whose letter is a unit, as in `7g - 3g = 4g`; else it would be an unknown, as in 3x."""
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
PARTS = re.compile(
    r"[$€£¥₹]?\s?([\d.]?(?:[\d.,{}\\\s]*[\d.])??)(?:\s(\d+/\d+))?(?:e([-+]?\d+))?([¼-¾⅐-⅞])?"
    r"(?:\s(hundred|thousand|million|billion))?(\s?(?:\\?%|per\s?cent))?"
)
"""The parts of a number as TOKEN reads it, in lower case."""
MAX_CHARACTERS = 120
"""A longer number has no value."""
MAX_POWER = 60
TOKEN = re.compile(
    r"(?P<skip>[ \t]+)|"
    r"(?P<time>\d{1,2}:\d\d|\d+(?:st|nd|rd|th)\b)|"
    rf"(?P<number>(?:[$€£¥₹]\s?(?:\d{{1,3}}(?:\s\d{{3}})+(?!\d)|{AMOUNT})|{AMOUNT})"
    r"(?:e[-+]?\d{1,3}(?!\w))?[¼-¾⅐-⅞]?|[¼-¾⅐-⅞])"
    r"(?P<scale>\s(?:hundred|thousand|million|billion)\b)?"
    r"(?P<percent>\s?(?:\\?%|per\s?cent\b))?|"
    r"(?P<break>[<>!]=|=>|[-–]>|→|—|\\neq?\b|≠)|"
    r"(?P<equals>(?:\n[\s&]{0,9}|\\\\\s?&?\s?)?(?:=+|≈|\\(?:approx|simeq)\b)|" + SAYS_EQUALS + r")|"
    r"(?P<space>\n\s*)|"
    + "".join(rf"(?P<{name}>{pattern})|" for name, pattern in OPERATIONS.items())
    + "".join(rf"(?P<of_{name}>\b(?:{pattern})\b)|" for name, pattern in PREFIXES.items())
    + r"(?P<raised>[²³]|\b(?:squared|cubed)\b)|(?P<word>[^\W\d_]+(?:['’-][^\W\d_]+)*)|"
    r"(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<fraction>\\[dtc]?frac)|"
    r"(?P<label>\\(?:text|mathrm|textbf|mathbf|operatorname)\s?\{[^{}\d]{0,80}\})|"
    r"(?P<markup>\\(?:left|right|boxed|text|mathbf|textbf|mathrm|quad|[,;!: $()\[\]])|\\?\$|"
    r"\*\*|[~`_&\"“”\u00a0\u2009\u202f])|(?P<command>\\[a-z]+)|(?P<other>.)",
    re.I | re.S,
)


class Token(NamedTuple):
    """One token of a text."""

    kind: str
    """`number`, `operation` (a sign between operands), `verb` (the same in words), `prefix`
    (words before them), `equals`, `fraction` (LaTeX), `raised` (a square or cube), `open`, `close`,
    `word`, or `break` (the rest)."""
    text: str
    """As written, in lower case and without white space around it; an operation's name."""
    start: int
    """First character."""
    end: int
    """One past the last character."""
    value: Fraction | None = None
    """A number's value; None where it is too long."""
    percent: bool = False
    """Whether a number ends in a percent sign."""


def lex(text: str) -> list[Token]:
    """The tokens of a text in order; markup is left out, and a last `break` is added."""
    tokens = []
    for match in TOKEN.finditer(text):
        group = match.lastgroup or ""
        if group in ("skip", "markup"):
            continue
        tokens.append(_token(group, match))
    tokens.append(Token("break", "", len(text), len(text)))
    units = {match[1].lower() for match in UNIT_RESULT.finditer(text)}
    if not units:
        return tokens
    return [token._replace(text="unit") if token.text in units else token for token in tokens]


def _token(group: str, match: re.Match[str]) -> Token:
    start, end = match.span()
    word = match[0].strip().lower()
    if group in ("number", "scale", "percent"):
        value = (
            Fraction(int(word)) if word.isdigit() and len(word) < 60 else _value(match[0].strip())
        )
        return Token("number", word, start, end, value, group == "percent")
    if group == "word" and word.partition("-")[0] in SPELLED:
        whole = read_words(word)
        if whole is not None:
            return Token("number", word, start, end, Fraction(whole))
    if group in OPERATIONS:
        is_verb = len(word) > 1 and word[0].isalpha()
        return Token("verb" if is_verb else "operation", group, start, end)
    if group.startswith("of_"):
        return Token("prefix", group[3:], start, end)
    if group in ("time", "label", "command"):
        return Token("word", word, start, end)
    if group in ("space", "other"):
        return Token("break", word, start, end)
    return Token(group, word, start, end)


def _value(text: str) -> Fraction | None:
    """The value of a number with a sign of currency, thousands, a part, a scale or a percent."""
    parts = PARTS.fullmatch(text.lower()) if len(text) <= MAX_CHARACTERS else None
    if parts is None:
        return None
    amount, part, power, vulgar, scale, percent = parts.groups()
    value = Fraction(re.sub(r"[^\d.]", "", amount) or 0)
    try:
        value += Fraction(part or 0)
        if vulgar:
            value += Fraction(unicodedata.normalize("NFKC", vulgar).replace("⁄", "/"))
    except ZeroDivisionError:
        return None
    if power:
        value *= Fraction(10) ** max(-MAX_POWER, min(int(power), MAX_POWER))
    value *= SCALES[scale] if scale else 1
    return value / 100 if percent else value
