r"""Numbers as people and models write them, read exactly.

>>> str(read_number(find_number("about $1,234.50 a year")))
'2469/2'
>>> str(read_number(find_number(r"2\frac{1}{2} cups")))
'5/2'
>>> find_number("10 - 3") is None    # not evaluated
True
>>> whole_number("3π") is None, str(read_number(whole_number(r"x = 3\text{ cm}")))
(True, '3')
>>> read_words("one hundred and five")
105

Nothing is evaluated, and caps on length keep hostile input cheap.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from functools import cache

__all__ = [
    "NUMBER",
    "ONES",
    "TENS",
    "WORDS",
    "find_number",
    "has_decimal_commas",
    "is_attached",
    "is_part",
    "numbers_in",
    "read_number",
    "read_words",
    "whole_number",
]

MAX_DIGITS = 60
"""Digits, and most decimal exponent, of a number that is understood."""

_THOUSANDS = (
    "(?:,(?:\\\\! ?)?|\\{,\\}(?:\\\\!)?|\\\\!,|\\\\[,;:]|\\\\?[ \u00a0\u2009\u202f]|，|"
    "['\u2019](?=\\d{3}(?!\\d)))"
)
_UNSIGNED = (
    rf"(?:\d{{1,3}}(?:{_THOUSANDS}\d{{3}})+(?!\d)|"
    r"\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])|"  # India's 12,34,567
    r"\d+)(?:\.\d+)?|\.\d+"
)
_COMMA = (
    r"\d{1,3}(?:\.\d{3})+,\d+(?![\d,])|\d{1,3}(?:\.\d{3}){2,}(?![\d.])|"
    r"\d{1,3}\.\d{3}(?=\s?(?:€|Euro\b|EUR\b))|0,\d+(?![\d,])|"
    r"\d+,\d\d?(?=\s?(?:[€$]|Euros?\b|EUR\b))"
)
"""Numbers with a decimal comma that can't be anything else: 1.234,56, 1.234.567, 1.234 €, 0,5."""
_FRAC = (
    r"\\[dtc]?frac\s*(?P<top>\d|\{\s*[-−]?\s*\d+(?:\.\d+)?\s*\})"
    r"\s*(?P<bottom>\d|\{\s*[-−]?\s*\d+(?:\.\d+)?\s*\})"
)
_OVER = r"(?P<above>\d{1,30})\s*\\over\s*(?P<below>\d{1,30})"
_VULGAR = "[¼-¾⅐-⅞]"
_TIMES_TEN = (
    r"\s?(?:[xX×*·]|\\times|\\cdot)\s?10"
    r"(?:\s?(?:\^|\*\*)\s?(?:(?P<tens>[-−+]?\d+)|\{\s*(?P<braced>[-−+]?\d+)\s*\})|"
    r"(?P<raised>[⁻⁺]?[⁰¹²³⁴-⁹]+))"
)
NUMBER = re.compile(
    r"(?P<sign>(?<![\w.)}\]])(?<![\d)}\]]\s)[-−–+](?=[\d.$€£¥₹\\½⅓¼¾])|"
    r"(?<![\w.)}\]])(?<![\d)}\]]\s)-\$(?=\d)|(?<=[=:({$] )[-−–]\s|(?<=\bis )[-−–]\s|"
    r"\b(?:negative|minus)\s)?"
    r"(?P<currency>\\?(?:(?:US|AU|CA|NZ|HK|[ACRS])?\\?[$€£¥₹]|"
    r"\b(?:Rs\.?|USD|EUR|GBP|INR|CHF|AUD|CAD|JPY|CNY|RMB))(?:\\,)?\s?)?"
    rf"(?:{_OVER}|(?P<whole>\d{{1,9}})(?:\s+(?P<part>\d{{1,9}}[/⁄]\d{{1,9}})(?![\d/])|"
    rf"\s?(?:\\[,;:!]\s?)?{_FRAC}|\s?(?P<vulgar>{_VULGAR}))|"
    rf"(?P<comma>{_COMMA})|"
    rf"(?P<over>{_UNSIGNED})"
    rf"(?:\s?[/⁄∕]\s?(?P<under>\d+(?:\.\d+)?)(?![\d/])|[eE](?P<power>[-+−]?\d+)|{_TIMES_TEN})?|"
    rf"{_FRAC.replace('top', 'upper').replace('bottom', 'lower')}|(?P<only>{_VULGAR}))"
    r"(?P<power10>[²³](?![²³\d]))?(?P<scale>\s{0,2}(?:hundred|thousand|million|billion|trillion|dozen|lakh|crore|mio|mln|bn)\b|"
    r"\s?(?:Millionen|Milliarden|millones|millions|tausend)\b|[kKM](?![\w/^])|"
    r"(?<=\d)[mB](?=\b(?(currency)|(?!)))|[万億亿])?"
    r"(?P<percent>\s{0,2}(?:\\?[%％]|per\s?cent(?:age)?\b|pct\b|Prozent\b|por\s?ciento\b|pour\s?cent\b|"
    r"(?:\\[,;: ])?\\(?:text|mathrm)\s*\{\s*(?:percent|per cent|pct|\\?%)\s*\}))?"
)
"""One number: sign, currency, thousands, decimals, fraction, mixed number, scientific notation,
scale, percent; in LaTeX too."""
_UNITS = (
    r"(?:[cmkdnμµ]?m|[cmkn]m[²³]|m[²³]|k?g|mg|[mcd]?[lL]|km/?h|kph|mph|m/s|[smh]|ms|hrs?|mins?|secs?|"
    r"[aA]\.?m\.?|[pP]\.?m\.?|lbs?|oz|ft|in|yd|mi|k?[WVJN]|k?Wh|[kMG]?Hz|[kMGT]B|°?[CF]|°|€|£|¥|₹|"
    r"st|nd|rd|th|[A-Za-z]{3,20})"
)
"""What may be attached to a number without changing it: 42km, 30mph, 5min, but not 4x, 3ab."""
ATTACHED = re.compile(rf"{_UNITS}(?![A-Za-z0-9^_(])")
FUNCTION = "sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp|root|mod|pi|theta|alpha|beta"
NEUTRAL = (
    r"text[a-z]*|math(?:rm|bf|it)|[mf]box|boxed|q?quad|circ|degree|approx|sim|(?:L|l)?(?:ong)?"
    r"[rR]ightarrow|implies|to|therefore|because|end|begin|right|rangle|[bB]ig[a-z]*|[hv]space|"
    r"(?:black)?square|qed|checkmark|newline|par|item|tag|label|[lc]?dots|percent|euro|pounds|hfill"
)
"""LaTeX commands behind a number that leave it what it is."""
CALCULATED = (
    r"\s+(?:(?:more|less|fewer|greater)\s+than|squared|cubed|factorial|remainder|to\s+the\s+power|"
    r"divided\s+by|multiplied\s+by|below\s+zero|(?:times|plus|minus|modulo|mod)\s+(?:\d|the\b|as\b)|"
    r"(?:out\s+of|of)\s+\d)|(?<=\b1)\s+in\s+\d"
)
"""Words after a number that make it a part of a calculation."""
GOES_ON = re.compile(
    rf"\d|{CALCULATED}|\.\d|"
    r"\*\*[\d(]|\s*[-−–+*×÷^=]\s*\\?\$?\d|\s*[-−–]\s*\\?\$\d|"
    r"\s*[+*×÷·]\s*[\w\\(]|\s?[-−–]\s?(?:[b-zB-HJ-Z](?![\w'])|\\(?:[dtc]?frac|sqrt|pi)|\(\d)|"
    r"\s?/\s?(?:\d|\\|\(|[a-zA-Z](?![A-Za-z/]))|"
    r"\s?x\s?\d|[:,]\d|\s:\s\d|\s?\^(?!\s?\{?\s?\\(?:circ|(?:text|mathrm)\s?\{\s?(?:st|nd|rd|th)))|[⁰¹²³⁴-⁹]|_|√|"
    r"\.\\(?:overline|bar|dot)|\\(?:overline|bar)\b|"
    rf"\s*\\(?!(?:{NEUTRAL})(?![A-Za-z]))[A-Za-z]|"
    rf"\s(?:{FUNCTION}|choose)\b|\s?(?:[πτ√∞±∓≤≥>≠∈]|<(?!/?[a-z]))|\s?!(?=[\s]*[$}})/*+×^=\\-]|\s[a-z])|"
    r"\s[b-zB-HJ-Z](?=\s*(?:[=+*/^.)$}\]]|$))(?<!\s[smghlLCFWVJN])|"
    r"\s*(?:\\text\{\s*)?(?:\b(?:or|and|to|und|oder|bis|et|ou|o)\b|[&~])(?:\s*\})?\s*[-−]?\\?\$?\d|"
    r",\s?(?:and\s|or\s)?[-−]?\d[\d.,]*(?:\s?(?:,|and\b|or\b|[.)}\]$]|$))|"
    r"\s+and\s+(?:an?|one)\s+(?:half|third|quarter)|"
    "[\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]+\\d"
)
"""What follows a number that is only a part: of a calculation, a ratio, a list, a date."""
DIGIT = re.compile(r"[\d¼-¾⅐-⅞]")
LONGEST_LEAD = 14
"""Characters of a sign, a currency or `\\frac{-` before a number's first digit."""
ENDLESS = re.compile(r"\.\.\.|…|\\[cl]?dots")
"""What follows 0.333 where its digits go on."""
BEFORE = re.compile(
    r"\d\Z|[\w)}\]]\s?[*/×÷·^±√]\s?\(?\{?\Z|\d\s?[xX]\s?\Z|[<>≤≥≠]\s?\Z|\\(?:le|ge|ne|lt|gt)q?\s?\Z|"
    r"\b(?:(?:more|less|greater|fewer|larger|smaller|higher|lower)\s+than|(?:half|root|factorial|double|"
    r"twice|square|cube)\s+of)\s+\Z|[\d)]\*\*\(?\Z|[\d)}\]]\s*[-−–+]\s*\Z|"
    r"(?<![\w'])[b-zB-HJ-Z]\s?[-−–+]\s?\Z|\^\{?\Z|(?<=[A-Za-z0-9)}\]])_\{?\Z|[√±∓]\s?[({]?\Z|"
    rf"(?:\\(?:{FUNCTION}|times|cdot|div|pm|mp|binom|[dtc]?frac)\s?(?:\[\d\])?|\bf)\s?[({{]?\Z|"
    rf"(?<![A-Za-z\\])(?:{FUNCTION})\s?\(?\Z|[A-Za-z]\(\Z|\d[.,:]\Z|\d\s:\s\Z|\\over\s?\Z|\\pi\s?/\s?\Z"
)
"""What stands before a number that is only a part."""
HTML = re.compile(r"(?:</?[a-z]{1,8}>|(?:\A|\n)[ \t]*>)\s?\Z")
"""A tag, or the mark of a quotation."""
COMMAND = re.compile(
    r"\\(?:approx|sim|simeq|equiv|to|[rR]ightarrow|implies|q?quad|displaystyle|textstyle|"
    r"pounds|euro|dollar|leftarrow|therefore)$"
)
"""LaTeX commands after which a number begins although they end in a letter."""

SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "tausend": 10**3}
SCALES |= {"billion": 10**9, "trillion": 10**12, "dozen": 12, "lakh": 10**5, "crore": 10**7}
SCALES |= {"k": 10**3, "m": 10**6, "mio": 10**6, "mln": 10**6, "bn": 10**9, "b": 10**9}
SCALES |= {"millionen": 10**6, "milliarden": 10**9, "millones": 10**6, "millions": 10**6}
SCALES |= {"万": 10**4, "億": 10**8, "亿": 10**8}
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_WORD = "|".join(sorted([*ONES, *TENS], key=len, reverse=True))
WORDS = re.compile(
    rf"\b(?:(?:minus|negative)\s)?(?:an?\s(?=hundred|thousand))?(?:{_WORD}|hundred|thousand)"
    rf"(?:(?:\s?-\s?|\s(?:and\s)?)(?:{_WORD}|hundred|thousand)){{0,9}}\b"
    r"(?!\s+(?:and\s+an?|point|dozen|million|billion|percent|per\s+cent)\b|"
    r"[-\s]+(?:half|halves|thirds?|quarters?|[a-z]{3,7}ths?)\b)",
    re.I,
)
"""A whole number in words, below a million."""
WRAPPED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|boxed|fbox)\s*\{([^{}]*)\}"
)
LAYOUT = re.compile(
    r"\\(?:left|right|displaystyle|[dt]extstyle)(?![A-Za-z])|(?<![\d,}])\\[,;:! ]|\\[,;:! ](?!\d)|"
    r"~|\\q?quad|[*`]|\\[()\[\]]|\$(?!\s?[\d.])|^\$(?=[^$]*\$\W*$)"
)
UNSEEN = "\x00-\x08\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff"
"""Characters that are not seen, or that turn what follows around."""
HEAD = re.compile(rf"[^\d\\^_*+<>=!π√≤≥±×÷∞()|\[\]{UNSEEN}]{{0,80}}(?:(?:=|≈|\\approx|\\sim)\s*)?")
TAIL = re.compile(
    r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\circ|\^\s*\{\s*(?:st|nd|rd|th)\s*\})?"
    rf"(?:(?:\s*/\s*)?[^\d\\^_*+<>=!π√≤≥±×÷∞/|\[\]{UNSEEN}]{{0,80}}"
    r"(?:(?<=[A-Za-z])\s*(?:\^\s*\{?[234]\}?|[²³]))?){0,4}"
)
LISTED = re.compile(r"(?:^|\s)(?:or|and|to|between|und|oder|et|ou)(?:\s|$)")
CALLED = re.compile(rf"(?<![A-Za-z])(?:{FUNCTION})(?![A-Za-z])|[A-Za-z]\(")
COMMA_WORDS = re.compile(
    r"\b(?:der|die|das|ist|und|nicht|ein|eine|beträgt|also|ergibt|kostet|"
    r"el|los|las|es|una|por|respuesta|cuesta|"
    r"le|les|est|une|donc|réponse|coûte|sont|il|è|uma|são|resposta|risposta)\b",
    re.I,
)
POINT_WORDS = re.compile(r"\b(?:the|is|and|of|so|has|have|are|answer|it|we|each|they)\b", re.I)
NEXT_WORD = re.compile(r" ([a-z]{4,20})(?=[ .,!?\n]|$)")
CALCULATING = frozenset(
    "more less fewer greater squared cubed factorial remainder divided multiplied below times plus "
    "minus modulo choose oder sqrt root theta alpha beta".split()
)
"""Words that make the number before them a part."""
CALLING = (
    *("than", "of", "over", "times", "div", "cdot", "pm", "mp", "x", "X", *FUNCTION.split("|")),
    *(
        "negative",
        "minus",
        "Rs",
        "USD",
        "EUR",
        "GBP",
        "INR",
        "CHF",
        "AUD",
        "CAD",
        "JPY",
        "CNY",
        "RMB",
    ),
)
"""Ends of words that make something else of the number behind them: a part, a negative one."""


