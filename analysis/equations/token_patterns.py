r"""What the tokens of arithmetic look like: the regular expressions and word lists of the lexer.

Every pattern is linear: no repetition over what another repetition can match too, and caps where
one looks for an end.
"""

from __future__ import annotations

import re

from cot.answers.number import ONES, TENS

__all__ = [
    "ARGUMENT",
    "ARTICLE",
    "ATTACHED",
    "BULLET",
    "CAPITALS",
    "CLOSED",
    "COMMANDS",
    "EMPHASIS",
    "FUNCTIONS",
    "MEASURES",
    "OPENERS",
    "OPERATIONS",
    "PHRASE",
    "REPEATING",
    "SCALES",
    "SENTENCE_ENDS",
    "SHORT",
    "TOKEN",
    "UNIT_LETTER",
    "UNIT_RESULT",
    "VARIABLE",
    "VARIABLE_E",
]

VERBS = {
    "add": "plus|added to",
    "sub": "minus",
    "less": "subtracted from",
    "mul": "times|multiplied by",
    "div": "divided (?:equally |evenly )?(?:by|among|between|into)",
    "pow": "to the power of",
}
"""Operations in words. `less`: sub with its operands exchanged."""
COMPARISONS = {"add": "more than", "less": "less than"}
"""Words for an operation that may also compare: `16 odd numbers less than 100`."""
PREFIXES = {
    "add": "sum of|add(?:ing)?",
    "sub": "difference (?:between|of)",
    "less": "subtract(?:ing)?",
    "mul": "product of|multiply(?:ing)?",
    "div": "quotient of|divid(?:e|ing)",
    "half": "half(?: of)?|halving",
    "third": "(?:a |one[ -])?third of",
    "fourth": "(?:a |one[ -])?(?:quarter|fourth) of",
    "fifth": "(?:a |one[ -])?fifth of",
    "tenth": "(?:a |one[ -])?tenth of",
    "twice": "twice|doubl(?:e|ing)",
    "thrice": "thrice|tripl(?:e|ing)",
}
"""Operations written before their operands."""
SAYS = (
    "(?:(?:which|that|this|it) )?(?:is(?: equal to)?|equals?(?: to)?|gives?(?: us)?|giving|"
    "makes?|making|yields?|totals|totall?ing|comes? to|becomes|leav(?:es|ing)|results? in)|"
    "(?:to|we|you) get|for a total of"
)
"""What says in words that two amounts are equal."""
LABELLED = (
    "step equation part case question problem exercise figure option method line row example "
    "scenario section chapter theorem lemma formula week day night month year quarter hour round "
    "game grade level team player person"
).split()
"""Names that a number may follow: `Step 2`, `Weeks 3-4`; it is no amount."""
_BEHIND = r"(?![.,%/]?\w| ?[-+*/×÷^] ?[\d(])"
LABEL = (
    rf"(?:{'|'.join(LABELLED)}|eq\.) (?:\(\d{{1,3}}\)|#?\d{{1,3}}){_BEHIND}|"
    rf"(?:{'|'.join(LABELLED)})s? \d{{1,3}}[-–]\d{{1,3}}(?![.,%/]?\w)|day \d{{1,3}}(?= \* \d)"
)
_UNITS = "|".join(sorted(ONES[1:10], key=len, reverse=True))
_ONES = "|".join(sorted(ONES, key=len, reverse=True))
_BELOW_HUNDRED = rf"(?:(?:{'|'.join(TENS)})(?:[- ](?:{_UNITS}))?|{_ONES})"
_BELOW_THOUSAND = rf"(?:(?:(?:{_UNITS}) )?hundred(?:(?: and)? {_BELOW_HUNDRED})?|{_BELOW_HUNDRED})"
SPELLED = (
    rf"(?P<words>{_BELOW_THOUSAND}(?: thousand(?:,?(?: and)? {_BELOW_THOUSAND})?)?)"
    r"(?: (?P<scale>million|billion|trillion))?\b(?!-\w)"
)
"""A number in words."""
PHRASE = re.compile(
    "|".join(
        [
            *(rf"(?P<verb_{name}>(?:{text})\b)" for name, text in VERBS.items()),
            *(rf"(?P<comparison_{name}>(?:{text})\b)" for name, text in COMPARISONS.items()),
            *(rf"(?P<prefix_{name}>(?:{text})\b)" for name, text in PREFIXES.items()),
            rf"(?P<says>(?:{SAYS})\b)",
            r"(?P<raised>(?:squared|cubed)\b)",
            rf"(?P<label>{LABEL})",
            rf"(?P<number>{SPELLED})",
        ]
    ),
    re.I,
)
"""Words that are more than words."""
OPENERS = frozenset(
    "plus added minus subtracted times multiplied divided to more less sum add adding difference "
    "subtract subtracting product multiply multiplying quotient divide dividing half halving a one "
    "third quarter fourth fifth tenth twice double doubling thrice triple tripling which that this "
    "it is eq equal equals give gives giving make makes making yield yields totals totaling "
    "totalling come comes becomes leaves leaving result results we you for squared cubed "
    "hundred".split()
    + ONES
    + TENS
    + [f"{tens}-{ones}" for tens in TENS for ones in ONES[1:10]]
    + ["one-third", "one-quarter", "one-fourth", "one-fifth", "one-tenth"]
    + [word + plural for word in LABELLED for plural in ("", "s")]
)
"""First words of phrases: only there PHRASE is tried."""
FUNCTIONS = frozenset(
    "sqrt cbrt ln log sin cos tan cot csc arcsin arccos arctan sinh cosh tanh gcd gcf hcf lcm lcd "
    "mod modulo factorial ncr npr".split()
)
"""Words whose value is not calculated."""
SHORT = frozenset(
    "am an as at be by do go he if in is it me my no of on or so to up us we km cm mm nm ml cl dl "
    "kg mg lb oz ft sq yd mi hr gb mb kb tb kw hz pm".split()
)
"""Words of two letters in LaTeX; others are products of unknowns, such as xy."""
MEASURES = frozenset(
    "dollar cent pound ounce gram kilogram minute hour day week month year foot inch mile meter "
    "gallon liter cup piece pack".split()
)
"""Nouns that make a number with a hyphen an amount: of `2 5-dollar bills`."""
CAPITALS = frozenset("AM CD DC HP ID KM LA OK PC PM TV UK US".split())
"""Words in capitals; others of two letters are segments, such as AB."""
ATTACHED = frozenset(
    "am pm km cm mm nm ml cl dl kg kgs mg lb lbs oz ft in yd mi hr hrs min mins sec secs mph kph "
    "kmh kwh gb mb kb tb kw hz st nd rd th".split()
)
"""Units that may stand at a number without a space."""
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
SCALES |= {"trillion": 10**12}
OPERATIONS = {"+": "add", "-": "sub", "−": "sub", "–": "sub", "/": "div", "÷": "div", "∕": "div"}
OPERATIONS |= {"⁄": "div", "^": "pow", "**": "pow", **dict.fromkeys("*×·⋅∙", "mul")}
COMMANDS = {
    "times": "mul",
    "cdot": "mul",
    "div": "div",
    **dict.fromkeys("frac dfrac tfrac cfrac".split(), "fraction"),
    **dict.fromkeys(
        "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr displaystyle "
        "textstyle limits nolimits boxed fbox text textbf textit textrm textnormal emph mathit "
        "mathrm mathbf mbox hbox underline tiny small large Large qedhere nonumber notag "
        "allowbreak".split(),
        "skip",
    ),
    **dict.fromkeys(
        "implies Rightarrow Longrightarrow impliedby Leftarrow iff Leftrightarrow "
        "Longleftrightarrow to rightarrow longrightarrow leadsto mapsto therefore because quad "
        "qquad newline par hfill item hline linebreak noindent smallskip medskip bigskip qed Box "
        "blacksquare square land lor".split(),
        "break",
    ),
    **dict.fromkeys(
        "le leq leqslant ge geq geqslant lt gt ll gg ne neq equiv sim cong propto in notin ni "
        "subset subseteq mid nmid".split(),
        "relates",
    ),
    **dict.fromkeys("approx simeq doteq".split(), "equals"),
    **dict.fromkeys(
        "pi theta alpha beta gamma delta epsilon varepsilon lambda mu rho sigma tau phi varphi "
        "omega psi eta zeta xi nu kappa chi ell Delta Omega Sigma Phi Gamma Lambda".split(),
        "letter",
    ),
}
"""What a LaTeX command is; any other is `odd`."""
CLOSED = frozenset("or and if so where for when then with since because but thus hence".split())
"""Words in LaTeX text that stand between two statements."""

