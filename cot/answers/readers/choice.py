r"""Format `choice`: the letter of an option, named by the letter or by the option's text.

>>> options = ("12", "15")
>>> canonical("(b)", options), canonical("15", options), canonical("A and B", options)
('B', 'B', None)
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cot.answers.latex import unwrap_text
from cot.answers.marks import Span, trim
from cot.answers.readers import text as words
from cot.answers.readers.found import TAIL, Found

__all__ = ["LETTERS", "canonical", "in_statement", "letter_line", "unstated"]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LETTER_TOKEN = re.compile(
    r"[(\[（【]\s*(?P<inside>[A-Za-zＡ-Ｚ])\s*[)\]）】]|"
    r"(?<![A-Za-z0-9'’_\\$/°-])(?<!\d )(?P<bare>[A-ZＡ-Ｚ])(?![A-Za-z0-9'’_/]|-[A-Za-z]|\.[A-Z])"
)
"""A letter that may name an option."""
HEDGE = re.compile(
    r"(?:[\s*_`:：\"'“”‘’$>,–-]|\\[(\[]|\\(?:text|textbf|mathbf|mathrm|boxed)\s*\{|"
    r"\bfor\s+(?:sure|certain)\b|"
    r"\b(?:(?:the\s+)?(?:correct\s+|right\s+|best\s+)?"
    r"(?:option|choice|letter|answer|statement)s?|most|"
    r"likely|probably|definitely|clearly|certainly|surely|therefore|thus|hence|then|obviously|"
    r"possibly|perhaps|maybe|presumably|simply|actually|indeed|I(?:['’]d|\s+would)?\s+"
    r"(?:believe|think|guess|say|choose|pick|go\s+with|select)|that|it|is|it's|be|must|should|"
    r"Option|Antwort|opción|la|die|l['’]option|选项|选择?|項|项))*",
    re.I,
)
"""Hedges and the word `option` before the letter."""
JOINED = re.compile(
    r"(?:\s*(?:[,;/&、]|(?:,\s*)?\b(?:and|or|then|und|oder|y|o|et|ou)\b|和|或)\s*"
    r"(?:(?:the\s+)?(?:option|choice)s?\s*)?[*_]{0,2})(?:[(\[]\s*[A-Za-z]\s*[)\]]|"
    r"[A-Z](?![A-Za-z0-9'’])(?!\s+(?:is|are|was|has|can|do|does)\b))",
    re.I,
)
_LETTER = r"\(?(?<![A-Za-z'])(?P<letter>[A-Z])(?![A-Za-z'’])\)?"
_OPTION = r"(?:\b(?:the\s+)?(?:option|choice|answer|letter)\s*[:：]?\s*)?[*_]{0,2}"
CONCLUSIONS = tuple(
    re.compile(pattern)
    for pattern in (
        # Option B is right
        rf"{_OPTION}{_LETTER}[*_]{{0,2}}(?:(?!\s[(*_]*[A-Z]\b)[^.\n]){{0,40}}?\s+"
        r"(?:is|seems|looks|appears(?:\s+to\s+be)?|must\s+be|would\s+be)\s+"
        r"(?:therefore\s+|clearly\s+|thus\s+)?(?:the\s+)?(?:most\s+)?(?:only\s+)?"
        r"(?:right|correct|best|better|accurate|appropriate|answer|one)\b(?!\s+if\b)",
        # C: correct
        r"(?<![A-Za-z])(?P<letter>[A-Z])\s?[:)]\s*[*_]{0,2}(?:correct|true|right|yes)\b",
        # so it must be (C), I would choose D, that leaves only D
        r"\b(?:(?:must|should|has\s+to|would)\s+be|choose|pick|select|chose|selected|"
        r"go(?:ing)?\s+with|settle\s+on|leaves(?:\s+only|\s+us\s+with)?|leaving(?:\s+only)?|"
        r"(?:so|therefore|thus|hence),?\s*(?:it\s+is|it's|the)?)\s*:?\s*"
        rf"{_OPTION}(?:\((?P<bracketed>[A-Za-z])\)|{_LETTER})"
        r"(?=[*_]*\s*(?:[.,;:!–—]|$|\n|\s(?:because|since|as|for)\b))",
        # neither A nor B but C
        rf"\bbut\s+{_LETTER}(?=[\s.]*$)",
        # Antwort B ist richtig, l'option C est correcte
        rf"{_LETTER}\s+(?:ist|wäre|es|est|è|é)\s+(?:die\s+|la\s+)?"
        r"(?:richtig|korrekt|correct|juste|bonne|giusta|corretta|correta)",
        # 选项B是对的, 本题选D, Bが正しい
        r"选?项?\s*(?P<letter>[A-Z])\s*项?是?(?:正确|对)",
        r"(?:选项?|的是|应选|答案)\s*[:：]?(?P<letter>[A-Z])(?![A-Za-z])",
        r"(?:選択肢)?(?P<letter>[A-Z])(?:が|は)(?:正しい|正解)",
    )
)
"""What concludes on an option without calling it the answer."""
NEGATED = re.compile(
    r"n['’]t\b|不是|ではな|\b(?:not|cannot|neither|nor|isn't|rule[sd]?\s+out|eliminate)\b", re.I
)
GOES_ON = re.compile(r"\w|[.,/]\d|\s\d|\s?[√^*/]|\s(?:and|or)\b")
"""What makes an option's text the beginning of something else: 22 of 22.3."""
SIGNED = re.compile(r"[−–-]\s?\Z")
LISTING = re.compile(r"\n\s*[*_]{0,2}\(?[B-Z][).:]")
JUDGED = re.compile(
    r"[^.\n]{0,20}?\b(?:is|are|was)\s(?:wrong|incorrect|false|out|not|ruled|too)|"
    r"[^.。\n]{0,10}?(?:都?不(?:正确|对)|错误)",
    re.I,
)
"""What says that the option before it is not the answer."""
JOINED_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])(?P<letter>[A-Z])[ \t]*[)\]）]?[ \t]*"
    r"(?:[,/&、;]|\b(?:and|or|then|und|oder)\b|和|或)?|"
    r"\b(?:either|both|between)\b[^.\n]{0,8})[ \t]*[(\[（]?$"
)
"""Another letter right before: "A and C"."""
FIGURE = re.compile(
    r"\b(?:Fig(?:ure)?|Table|Step|Part|Eq(?:uation)?|Case|Section)s?\.?\s?\d{0,3}\s?\(?$", re.I
)
ALONE = re.compile(r"[\s*_`\"'$>]*")
FIRST_LINE = re.compile(r"[^\n]+")
SHORT = 6
"""Characters of a reply that is a letter and nothing else, small or capital."""
LABEL = re.compile(r"\s*A\s*:\s*(?=[(\w*])")
"""The label of an answer: "A: (C) wood" chooses C."""
FIRST_WORDS = re.compile(r"[\s*_`\"'$>]*(?:(?:Option|Choice|Letter)\s+)?", re.I)
LINE = re.compile(r"[^\n]+")
LETTERED_LINE = re.compile(r"\s*[*_]{0,2}\(?[A-Z][).:]")
LETTER_LINE = re.compile(r"\n[ \t*_(`]*(?P<letter>[A-Z])[ \t*_)`.]*\s*\Z")
SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")
CALLED = re.compile(
    r"(?:\b(?:option|choice|answer|letter|alternativa|is|it['’]s|be|only|so|therefore|thus|hence|"
    r"choose|pick|select|with|é|ist|es|est)\s*[:：,]?|(?:选项?|정답)\s*[:：]?|[:：\n.!?])\s*"
    r"[*_]{0,2}\Z",
    re.I,
)
"""Words before a bare letter that names an option."""
ENDS = re.compile(r"[*_}$]*[.。!]?\s*\Z")
REASON = re.compile(
    r"\b(?:because|since|as|not|while|unlike|whereas|rather|than|but|is|are)\b|[.\n]", re.I
)