def find_number(text: str, begin: int = 0, end: int | None = None) -> re.Match[str] | None:
    """The first number in a text, or None where there is none or it is part of something else."""
    match = next(numbers_in(text, begin, end), None)
    return None if match is None or is_part(match) else match


def numbers_in(text: str, begin: int = 0, end: int | None = None) -> Iterator[re.Match[str]]:
    """The numbers of a text in order, parts of something else among them; digits that belong to a
    word (`H2O`, `x_1`, `COVID-19`) are none."""
    place, end = begin, len(text) if end is None else end
    while digit := DIGIT.search(text, place, end):  # what leads up to it is short
        if _follows_a_word(text, digit.start()) and place < digit.start() - 1:
            match = NUMBER.match(text, digit.start(), end)
        else:
            match = NUMBER.search(text, max(place, digit.start() - LONGEST_LEAD), end)
        if match is None:
            return
        place = max(match.end(), digit.start() + 1)
        if not is_attached(match):
            yield match


def is_attached(match: re.Match[str]) -> bool:
    """Whether a match of NUMBER goes on a word: a letter, an underscore or a hyphen after one."""
    text, begin = match.string, match.start()
    before = text[begin - 1 : begin] if begin else ""
    if before == "-" and begin > 1 and not match["sign"]:  # COVID-19, but 5-3 is a calculation
        return (
            text[begin - 2].isalpha()
            and text[begin - 2] < "\u2e80"
            and begin > 2
            and (text[begin - 3].isalpha())
        )
    if before == "_":  # x_1, but not _12_
        return text[begin - 2 : begin - 1].isalnum()
    if not before.isalpha() or before >= "\u2e80":
        return False
    if before in "xX×π":  # a calculation: 2x3
        return before in "xX" and not text[begin - 2 : begin - 1].isdigit()
    return not COMMAND.search(text, max(0, begin - 14), begin)


