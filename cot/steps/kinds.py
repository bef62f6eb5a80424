r"""What a step does: the eight categories of arXiv 2506.19143, and `backtrack`, told by rule.

    >>> kinds_of(["Mia has 5 books.", "So 5 + 7 = 12.", "Wait, that is not right."])
    ['setup', 'calculation', 'backtrack']

A rule reads the words and signs of one step, in English. What rules can't tell: a calculation that
repeats an earlier one to check it, an equation that is recalled rather than worked out, whether
"wait" brings a doubt, a plan or a fact, and a result that no word such as "therefore" announces.
`experiments/benchmarks/step_kinds.py` measures the rules against published labels.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["KINDS", "RULES", "Rule", "kinds_of"]

KINDS = {
    "setup": "says what is given or asked (problem setup)",
    "plan": "says what to do next (plan generation)",
    "fact": "recalls a fact, a formula or what is given (fact retrieval)",
    "calculation": "works something out (active computation)",
    "uncertainty": "says that something is unclear (uncertainty management)",
    "check": "checks what was worked out (self checking)",
    "backtrack": "takes something back or changes course",
    "result": "sums up, or states a result on the way (result consolidation)",
    "answer": "states the final answer (final answer emission)",
    "other": "none of these",
}
"""Kinds of steps and what a step of each does; in brackets the paper's name, which counts a
backtrack as uncertainty management."""

PRELIMINARY = ("setup", "fact", "plan", "uncertainty")
OPENING = 20
"""A problem is set up by at most so many steps, all of these kinds."""
NEVER = "(?!)"
"""Matches nothing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What steps of a kind hold, as regular expressions over a step in small letters; one that is
    found is enough."""

    kind: str
    """The kind that it tells."""
    opens: str = ""
    """How a step begins, after signs and spaces; empty: nothing."""
    words: tuple[str, ...] = ()
    """Phrases anywhere, from the beginning of a word; each begins with a small letter."""
    signs: str = ""
    """Anywhere; empty: nothing."""


JOIN = r"(?:(?:so|but|and|okay|ok|alright|now|then|hmm+|also|well|oh|no|yes)\b\W*+)*+"
"""Words that a step begins with before it says what it does."""
SURE = r"(?:correct|consistent|right)\b"
WORK = (
    *("comput", "calculat", "convert", "multipl", "divid", "subtract", "simplif", "plug"),
    *("substitut", "expand", "combin", r"add(?:ing)?\b", r"sum(?:ming)?\b"),
)
"""How words for working something out begin."""
WORKS = rf"(?:{'|'.join(WORK)})"
OPERATION = (
    r"(?:[0-9][)$%]?(?: [a-z]{1,20})? ?[+*×÷^] ?[$(]?[0-9]"
    r"|[0-9][)%]? (?:[/x−-]|times|plus|minus) ?[$(]?[0-9])"
)
"""Of two numbers; a date or a range of numbers is none."""
STATES = r"\b(?:is|are|has|have|was|were|appears?)\b"

RULES: Sequence[Rule] = (
    Rule(
        "answer",
        words=(
            r"answer\W++(?:is|should be|would be|must be|to (?:the|this) \w++ is|as)\b",
            *("final answer", r"as the answer\b", "answer:"),
        ),
        signs=r"\\boxed|####",
    ),
    Rule(
        "setup",
        opens=r"to (?:find|determine|solve)\b",
        words=(
            *(rf"{word} (?:\w++ )?(?:problem|question)\b" for word in ("this", "the", "a")),
            r"i (?:need|have|want) to (?:find|figure|compute|determine|calculate|solve|give)\b",
            *(r"they (?:want|ask)\b", r"asked\b", r"give the answer\b"),
        ),
    ),
    Rule(
        "check",
        opens=rf"{JOIN}(?:that(?:'s| is| seems| looks) )?{SURE}",
        words=(
            *("double[- ]?check", r"verif(?:y|ied|ying)\b", "re-?check", "recount"),
            "let me re-?(?:read|check|comput|calculat|count|verif|examin|visit|do)",
            *(r"make sure\b", "let me (?:just )?(?:check|confirm)", r"to (?:confirm|check)\b"),
            *(f"that seems {SURE}", r"match(?:es)? (?:what|our|my|the|with)\b"),
            r"same (?:answer|result)\b",
        ),
        signs="[✔✓]",
    ),
    Rule(
        "backtrack",
        opens=rf"{JOIN}(?:wait|hold on|actually|scratch that)\b",
        words=(
            *("mistake", r"hold on\b", "on second thought", r"not (?:right|correct)\b"),
            r"isn't (?:right|correct)\b",
            "let me (?:go back|start over|think again|re-?consider|rethink)",
        ),
    ),
    Rule(
        "fact",
        opens=r"[0-9]\. \*\*",
        words=(r"i (?:also )?(?:remember|know|recall)\b", r"formula (?:is|for)\b"),
    ),
    Rule("calculation", signs=rf"{OPERATION}[^=≈]{{0,40}}[=≈] ?[$(-]?[0-9]"),
    Rule(
        "plan",
        opens=r"alternatively\b",
        words=(
            r"let(?:'s| us| me)\b.{0,40}\b(?:approach|step by step|break|figure|try|start"
            "|differently|use)",
            r"another (?:way|approach|method)\b",
        ),
    ),
    Rule(
        "uncertainty",
        opens=r"but (?:let|that|i'm|maybe)\b",
        words=(
            *("hmm", r"not (?:\w++ )?(?:sure|clear)\b", "confus", "inconsisten", "conflicting"),
            *("discrepanc", "contradict", r"doesn't (?:make sense|seem)\b", r"can't be\b"),
            *("overcomplicat", "complicated", "tricky", "wonder", r"might (?:not|be|have)\b"),
            *(r"don't know\b", r"let me think\b"),
            r"seems (?:too|off|a bit|high|low|wrong)\b",
        ),
        signs=r"\?\W*+\Z",
    ),
    Rule(
        "calculation",
        opens=rf"(?:(?:first|then|now|so)\W++)?{WORKS}",
        words=(
            *(rf"{words} (?:first )?{WORKS}" for words in ("let me", "let's", "we can", "i can")),
            *(f"we get {WORKS}", f"now,? {WORKS}"),
        ),
    ),
    Rule(
        "plan",
        words=(
            *("step by step", r"let (?:me (?:write|define|see)|us)\b", r"to find\b", "perhaps"),
            *("maybe", r"try\b", r"assum(?:e|ing)\b", "suppose"),
            r"i(?:'ll| should| need| can| could| might| will)\b",
            r"we (?:need|could|should|have to)\b",
        ),
    ),
    Rule(
        "result",
        words=(
            r"round(?:s|ed)\b",
            *(rf"{who} (?:now )?have (?:\w++ ){{0,2}}equations\b" for who in ("i", "we")),
        ),
    ),
    Rule(
        "fact",
        words=(
            *(r"where\b", "formula", r"general (?:solution|form)\b", "definition", "theorem"),
            r"property\b",
        ),
    ),
    Rule(
        "calculation",
        words=("carry [0-9]", "write down [0-9]", "sqrt"),
        signs=rf"[=≈][^=≈]{{0,200}}[=≈]|{OPERATION}|\\(?:times|cdot|div|[dt]?frac|approx|sqrt)\b",
    ),
    Rule(
        "plan",
        opens=r"(?:so,? )?if\b",
        words=(r"let's\b", r"for (?:example|instance)\b", r"would be\b", r"we can\b"),
    ),
    Rule(
        "result",
        opens=rf"{JOIN}(?:therefore|thus|hence|in total|altogether|overall|in conclusion|total"
        rf"|this gives|finally)\b|yes\b|so,? .{{0,80}}?{STATES}|so,? that's\b",
    ),
    Rule("fact", signs="[0-9]-[0-9][0-9]"),
    Rule(
        "calculation",
        words=WORK,
        signs="[=≈+/×÷^−]",
    ),
    Rule(
        "fact",
        words=tuple(
            rf"{word}\b"
            for word in (
                *("is", "are", "was", "were", "has", "have", "had", "each", "every", "from"),
                *("because", "since", "there", "means"),
            )
        ),
        signs="[0-9]",
    ),
)
"""The first rule that fits counts, and `other` where none does."""


def kinds_of(steps: Iterable[str], rules: Sequence[Rule] = RULES) -> list[str]:
    """The kind of each of a trace's steps, in order.

    A problem is set up at the beginning: up to the first step that is no setup, fact, plan or
    uncertainty, and in `OPENING` steps at most. The rule for `setup` counts there only, and a fact
    that nothing but setup precedes is setup.
    """
    in_opening, later = _readers(tuple(rules))
    kinds: list[str] = []
    opens = given = True
    for step in steps:
        kind = (in_opening if opens else later)(step.lower())
        if given and kind == "fact":
            kind = "setup"
        kinds.append(kind)
        given = given and kind == "setup"
        opens = opens and kind in PRELIMINARY and len(kinds) < OPENING
    return kinds


@lru_cache(maxsize=8)
def _readers(rules: tuple[Rule, ...]) -> tuple[Callable[[str], str], Callable[[str], str]]:
    """What reads a step in the opening, and what reads one later."""
    return _reader(rules), _reader([rule for rule in rules if rule.kind != "setup"])


def _reader(rules: Sequence[Rule]) -> Callable[[str], str]:
    """A function from a step in small letters to the kind of the first rule that fits.

    One expression looks for all beginnings and one for all words: one for each rule takes seven
    times as long. An empty group behind each alternative tells which it was. Phrases stand together
    by their first letter, and in a lookahead, so that one that is found hides none that overlaps.
    """
    openers = [number for number, rule in enumerate(rules) if rule.opens]
    by_letter: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, rule in enumerate(rules):
        for phrase in rule.words:
            by_letter[phrase[0]].append((number, phrase[1:]))
    tellers = [number for phrases in by_letter.values() for number, _ in phrases]
    letters = (
        f"{letter}(?:{'|'.join(f'{rest}()' for _, rest in phrases)})"
        for letter, phrases in by_letter.items()
    )
    opens = re.compile(
        rf"\W*+(?:{'|'.join(f'(?:{rules[n].opens})()' for n in openers) or NEVER})", re.S
    )
    words = re.compile(rf"\b(?={'|'.join(letters) or NEVER})")
    signs = [(number, re.compile(rule.signs)) for number, rule in enumerate(rules) if rule.signs]
    kinds = [*(rule.kind for rule in rules), "other"]

    def read(step: str) -> str:
        first = len(rules)
        if begin := opens.match(step):
            first = openers[(begin.lastindex or 0) - 1]
        for word in words.finditer(step):
            first = min(first, tellers[(word.lastindex or 0) - 1])
        for number, sign in signs:
            if number >= first:
                break
            if sign.search(step):
                first = number
        return kinds[first]

    return read