def in_statement(text: str, begin: int, end: int, choices: Sequence[str]) -> Span | None:
    """Where a sentence names an option; None where it names none, or two."""
    letters = LETTERS[: len(choices)] if choices else LETTERS
    begin, end = trim(text, begin, end)
    named = _option_named(text[begin:end], choices)
    if named is not None:
        return begin, end
    hedge = HEDGE.match(text, begin, end)
    start = hedge.end() if hedge else begin
    while start > begin and text[start - 1] in "([（":
        start -= 1
    option = _option_at(text, start, end, choices)
    if option is not None:
        return option
    but = re.compile(r"\bneither\b[^.\n]{0,40}\bbut\s+\(?([A-Z])\b").search(text, begin, end)
    if but:
        return but.span(1)
    match = _letter_at(text, start, end)
    if match:
        joined = _is_joined(text, match.end(), end) or _lists_another(text, match, end, choices)
        return None if joined else match.span()
    found = [m for m in LETTER_TOKEN.finditer(text, begin, end) if _is_letter(m, text, end)]
    found = [m for m in found if (m["inside"] or m["bare"]).upper() in letters]
    if len({(m["inside"] or m["bare"]).upper() for m in found}) == 1:
        return found[0].span()
    if found:
        return None
    return _option_inside(text, begin, end, choices)


