r"""LaTeX answers: where they stand, and one spelling for what is written in many.

>>> normalise(r"$\left[0,\, \dfrac{1}{2}\right)$")
'[0,\\frac{1}{2})'
>>> canonical_latex(r"\dfrac{1}{2}"), canonical_latex(r"12\text{ cm}"), canonical_latex("Monday.")
('1/2', '12', 'monday')

A plain number has the canonical form of format `number`, a word that of `text`; whether other
forms are equal is for `cot.answers.structure` and math-verify to say.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from cot.answers.number import read_number, whole_number

__all__ = [
    "MATH",
    "RATIONAL",
    "canonical_latex",
    "kind_of",
    "normalise",
    "trailing_expression",
    "unwrap_text",
]

MATH = re.compile(
    r"\$\$(?P<display>[^$]{1,500})\$\$|"
    r"(?<![\\$])\$(?P<inline>(?=\S)[^$\n]{1,500}(?<=\S))(?<!\\)\$(?!\d)|"
    r"(?<![\\$])\$(?P<blank>[ ](?=[^$\n]{0,500}[\\^_=])[^$\n]{1,500}[ ])(?<!\\)\$(?!\d)|"
    r"\\\[(?P<bracket>(?:[^\\]|\\[^\]]){1,500})\\\]|"
    r"\\\((?P<parenthesis>(?:[^\\\n]|\\[^)\n]){1,500})\\\)"
)
"""Mathematics in a text; dollars as in Pandoc, so that "$5 and $6" is none; with blanks inside the
dollars only where it holds a command, a power, an index or an equation."""
TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|operatorname|mbox)\s*\{([^{}]*)\}")
BOX = re.compile(
    r"\\(?:boxed|fbox|framebox)\s*\{((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)\}"
)
LAYOUT = re.compile(
    r"\\(?:left|right|middle|[bB]igg?[lrm]?|displaystyle|textstyle|limits|nolimits)(?![A-Za-z])|"
    r"(?<!\\)\\(?:[!,;:>$]|(?=\s))|~|\\q?quad(?![A-Za-z])"
)
DEGREES = re.compile(r"\^\s*(?:\\circ(?![A-Za-z])|\{\s*\\circ\s*\})(?:\s*\\text\{\s*[CF]\s*\})?")
ANGLE = re.compile(r"(\d+(?:\.\d+)?)\s*\^\s*\{?\s*\\circ\s*\}?")
TRIGONOMETRY = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
ARRAY = re.compile(
    r"(?:\\left)?[\[(]\s*\\begin\{array\}(?:\{[^{}]*\})?(.*?)\\end\{array\}\s*(?:\\right)?[\])]",
    re.S,
)
END = re.compile(r"(?:\\[,;:! ]|[.,;\s]|\\\\)+$")
SYMBOLS = {
    "π": r"\pi",
    "∞": r"\infty",
    "×": r"\times",
    "·": r"\cdot",
    "÷": r"\div",
    "−": "-",
    "–": "-",
    "≤": r"\le",
    "≥": r"\ge",
    "≠": r"\ne",
    "±": r"\pm",
    "∪": r"\cup",
    "∩": r"\cap",
    "∈": r"\in",
    "∅": r"\emptyset",
    "²": "^2",
    "³": "^3",
    "√": r"\sqrt",
    "θ": r"\theta",
    "α": r"\alpha",
    "β": r"\beta",
    "°": r"^\circ",
    "′": "'",
    "’": "'",
    "；": ";",
    "，": ",",
    "ℝ": r"\mathbb{R}",
    "½": r"\frac{1}{2}",
    "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}",
    "⅓": r"\frac{1}{3}",
    "⅔": r"\frac{2}{3}",
}
"""What a symbol is in LaTeX."""
SAME = {
    r"\leq": r"\le",
    r"\leqslant": r"\le",
    r"\geq": r"\ge",
    r"\geqslant": r"\ge",
    r"\neq": r"\ne",
    r"\lt": "<",
    r"\gt": ">",
    r"\infin": r"\infty",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\cfrac": r"\frac",
    r"\varnothing": r"\emptyset",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\R": r"\mathbb{R}",
    r"\Z": r"\mathbb{Z}",
    r"\land": r"\text{ and }",
    r"\lor": r"\text{ or }",
    r"\degree": "",
    r"\minus": "-",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\vert": "|",
}
"""Commands that mean the same."""
COMMAND = re.compile(r"\\[A-Za-z]+")
UNIT = re.compile(
    r"(?<=[^\s(\[,;=])\s*\\(?:text|mathrm|mbox|textrm)\s*\{(?!\s*(?:or|and)\s*\})[^{}\d]*\}"
    r"(?:\s*\^\s*(?:[23]|\{[23]\}))?$"
)
"""A unit in \\text at the end of an expression."""
WORDS = re.compile(r"(?=.*[^\W\d_]{3})[^\W\d_]+(?:[ '’-][^\W\d_]+)*")
RATIONAL = re.compile(r"-?\d+(?:/\d+)?")
REPEATING = re.compile(
    r"(?P<minus>[-−])?(?P<whole>\d{0,20})\.(?P<fixed>\d{0,20})\\(?:overline|bar)\s*\{?(?P<cycle>\d{1,20})\}?"
)
SHORT = re.compile(r"\\text\{[a-z]{2}\}")
LETTER = re.compile(r"\(?\s*([A-Z])\s*\)|([A-Z])\.")
TOKEN = re.compile(
    r"\\(?:begin|end)\{[a-z*]{1,12}\}|\\(?:text|mathrm|mathbf|mbox|textbf)\{[^{}\n]{0,60}\}|"
    r"\\[A-Za-z]{1,20}|\\.|\d+(?:[.,]\d+)*|[-+*/^_=<>(){}\[\]|!'&,;:%]|[×·÷±≤≥≠∪∩∈π∞√−°²³½¼¾′]|"
    r"(?<![A-Za-z'])[A-Za-z](?![A-Za-z'])|(?<![A-Za-z])(?:sin|cos|tan|log|ln|sqrt|pi|mod)(?![A-Za-z])"
)
"""One token of an expression that stands without dollars."""


def canonical_latex(text: str) -> str | None:
    """The canonical form of a LaTeX answer, or None where there is none."""
    number = None if "=" in text else whole_number(text)
    if number is not None and not number["comma"]:  # 0,5 may be two numbers
        value = read_number(number)
        return None if value is None else str(value)
    repeating = REPEATING.fullmatch(text.strip(" $."))
    if repeating:
        return str(_repeating(repeating))
    short = TEXT.fullmatch(text.strip(" $."))
    if short and re.fullmatch(r"[A-Za-z]{2}", short[1].strip()):  # \text{nk} is no product
        return rf"\text{{{short[1].strip().casefold()}}}"
    form = normalise(text)
    words = form.strip(" .!?\"'()")
    if WORDS.fullmatch(words):
        return words.casefold()
    letter = LETTER.fullmatch(form)
    if letter:
        return letter[1] or letter[2]
    if re.fullmatch(r"-?\d+/0+", form):
        return None
    return form or None


def kind_of(form: str) -> Literal["number", "words", "latex"]:
    """What a canonical form is: only `latex` leaves open what equals it."""
    if RATIONAL.fullmatch(form):
        return "number"
    return "words" if WORDS.fullmatch(form) or SHORT.fullmatch(form) else "latex"


def _repeating(match: re.Match[str]) -> Fraction:
    """The value of 0.1\\overline{6}."""
    whole, fixed, cycle = match["whole"] or "0", match["fixed"], match["cycle"]
    shift = 10 ** len(fixed)
    value = Fraction(int(whole + fixed), shift) + Fraction(
        int(cycle), shift * (10 ** len(cycle) - 1)
    )
    return -value if match["minus"] else value


def normalise(text: str) -> str:
    """One spelling of a LaTeX answer: without delimiters, layout and space that means nothing."""
    form = END.sub("", text.strip().strip("`*"))
    if "boxed" in form or "fbox" in form:
        form = BOX.sub(r" \1 ", form).strip()
    for _ in range(4):  # $\text{…}$
        whole = next(filter(None, (each.fullmatch(form) for each in (MATH, TEXT))), None)
        if whole is None:
            break
        form = next((each for each in whole.groups() if each), "")
        form = END.sub("", form.strip())
    form = "".join(f"{SYMBOLS[each]} " if each in SYMBOLS else each for each in form)
    form = re.sub(r"(?<=\d)(?:\{,\}(?:\\!)?|,\\! ?|\\!,|\\,)(?=\d{3}(?!\d))", "", form)
    form = _without_thousands(form)
    form = _from_ascii(form)
    form = ARRAY.sub(r"\\begin{pmatrix}\1\\end{pmatrix}", form)
    form = re.sub(r"\\mathrm\s*\{\s*([A-Za-z])\s*\}", r"\1", form)
    form = re.sub(r"\^\s*\{?\s*\\(?:text|mathrm)\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}?", "", form)
    form = COMMAND.sub(lambda each: SAME.get(each[0], each[0]), form)
    form = LAYOUT.sub("", form)
    if TRIGONOMETRY.search(form):
        form = ANGLE.sub(r"(\\frac{\1\\pi}{180})", form)
    form = DEGREES.sub("", form)
    form = re.sub(r"(?<=\d)\.0+(?!\d)", "", form)
    form = re.sub(r"(?<![\w.])1i(?![A-Za-z])", "i", form)
    form = re.sub(r"_\{(\w)\}", r"_\1", form)
    if re.fullmatch(r"\{[^{}\\]*,[^{}]*\}", form):
        form = rf"\{form[:-1]}\}}"
    form = re.sub(r"\^\s*(?:\{\s*(?:\\prime\s*)+\}|\\prime(?![A-Za-z]))", "'", form)
    form = re.sub(r"\{([^{}\\]{1,40})\\over(?![A-Za-z])([^{}\\]{1,40})\}", r"\\frac{\1}{\2}", form)
    form = re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", form)
    form = re.sub(r"\\frac\s*(\d)\s*\{", r"\\frac{\1}{", form)
    form = re.sub(r"(\\frac\s*\{[^{}]*\})\s*(\d)", r"\1{\2}", form)
    form = re.sub(r"\\sqrt\s*([A-Za-z0-9])", r"\\sqrt{\1}", form)
    form = UNIT.sub("", form)
    form = " ".join(form.replace("$", "").split())
    form = re.sub(r"(?<=\d), (?=\d{3}(?!\d))", ",\x1f", form)  # 7, 250 is no 7,250
    form = re.sub(r"(?<![A-Za-z0-9}]) | (?![A-Za-z0-9\\])", "", form)
    return form.replace("\x1f", " ")


def _from_ascii(form: str) -> str:
    """Plain text's pi, sqrt(3), >= and 2*x in LaTeX."""
    form = form.replace("!=", r"\ne ").replace(">=", r"\ge ").replace("<=", r"\le ")
    form = re.sub(r"(?<![A-Za-z\\])pi(?![A-Za-z])", r"\\pi ", form)
    form = re.sub(r"(?<![A-Za-z\\])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", form)
    form = re.sub(r"(?<=[\w)}])\s*\*\s*(?=[\w(\\])", r" ", form) if "*" in form else form
    form = re.sub(r"\+\s*-", "-", form)
    form = re.sub(r"(?<=[)\]])\s*U\s*(?=[(\[])", r"\\cup ", form)
    form = re.sub(r"(?:(?<=[(\[,;])|^)\s*\+(?=\s*(?:\\infty|\d))", "", form)
    return form.replace(r"\{\}", r"\emptyset")