_SPACES = r"\u00a0\u2009\u202f"
_DIGITS = rf"(?:\d{{1,3}}(?:(?:,\\!|\\!,|,|\{{,\}}|\\,|\\!|[{_SPACES}])\d{{3}})+(?!\d)|\d+)"
_VULGAR = "[¼-¾⅐-⅞]"
_LETTER = r"[^\W\d_¹²³⁰-₉¼-¾⅐-⅞]"
NUMBER = (
    r"(?P<currency>\\?[$€£¥₹]\s?)?(?:"
    rf"(?P<amount>(?(currency)(?:\d{{1,3}}(?: \d{{3}})+(?!\d)|{_DIGITS})|{_DIGITS})(?:\.\d+)?|"
    rf"(?<![\d.])\.\d+)(?:[ \u00a0](?P<part>\d{{1,3}}/\d{{1,3}})(?![\d/]))?"
    rf"(?:e(?P<power>[-+]?\d{{1,3}})(?!\w))?(?P<vulgar>{_VULGAR})?|(?P<only>{_VULGAR}))"
    r"(?:\.?\\(?:overline|bar|dot)\s?\{?(?P<repeat>\d{1,9})\}?|_\{?(?P<base>\d{1,2})\}?|"
    r"(?P<lowered>[₀-₉]{1,2}))?"
    r"(?P<cut>(?:\.\.\.|…|\\[ld]?dots\b)(?=\s?\\?%|[\s$,.;)]|\Z))?"
    r"(?P<scale>[ \u00a0](?:hundred|thousand|million|billion|trillion)\b)?"
    r"(?P<percent>\s?(?:\\?%|per\s?cent\b))?"
)
KINDS = {
    "space": rf"[ \t{_SPACES}]+",
    "times": r"(?<![^\W\d_])x(?=[ \t]*(?:\\?[$(]|\.?\d))",
    "rupees": r"\b(?:rs\.?|usd|inr)\s?(?=\d)",
    "word": rf"{_LETTER}+(?:['’&-]{_LETTER}+)*",
    "time": r"\d{1,2}:\d\d(?!\d)",
    "ordinal": r"\d+(?:st|nd|rd|th)\b",
    "code": r"\d+(?:[a-df-wyz]\w{0,9}?\d\w*|-by-\d+)",
    "number": NUMBER,
    "line": r"\n\s*",
    "relates": r"[<>!]=|=<|[≤≥≠≡≪≫∈]|\\not\s?=",
    "arrow": r"={1,3}>|[-–]{1,3}>|[→⇒⟹⇔↔—]|</?[a-z][a-z\d]{0,9}\s?/?>",
    "compares": r"[<>]",
    "equals": r"=[=~ ]{0,8}|[≈≃]",
    "degree": r"(?:\^\s?\{?\s?\\(?:circ|degree)\b\s?\}?|°|\\degree\b)(?:\s?[CF]\b)?",
    "hyphen": rf"(?<=\d)-(?=(?P<noun>{_LETTER}{{2,22}}))",
    "operation": (
        r"[-−–+/÷∕⁄^×·⋅∙]|(?<!\*)\*(?!\*)(?=\s*[\w.($£€\\\[{-])|"
        r"(?:(?<=[\d)])|(?<=[\d)]\s))\*\*(?=\s?[\d(])"
    ),
    "raised": "[⁰¹²³⁴-⁹]{1,3}",
    "open": r"[(\[{]",
    "close": r"[)\]}]",
    "comma": ",",
    "label": (
        r"\\(?:text(?:bf|it|rm|sf|normal)?|mathrm|mathit|mbox|hbox|operatorname\*?)\s?"
        r"\{(?P<inside>[^{}\d]{0,80})\}"
    ),
    "environment": r"\\(?:begin|end)\s?\{(?P<layout>[a-z]{1,20})\*?\}(?:\{[^{}]{0,40}\})?",
    "aside": (
        r"\\(?:text)?color\s?\{[^{}]{0,20}\}|\\[hv]space\*?\s?\{[^{}]{0,20}\}|"
        r"\\(?:tag|label)\*?\s?\{[^{}]{0,40}\}"
    ),
    "vector": r"\\mathbf(?!\s?\{\s?[\d\\])",
    "display": r"\\\[|\\\]|\$\$|\\\\(?![a-z]{2})(?:\[[^\[\]\n]{0,9}\])?",
    "command": r"\\{1,2}[a-z]+",
    "markup": r"\\[(),;:! >\"']|\\?\$|[`~\"“”'’]|\*+",
    "column": "&",
    "sub": r"_(?:\{[^{}\n]{0,60}\}|\\?\w+)",
    "dots": r"\.\.+|…",
    "other": ".",
}
"""Kinds of what stands in a text, in the order in which they are tried."""
TOKEN = re.compile("|".join(rf"(?P<{name}>{text})" for name, text in KINDS.items()), re.I | re.S)
BULLET = re.compile(
    r"\s*(?:[-*•–]|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)])[ \t]+(?![-+*/×÷=^<>])", re.I
)
"""The mark of a list's entry, at the beginning of a line."""
UNIT_LETTER = re.compile(r"(?<![^\W\d_])[ghlmsGHLM](?![^\W\d_])")
"""A letter that may be a unit."""
UNIT_RESULT = re.compile(r"=\s?\d[\d.,]*\s?([ghlm])\b(?=\s*(?:[a-z.,;!?)]|\Z))", re.I)
"""A result whose letter is a unit, as in `7g - 3g = 4g`; else it would be an unknown, as in 3x."""
ARGUMENT = re.compile(r"\s*[\d(_^{\\√]|\s+[a-z]\b")
"""What follows a function's name, where it is not a word: `a log`."""
ARTICLE = re.compile(r"\s+(?:[^\W\d_]|\d|\\?\$|\\\()")
"""What follows `a` or `I` where it is a word, and no unknown."""
VARIABLE = re.compile(r"\bx\s?[=<>^)}]|\dx\b(?!\s?[\d.($\\])", re.I)
"""What shows that an x of a text is an unknown; then 3x(2) is no product of two numbers."""
VARIABLE_E = re.compile(r"\de(?:[ &]{0,3}=|[-+ ]{0,3}[a-z\\)])|(?<![a-z\\])e[ &]{0,3}=")
"""What shows that an e of a text is an unknown; then 17e-8 is no power of ten."""
EMPHASIS = re.compile(r"\*[^*\n]{0,80}[^*\s]\*")
"""A Markdown emphasis."""
SENTENCE_ENDS = re.compile(r"\s*(?:[A-Z\n\"”]|\Z)")
"""What follows the end of a sentence."""
REPEATING = re.compile(r"\s?\\(?:overline|bar|dot)\b")
"""The sign of a repeating decimal behind a point."""