def is_part(match: re.Match[str]) -> bool:
    """Whether a match of NUMBER is only a part: of a calculation, a root, a ratio, a date, a
    product such as 3π or 4x."""
    text, begin, end = match.string, match.start(), match.end()
    after = text[end : min(end + 1, match.endpos)]
    is_letter = after and after.isalpha() and after < "\u2e80" and not match["percent"]
    if is_letter and (match["scale"] or not ATTACHED.match(text, end, match.endpos)):
        return True
    if after and not _plain_word_follows(text, end) and GOES_ON.match(text, end, match.endpos):
        return True
    if match["over"] and "." in match["over"] and ENDLESS.match(text, end, match.endpos):
        return True
    if not begin or _follows_a_word(text, begin):
        return False
    if not BEFORE.search(text, max(0, begin - 16), begin):
        return False
    return HTML.search(text, max(0, begin - 12), begin) is None


def _plain_word_follows(text: str, end: int) -> bool:
    """Whether a plain word stands right behind a place, as in most texts."""
    word = NEXT_WORD.match(text, end)
    return word is not None and word[1] not in CALCULATING


def _follows_a_word(text: str, begin: int) -> bool:
    """Whether a plain word stands right before a place, as in most texts: nothing to look at."""
    if begin < 8 or text[begin - 1] != " " or not text[begin - 2].isalpha():
        return False
    return not text.endswith(CALLING, 0, begin - 1) and "\\" not in text[begin - 8 : begin]