def unwrap_text(text: str) -> str:
    """The text with what stands in \\text{} and the like without it."""
    return TEXT.sub(r"\1", text) if "\\" in text else text


def trailing_expression(text: str, begin: int, end: int) -> tuple[int, int] | None:
    r"""Where the expression stands with which a line ends, though no dollars mark it.

    >>> line = r"So it is 2+3\sqrt{5}."
    >>> line[slice(*trailing_expression(line, 0, len(line)))]
    '2+3\\sqrt{5}'
    """
    while end > begin and (text[end - 1].isspace() or text[end - 1] in "*_`.,;"):
        end -= 1
    start = at = end
    for token in reversed(list(TOKEN.finditer(text, begin, end))):
        if text[token.end() : at].strip():
            break
        start = at = token.start()
    start, end = _balanced(text, start, end)
    return (start, end) if start < end else None


def _balanced(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without what stands before a bracket that nothing opens."""
    depth = 0
    for at in range(end - 1, start - 1, -1):
        depth += (text[at] in ")]}") - (text[at] in "([{")
        if depth < 0 and text[at] in "({":
            start = at + 1
            break
    while start < end and text[start] in " ,;:.*=&":
        start += 1
    return start, end


def _without_thousands(form: str) -> str:
    """The form with 1,234 as 1234 where no bracket makes it a pair."""
    if not re.search(r"\d,\d{3}", form):
        return form
    depth, kept = 0, []
    for piece in re.split(r"([()\[\]{}])", form):
        depth += (piece in ("(", "[", "{")) - (piece in (")", "]", "}"))
        if depth == 0:
            piece = re.sub(
                r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])", lambda m: m[0].replace(",", ""), piece
            )
        kept.append(piece)
    return "".join(kept)