def unstated(text: str, begin: int, end: int, choices: Sequence[str]) -> Found | None:
    """What a text chooses that states no answer: the first letter, a conclusion, an option's text,
    the only letter of the last sentence or of the text."""
    letters = LETTERS[: len(choices)] if choices else LETTERS
    label = LABEL.match(text, begin, end)
    at = label.end() if label else begin
    if _option_named(text[at:end], choices):
        return "option_text", (at, end)
    first = _first_letter(text, at, end, letters)
    if first:
        return "first_letter", first
    line = FIRST_LINE.match(text, at, end)
    if line and line.end() < end and _option_named(line[0], choices):
        return "first_letter", trim(text, *line.span())
    lettered = [
        match.span()
        for match in LINE.finditer(text, begin, end)
        if LETTERED_LINE.match(match[0]) and _option_named(match[0], choices)
    ]
    if len(lettered) == 1:
        return "option_text", trim(text, *lettered[0])
    conclusion = _conclusion(text, max(begin, end - TAIL), end, letters)
    if conclusion:
        joined = JOINED_BEFORE.search(text, max(begin, conclusion[0] - 12), conclusion[0])
        if joined and joined["letter"] == text[slice(*conclusion)]:
            joined = None
        if joined or _is_joined(text, conclusion[1], end):
            return "conclusion", None
        return "conclusion", conclusion
    if _lists_options(text, begin, end, letters):
        return None
    last_line = words.unstated(text, begin, end)
    if last_line and last_line[1] and _option_named(text[slice(*last_line[1])], choices):
        return "option_text", last_line[1]
    sentence = max((m.end() for m in SENTENCE.finditer(text, begin, end - 1)), default=begin)
    for start in (sentence, begin):
        found = _named_in(text, max(start, end - TAIL), end, letters)
        if found:
            last = found[-1]
            joined = JOINED_BEFORE.search(text, max(begin, last.start() - 12), last.start())
            several = len({_letter_of(match) for match in found}) > 1 or (
                joined is not None and joined["letter"] != _letter_of(last)
            )
            if several or _is_denied(text, last, begin, end):
                return "last_letter", None
            return "last_letter", last.span()
    return None


def letter_line(text: str, begin: int, end: int, choices: Sequence[str] | None) -> Span | None:
    """A letter that stands alone on the last of several lines."""
    letters = LETTERS[: len(choices)] if choices else LETTERS
    match = LETTER_LINE.search(text, begin, end)
    if match is None or match["letter"] not in letters or not text[begin : match.start()].strip():
        return None
    return match.span("letter")


def _first_letter(text: str, begin: int, end: int, letters: str) -> Span | None:
    """The letter with which a reply begins, where it chooses: not the first of a list."""
    head = FIRST_WORDS.match(text, begin, end)
    at = head.end() if head else begin
    first = _letter_at(text, at, end)
    if first is None or not first["inside"] or first["inside"].upper() not in letters:
        return None
    if first["inside"].islower() and end - begin > SHORT:
        return None
    if LISTING.search(text, first.end(), end):
        return None
    if _is_joined(text, first.end(), end) or JUDGED.match(text, first.end(), end):
        return None
    if first[0][-1:] not in ".:)。\n":
        following = re.split(r"[.;。\n]", text[first.end() : first.end() + 40])[0]
        if NEGATED.search(following):
            return None
    return first.span()