def whole_number(text: str) -> re.Match[str] | None:
    r"""The number that a text is, units and `x =` aside; None where it holds anything else.

    `3\text{ cm}`, `\$18`, `x = 5`, `12 books` are numbers; `3\pi`, `6!`, `5 \text{ or } 7` are not.
    """
    plain = text
    if "\\" in text or "$" in text or "*" in text or "`" in text:
        plain = LAYOUT.sub(" ", WRAPPED.sub(r" \1 ", text))
    found = next(numbers_in(plain), None)
    if found is None or is_part(found):
        return None
    head, tail = plain[: found.start()], plain[found.end() :]
    if "," in found[0] and re.search(r"[(\[]\s*$", head):
        return None  # [0,1] is an interval, (7,250) a point
    if not HEAD.fullmatch(head.lstrip("({ ")) or not TAIL.fullmatch(tail):
        return None
    if LISTED.search(tail) or LISTED.search(head) or CALLED.search(head) or CALLED.search(tail):
        return None
    return found


def read_number(match: re.Match[str] | None, comma: bool = False) -> Fraction | None:
    """The value of a match of NUMBER; None where it is too long, or divides by zero.

    Args:
        comma: the text is in a language with a decimal comma: `1.234` is 1234.
    """
    if match is None or match.end() - match.start() > 2 * MAX_DIGITS:
        return None
    stated = match.groupdict()
    try:
        if stated["over"]:
            over = stated["over"]
            if comma and re.fullmatch(r"\d{1,3}\.\d{3}", over):
                over = over.replace(".", "")
            value = _unsigned(over)
            if stated["power10"]:
                value **= "²³".index(stated["power10"]) + 2
            if stated["under"]:
                value /= Fraction(stated["under"])
            power = stated["power"] or stated["tens"] or stated["braced"] or stated["raised"]
            if power:
                power = unicodedata.normalize("NFKC", power).replace("−", "-")
                if len(power) > 4 or abs(int(power)) > MAX_DIGITS:
                    return None
                value *= Fraction(10) ** int(power)
        elif stated["comma"]:
            value = Fraction(stated["comma"].replace(".", "").replace(",", "."))
        else:
            value = Fraction(stated["whole"] or 0) + _fraction(stated)
    except ZeroDivisionError:
        return None
    if stated["scale"]:
        value *= SCALES[stated["scale"].strip().lower()]
    if stated["percent"]:
        value /= 100
    return value if (stated["sign"] or "+").strip() in "+" else -value


def has_decimal_commas(text: str) -> bool:
    """Whether a text is in a language that writes 4,5 for 4.5: German, Spanish, French, Italian or
    Portuguese, judged by its small words."""
    commas = {word.lower() for word in COMMA_WORDS.findall(text[-2_000:])}
    points = {word.lower() for word in POINT_WORDS.findall(text[-2_000:])}
    return len(commas) >= 2 and len(commas) > len(points)


def read_words(text: str) -> int | None:
    """The value of a match of WORDS; None where the words don't make one number."""
    words = re.sub(r"\band\b|[-\s]+", " ", text.lower()).split()
    negative = words[0] in ("minus", "negative")
    words = words[negative:]
    if words[0] in ("a", "an"):
        words[0] = "one"
    if "thousand" in words:
        cut = words.index("thousand")
        parts = [words[:cut], words[cut + 1 :] or ["zero"]]
    else:
        parts = [["zero"], words]
    values = [_spelled().get(" ".join(part)) for part in parts]
    if values[0] is None or values[1] is None:
        return None
    value = values[0] * 1000 + values[1]
    return -value if negative else value


def _unsigned(text: str) -> Fraction:
    if text.isdecimal():
        return Fraction(int(text))
    whole, _, decimals = re.sub(r"[^\d.]", "", text).partition(".")
    return Fraction(int(whole + decimals), 10 ** len(decimals))


def _fraction(stated: dict[str, str]) -> Fraction:
    """What stands after the whole of a mixed number, or alone: a/b, a LaTeX fraction, or ½."""
    if stated["part"]:
        return Fraction(stated["part"].replace("⁄", "/"))
    vulgar = stated["vulgar"] or stated["only"]
    if vulgar:
        return Fraction(unicodedata.normalize("NFKC", vulgar).replace("⁄", "/"))
    if stated["above"]:
        return Fraction(int(stated["above"]), int(stated["below"]))
    top, bottom = (
        Fraction(re.sub(r"[{}\s]", "", part).replace("−", "-"))
        for part in (stated["top"] or stated["upper"], stated["bottom"] or stated["lower"])
    )
    return top / bottom


@cache
def _spelled() -> dict[str, int]:
    """Every whole number below a thousand, in words without `and` and hyphens, to its value."""
    below = {word: value for value, word in enumerate(ONES)}
    for tens, word in enumerate(TENS, 2):
        below[word] = 10 * tens
        below |= {f"{word} {ONES[one]}": 10 * tens + one for one in range(1, 10)}
    hundreds = {"hundred": 100, **{f"{ONES[one]} hundred": 100 * one for one in range(1, 10)}}
    more = {
        f"{word} {rest}": value + under
        for word, value in hundreds.items()
        for rest, under in below.items()
        if under
    }
    return below | hundreds | more