def _named_in(text: str, begin: int, end: int, letters: str) -> list[re.Match[str]]:
    """The letters that name options: in brackets, after `option`, or at the end of a sentence."""
    return [
        match
        for match in LETTER_TOKEN.finditer(text, begin, end)
        if _letter_of(match) in letters
        and _is_letter(match, text, end)
        and not (match["inside"] or "A").islower()
        and not FIGURE.search(text, max(begin, match.start() - 14), match.start())
        and (
            CALLED.search(text, max(begin, match.start() - 14), match.start())
            or (match["inside"] and ENDS.match(text, match.end(), min(end, match.end() + 6)))
        )
    ]


def _letter_of(match: re.Match[str]) -> str:
    return (match["inside"] or match["bare"]).upper()


def _is_denied(text: str, match: re.Match[str], begin: int, end: int) -> bool:
    before = text[max(begin, match.start() - 40) : match.start()]
    clause = re.split(r"[.;:\n]|\bbut\b|\bso\b", before)[-1]
    return bool(NEGATED.search(clause) or JUDGED.match(text, match.end(), end))


def canonical(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the option that a text names, or None."""
    letters = LETTERS[: len(choices)] if choices else LETTERS
    plain = unwrap_text(text).strip().strip("*_`\"'$. ")
    named = _option_named(plain, choices)
    plain = re.sub(r"\$?\\(?:boxed|fbox)\s*\{([^{}]*)\}\$?", r"\1", plain)
    if named and (len(plain) > 3 or plain.islower()):  # the option "(i) and (ii)", or "g"
        return named
    match = _letter_at(plain, 0, len(plain))
    if match and not (named and match["bare"]):
        letter = (match["inside"] or match["bare"]).upper()
        letter = chr(ord(letter) - 0xFEE0) if letter > "\uff00" else letter
        return (
            letter if letter in letters and not _is_joined(plain, match.end(), len(plain)) else None
        )
    if named:
        return named
    inside = [
        letter
        for letter, choice in zip(letters, choices, strict=False)
        if len(_fold(choice)) > 1 and _fold(plain).startswith(_fold(choice))
    ]
    return max(inside, key=lambda each: len(choices[letters.index(each)])) if inside else None


def _conclusion(text: str, begin: int, end: int, letters: str) -> Span | None:
    """The letter of the last conclusion that isn't denied."""
    found = None
    for pattern in CONCLUSIONS:
        for match in pattern.finditer(text, begin, end):
            groups = match.groupdict()
            group = "letter" if groups["letter"] else "bracketed"
            before = text[max(begin, match.start() - 30) : match.start()]
            clause = re.split(r"[.;\n]|,\s+(?:so|but)\b", before)[-1]
            if match[group].upper() not in letters or NEGATED.search(match[0]):
                continue
            if not NEGATED.search(clause) and (not found or match.start(group) > found[0]):
                found = match.span(group)
    return found


def _letter_at(text: str, begin: int, end: int) -> re.Match[str] | None:
    """The letter with which a span begins: (B), B., B, b) … but not the article of "A car"."""
    match = re.compile(
        r"[(\[（【]?\s*(?P<inside>[A-Za-zＡ-Ｚ])\s*(?:[)\]）】.:,;，。：、*_}$]|$|\n|(?=\s*(?:[-–—(]|\Z)))|"
        r"(?P<bare>[A-ZＡ-Ｚ])(?=\s)"
    ).match(text, begin, end)
    if not match:
        return None
    if match["bare"] and match["bare"] in "AI":
        following = re.match(r"\s+(\S+)", text[match.end() : match.end() + 20])
        if not following or not re.match(
            r"(?:because|since|as|is|was|and|or|based|due|given|[(\[=–—-])", following[1]
        ):
            return None
    return match


def _option_named(text: str, choices: Sequence[str]) -> str | None:
    """The letter of the option whose text, with or without its letter, a text is."""
    plain = _fold(re.sub(r"^\s*[(\[]?[A-Za-z][)\].:]\s*|^\s*[A-Z]\s+(?=\w)", "", unwrap_text(text)))
    full = _fold(unwrap_text(text))
    named = {
        letter
        for letter, choice in zip(LETTERS, choices, strict=False)
        for option in [_fold(choice)]
        if option and {option, *_without_article(option)} & {plain, full, *_without_article(full)}
    }
    return named.pop() if len(named) == 1 else None


def _fold(text: str) -> str:
    return (
        re.sub(r"[−–-]\s*(?=[\d$])", "-", " ".join(text.casefold().split()))
        .strip(" .,;:!?\"'`*_()[]{}“”‘’$。")
        .removesuffix("です")
    )


def _without_article(text: str) -> tuple[str, ...]:
    bare = re.sub(r"^(?:the|an?|it is|it's)\s+", "", text)
    return (bare,) if bare != text else ()


def _option_at(text: str, begin: int, end: int, choices: Sequence[str]) -> Span | None:
    """The option's text with which a statement begins, the longest where several do."""
    if SIGNED.search(text, max(0, begin - 2), begin):
        return None
    low = text[begin:end].casefold()
    best = 0
    for choice in choices:
        option = choice.casefold().strip(" .")
        if len(option) > 1 and low.startswith(option) and not GOES_ON.match(low, len(option)):
            best = max(best, len(option))
    return (begin, begin + best) if best else None


def _option_inside(text: str, begin: int, end: int, choices: Sequence[str]) -> Span | None:
    """The only option whose text stands in a statement."""
    found = []
    for choice in choices:
        option = choice.strip(" .")
        if len(option) < 2 and not option.isdigit():
            continue
        match = re.compile(
            rf"(?<![\w.,−–-])(?<![−–-] ){re.escape(option)}(?!\w|[.,/]\d|\s\d|\s?[√^*])", re.I
        ).search(text, begin, end)
        if match:
            found.append(match.span())
    found = [
        span
        for span in found
        if not any(o != span and o[0] <= span[0] and span[1] <= o[1] for o in found)
    ]
    return found[0] if len(found) == 1 else None


def _is_letter(match: re.Match[str], text: str, end: int) -> bool:
    """Whether a letter in a sentence names an option: not the article, not the pronoun."""
    if match["inside"]:
        return True
    if match["bare"] not in "AI":
        return True
    return not re.match(r"\s+[a-z]", text[match.end() : match.end() + 3])


def _lists_another(text: str, first: re.Match[str], end: int, choices: Sequence[str]) -> bool:
    """Whether another option follows with its text, and no reason between: "(B) wall (E) table"."""
    for match in LETTER_TOKEN.finditer(text, first.end(), end):
        letter = _letter_of(match)
        if (
            letter == (first["inside"] or first["bare"]).upper()
            or letter not in LETTERS[: len(choices)]
        ):
            continue
        option = _fold(choices[LETTERS.index(letter)])
        follows = _fold(text[match.end() : end].lstrip(" ):."))
        if (
            option
            and follows.startswith(option)
            and not REASON.search(text, first.end(), match.start())
        ):
            return True
    return False


def _is_joined(text: str, place: int, end: int) -> bool:
    """Whether another letter follows: "A and C"."""
    match = JOINED.match(text, max(0, place), end) or JOINED.match(text, max(0, place - 1), end)
    if not match:
        return False
    letter = re.sub(r"[^A-Za-z]", "", match[0])[-1:]
    return match[0].rstrip().endswith((")", "]")) or letter.isupper()


def _lists_options(text: str, begin: int, end: int, letters: str) -> bool:
    """Whether a text ends in the list of the options, A to the last, and chooses none."""
    if len(letters) < 3 or len(letters) == len(LETTERS):
        return False
    tail = [
        (match["inside"] or match["bare"]).upper()
        for match in LETTER_TOKEN.finditer(text, max(begin, end - 600), end)
    ]
    return tail[-len(letters) :] == list(letters)
