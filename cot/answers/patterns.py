r"""The ways in which an answer is stated: named patterns, the surest first.

| pattern | what it looks like |
|---|---|
| `json` | a reply that is an object with a field `answer` or `final_answer` |
| `tag` | `<answer>…</answer>` |
| `box` | `\boxed{…}`; several in a row, joined by `and` or a comma, are one list |
| `brackets` | `[[…]]` |
| `cue` | "the answer is …", "Answer: …", "the correct option is …", in nine languages |
| `heading` | a line "### Final Answer" or "**Answer**", with the answer on the next line |
| `mark` | `#### 18`, GSM8K's; not a Markdown heading of that depth |
| `correction` | "not 30. It is 36", "the answer isn't 12, it's 14" |

All of these state an answer, and the last one counts; `json`, `tag` and, in format `latex`, `box`
go before the others. What is read where nothing is stated is in `cot.answers.readers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

__all__ = ["EMPTY_CUE", "PATTERNS", "Pattern", "Statement", "is_conditional", "statements"]

MAX_TEXT = 500
"""Characters of an answer; a longer one is not understood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One way of stating an answer."""

    name: str
    """As `--explain` and the column `pattern` show it."""
    needles: tuple[str, ...]
    """In small letters; where a text holds none of them, the expression is not tried."""
    regex: re.Pattern[str]
    """Ends where the statement begins."""
    is_words: bool = False
    """Only for formats whose answers are words."""
    is_rare: bool = False
    """Sought only after the last statement of the others."""
    rank: int = 0
    """A higher one goes before those that come later in the text."""
    is_exact: bool = False
    """The statement is the answer and nothing else: it is not looked for in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A place where a text states an answer."""

    pattern: Pattern
    """How it was found."""
    cue: int
    """First character of what announces it."""
    begin: int
    """First character of what is stated."""
    end: int
    """One past the last."""
    is_closed: bool = True
    """False where a box or tag is not closed."""
    is_heading: bool = False
    """`####` with words behind it, which may be a Markdown heading: the answer only where nothing
    else states one, and only in words."""
    is_supposed: bool = False
    """It is only supposed or doubted: "if the answer is 30"."""
    is_asked: bool = False
    """It ends in a question mark."""
    goes_on: bool = False
    """After `Answer:` or a heading: more sentences with numbers follow."""
    denied: bool = False
    """What is stated is not the answer: "the answer is not 30"."""

    @property
    def is_empty(self) -> bool:
        """Nothing is stated: an empty tag, `"answer": null`."""
        return self.begin >= self.end


_IS = (
    r"(?:\s+(?:therefore|thus|then|hence|so|now|simply|just|also|indeed|clearly|actually|really|"
    r"definitely|here))?\s*,?\s+(?:is|was|would(?:\s+then)?\s+be|must\s+be|should\s+be|will\s+be|"
    r"has\s+to\s+be|(?:can(?:no|['’])t|could\s+not|couldn't)\s+be|becomes|equals|are|were|comes\s+(?:out\s+)?to|works\s+out\s+to|turns\s+out\s+to\s+be)"
    r"(?:n't|\s+not|\s+never)?\b"
)
_REMARK = (
    r"(?!\s+(?:\w+ly\s+)?(?:correct|right|wrong|incorrect|clear|unclear|obvious|simple|easy|stated|given|found|below|"
    r"above|based|expressed|written|rounded|supposed|expected|independent|obtained|"
    r"consistent|reasonable|valid|verified|confirmed|in\s+the\s+form|as\s+(?:above|below))\b"
    r"(?![^.\n]{0,30}:))"
)
_COLON = r"\s*(?:\([^()\n]{1,40}\))?\s*[*_`]*\s*[:：](?:[*_`]+|</?[a-z]{1,8}>|\})*"
_SKIPPED = r"(?<!if\sthe\s)(?<!whether\sthe\s)(?<!until\sthe\s)(?<!unless\sthe\s)"
_KINDS = r"(?:correct|right|best|final|only|valid|true|most\s+(?:likely|accurate|appropriate))"
ANSWER = (
    r"[Aa](?<![A-Za-z].)(?<!ong .)"
    r"(?i:nswers?(?:\s+(?:to|for|of)\s+[^.\n]{1,80}?|\s+choice|\s+option|"
    r"\s+(?:letter|key)|\s+(?:I|we)\s+(?:get|got|choose|chose|obtain)|\s+in\s+[^.\n]{1,30}?)?"
    rf"(?:{_COLON}|,(?=\s[^,.\n]{{1,30}},\s(?:is|was)\b)|\s*\}}?\s*=|"
    rf"\s*(?:→|⇒|->|=>|\\(?:rightarrow|Rightarrow))|{_IS}{_REMARK}))"
)
"""Begins with a plain letter, so that it is tried at the letters `a` alone."""
OPTION = (
    rf"\b{_KINDS}\s+(?:answer\s+)?(?:option|choice|letter|statement)s?(?:{_COLON}|{_IS}{_REMARK})"
)
RESULT = (
    rf"\b(?:final|correct)\s+(?:result|solution|value)(?:{_COLON}|{_IS}{_REMARK})|"
    r"^\W{0,4}(?:Final\s+)?Result[*_]{0,2}\s?:[*_]{0,2}"
)
ABBREVIATED = r"(?:^|(?<=>))\s{0,3}[*_]{0,2}Ans(?:wer)?[*_]{0,2}(?:[.:]|\s?[-–—]\s)[*_]{0,2}"
BEFORE_CUE = (
    r"(?P<before>\$[^$\n]{1,80}\$|(?<![\w(])\(?[A-J]\)?(?![\w])|"
    r"(?<![\w.,])[-−]?[$€£]?\d[\d,./]{0,20}%?(?:\s(?!is\b|was\b)[a-z]{1,12})?)[*_`]*\s+"
    r"(?:is|was|must\s+be|would\s+be)\s+(?:therefore\s+|thus\s+)?(?:the|my|our)\s+"
    r"(?:final\s+|correct\s+|right\s+)?(?:answer|solution)(?!\s+(?:to|is|if)\b)"
)
"""50 is the answer."""
EUROPEAN = (
    r"\b(?:Antwort|Lösung|Ergebnis|Endergebnis)(?:option)?\s*"
    r"(?:[*_]*:[*_]*|(?:\s?(?:also|somit|daher|lautet|ist|beträgt|wäre))+(?:\s+nicht)?\b:?)|"
    r"\brichtige\s+(?:Option|Auswahl|Wahl)\s+(?:ist|lautet)\b|"
    r"\b(?:respuesta|resultado|soluci[oó]n|opci[oó]n\s+correcta|resposta|risposta|soluzione|"
    r"risultato|alternativa\s+correta)"
    r"(?:\s+(?:final|correcta|correta|corretta|finale|es\s+correcta))?"
    r"\s*(?:[*_]*:[*_]*|(?:es|é|è|será|sería|sarebbe)(?:\s+no(?=\s+\d))?\b:?)|"
    r"\b(?:odpowiedź|cevap|antwoord|svaret?|jibu|vastaus)\s*(?::|is\b|är\b|er\b|to\b|ni\b|on\b)|"
    r"\bđáp\s+án(?:\s+đúng)?(?:\s+là|\s?:)|\bjawaban(?:nya)?\s*(?:adalah|:)|"
    r"\b(?:r[ée]ponse|r[ée]sultat|bonne\s+option)(?:\s+(?:finale|correcte))?\s*"
    r"(?:[*_]*:[*_]*|(?:est|serait)(?:\s+pas)?\b(?:\s+donc\b)?:?)"
)
OTHERS = (
    r"\b(?:ответ|відповідь)(?:\s*[-–—]|\s*[*_]*:[*_]*|\s+равен|\s+(?=\d))|정답(?:은|:)|답(?:은|:)\s*|"
    r"(?:最终|正确|所以|因此)?的?(?:答案|结果)(?:应该|应当|應該|就)?(?:是|为|為|選|选)?\s*[*_]*\s*"
    r"(?:[:：]|(?<=[是为為選选])|(?<=答案)(?=\s?[\d（(【A-Z]))[*_]*|"
    r"(?:故|应|所以|因此|應)(?:选择?|選)(?:项)?\s*[:：]?|(?:^|[，。\n])\s*选择?\s*[:：]?(?=\s?[(（]?[A-Z])|"
    r"الإجابة\s*(?:هي|:)|उत्तर\s*(?:है|:)|(?<![\w])答\s*[:：]|正确的?(?:选项|一项|答案)?(?:应该|应当)?是|本题(?:应|故)?选|"
    r"(?:最終的な)?(?:答え|正解|解答|回答)\s*[*_]*\s*(?:は|[:：])[*_]*(?:、)?"
)
DENIED = re.compile(
    r"\s*[,:]?\s*(?:is\s+)?(?:\w+ly\s+)?(?:not|isn't|never|no\s+longer|anything\s+but|hardly|far\s+from|unlikely\s+to\s+be)\b(?!\s+(?:only|just|listed|given|"
    r"among|in\s+the|possible|enough|defined|any|(?-i:a)|sure|certain|known|clear|applicable|sufficient)\b)",
    re.I,
)
WRONG = re.compile(
    r"\s*\S{1,20}\s+(?:is|was)\s+(?:incorrect|wrong|false|not\s+(?:right|correct))\b|"
    r"\s*\S{1,20},?\s+but\s+(?:this|that|it)\s+(?:is|was)\s+(?:incorrect|wrong|false)\b",
    re.I,
)
"""What says that a statement is wrong: "The answer is (B) is incorrect"."""
DENYING = re.compile(
    r"(?:n't|\snot|\snever|\snicht|\ses\sno|\spas|can(?:no|['’])t\s+be|could\s+not\s+be|couldn't\s+be)$",
    re.I,
)
"""The end of a cue that says what the answer is not."""
INSTEAD = re.compile(
    r"(?:\bbut(?:\s+(?:rather|instead))?|\bit(?:'s|’s|\s+is|\s+was|\s+should\s+be|\s+must\s+be)|"
    r"\brather|\binstead(?:\s+it\s+is)?,?|\bthat(?:'s|\s+is)(?!\s+(?:my|the|a|what|why|how|it|your)\b)|,\s+es\s+ist|\bsondern|\bsino|"
    r"\bmais|\bes\s+(?=\d))[:,]?\s+(?!not\b)",
    re.I,
)
TAKEN_BACK = re.compile(
    r"\bno\s?[:,—–-]+\s*(?=\d)|"
    r"\b(?:scratch\s+that|actually,?\s+no|no,?\s+wait|correction)\b\s*[,:—–-]+\s*(?=[\d$(]|[A-J]\b)|(?:\b(?:wait|sorry|oops|hmm|hold\s+on)\b[^.!?\n]{0,40}?[,.:!—–-]+\s*|"
    r"\b(?:no|actually|correction)\s?[,.:!—–-]+\s*|\b(?:wait|actually)\s+)"
    r"(?:(?:so|then|instead|I\s+mean|rather),?\s+)?"
    r"(?:(?:it|that|this)(?:'s|’s|\s+(?:is|was|should\s+be|must\s+be|equals|would\s+be))|"
    r"I\s+(?:meant|mean))\s+(?!not\b|right\b|correct\b|wrong\b|fine\b|an?\b|the\b|my\b)",
    re.I,
)
PATTERNS = (
    Pattern(
        name="json",
        needles=('answer"', "answer'"),
        regex=re.compile(r"""["']final[_ ]?answer["']\s*:\s*""", re.I),
        rank=3,
        is_exact=True,
    ),
    Pattern(
        name="json",
        needles=('answer"', "answer'"),
        regex=re.compile(r"""["'](?:correct[_ ]?|predicted[_ ]?)?answer["']\s*:\s*""", re.I),
        rank=2,
        is_exact=True,
    ),
    Pattern(
        name="tag",
        needles=("answer>", "[answer]", "<ans>"),
        regex=re.compile(r"<(?:(?:final_?|short_?)?answer|ans)>\s*|\[ANSWER\]\s*", re.I),
        rank=1,
        is_exact=True,
    ),
    Pattern(
        name="box",
        needles=("\\boxed", "\\fbox", "\\framebox"),
        regex=re.compile(r"\\(?:boxed|fbox|framebox)\s*(?:\{|(?=\d))"),
        is_exact=True,
    ),
    Pattern(
        name="brackets",
        needles=("[[",),
        regex=re.compile(r"(?<![\[\w])\[\[(?=[^\[\]\n,]{1,60}\]\])"),
        is_exact=True,
    ),
    Pattern(name="cue", needles=("answer",), regex=re.compile(ANSWER)),
    Pattern(
        name="cue",
        is_words=True,
        needles=("the answer is",),
        regex=re.compile(
            r"\b(?:so|thus|therefore|hence),?\s+the\s+answer\s+is(?=\s+(?:in)?(?:valid|correct)\b|"
            r"\s+(?:right|wrong)\b)",
            re.I,
        ),
    ),
    Pattern(
        name="cue",
        is_rare=True,
        needles=("option", "choice", "letter", "statement"),
        regex=re.compile(OPTION, re.I),
    ),
    Pattern(
        name="cue",
        is_rare=True,
        needles=("result", "final solution", "final value", "correct solution", "correct value"),
        regex=re.compile(RESULT, re.I | re.M),
    ),
    Pattern(
        name="cue",
        is_rare=True,
        needles=("ans:", "ans.", "ans*", "ans -", "ans –", "answer.", "answer -", "answer –"),
        regex=re.compile(ABBREVIATED, re.I | re.M),
    ),
    Pattern(
        name="cue",
        is_rare=True,
        needles=(
            *("is the answer", "is the final", "is the correct", "is the right"),
            *("is the solution", "is my", "is our", "was the answer", "be the answer"),
            *("therefore the", "thus the"),
        ),
        regex=re.compile(BEFORE_CUE, re.I),
    ),
    Pattern(
        name="cue",
        is_rare=True,
        needles=(
            *("antwort", "ergebnis", "lösung", "richtige", "respuesta", "resultado", "soluci"),
            *("opci", "resposta", "risposta", "soluzione", "risultato", "alternativa", "ponse"),
            *("sultat", "bonne", "đáp", "jawaban", "odpowiedź", "cevap", "antwoord", "svar"),
            *("jibu", "vastaus"),
        ),
        regex=re.compile(EUROPEAN, re.I | re.M),
    ),
    Pattern(
        name="cue",
        is_rare=True,
        needles=(
            *(
                "ответ",
                "відповідь",
                "답",
                "答",
                "结果",
                "选",
                "選",
                "正解",
                "正确",
                "本题",
                "الإجابة",
            ),
            *("उत्तर",),
        ),
        regex=re.compile(OTHERS, re.I | re.M),
    ),
    Pattern(
        name="heading",
        is_rare=True,
        needles=(
            *("answer\n", "answer \n", "answer**", "answer*\n", "answer #", "answer ("),
            *("result\n", "answer__", "antwort\n", "antwort**", "respuesta\n", "respuesta**"),
            *("réponse", "finale\n", "finale**", "答案", "solution\n", "solution**"),
        ),
        regex=re.compile(
            r"(?:^|(?<=>))[ \t]{0,3}(?:#{1,6}[ \t]*|\*{1,3}|__){0,2}[^\w\n]{0,3}"
            r"(?:\d\.\s|Step\s\d{1,2}[:.]\s)?(?:The\s+)?"
            r"(?:(?:Final|Correct|Short|Your)\s+)?(?:Answer|Result|Antwort|Respuesta|Réponse(?:\s+finale)?|"
            r"最终答案|答案|Final\s+Solution)[ \t]*(?:\([^()\n]{1,30}\)[ \t]*)?"
            r"(?:\*{1,3}|__|#{1,6})?[ \t]*$",
            re.I | re.M,
        ),
    ),
    Pattern(name="mark", needles=("####",), regex=re.compile(r"####(?!#)")),
)
COMMON = tuple(pattern for pattern in PATTERNS if not pattern.is_rare)
RARE = tuple(pattern for pattern in PATTERNS if pattern.is_rare)
CORRECTION = Pattern(name="correction", needles=(), regex=INSTEAD)

BRACES = re.compile(r"(?P<box>\\(?:boxed|fbox|framebox)\s*(?:\{|(?=\d)))|\\.|[{}]", re.S)
TAG_END = re.compile(r"</(?:(?:final_?|short_?)?answer|ans)>|\[/ANSWER\]", re.I)
_CLOSING = r"[*_\"')\]}$]*(?=\s|$)"
STATED_END = re.compile(  # what it begins with is plain, so that it is tried at few places
    rf"\n|[。！？]|[!?]{_CLOSING}|"
    r"\.(?<!\bRs\.)(?<!\bapprox\.)(?<!\b[SDM][trs]\.)(?<!\bMrs\.)(?<!\bvs\.)(?<!\bca\.)"
    rf"(?<!\b[A-Z]\.\s[A-Z]\.)(?!\s[A-Z]\.)(?:{_CLOSING}|(?<=[\d%]\.)(?=[A-Z][a-z]))"
)
NEAR = 600
"""Characters behind a statement in which it may be taken back."""
MORE = re.compile(r"[.!?]?[*_\"')\]}$]*\s+[A-Z][^.!?\n]*\d|\s*\n[\s\S]{0,200}?\d")
"""Another sentence with a number in it."""
NEXT_LINE = re.compile(r"\S[^\n]*")
BLANK = " \t*:：_`-–—>\"'….#"
AS_FOLLOWS = re.compile(
    r"\s*(?:given\s+by|as\s+follows|the\s+following|this|below)?\s*[*_]*\s*[:：]?[*_\s`]*", re.I
)
BETWEEN_BOXES = re.compile(
    r"[\s$,;]*(?:\b(?:and|or|und|oder)\b|\\text\{\s*(?:and|or)\s*\})?[\s$,;]*"
)
PLACEHOLDER = re.compile(
    r"(?=.)(?:\\phantom\{[^{}]*\}|\\(?:square|Box|ldots|dots|q?quad)|\\text\{\s*\?*\s*\}|[?_…~]|\.{2,}|"
    r"(?:your|the|final|\s)+answer(?:\s+here)?)+",
    re.I,
)
"""What stands in the box of an instruction or of a question."""
HEADING = re.compile(r"[ \t]*(?:Step\b|\d+[.)][ \t]+[A-Za-z]|[A-Za-z][^\n]*$)", re.I | re.M)
NUMBERED = re.compile(r"[ \t]*\d+(?:st|nd|rd|th)\b|[ \t]*\d+[ \t]+[a-z]+[ \t]+[a-z]+", re.I)
"""A heading that begins with a number: "#### 3 key facts"."""
STRING = re.compile(r'"(?:[^"\\\n]|\\.){0,2000}"|\'(?:[^\'\\\n]|\\.){0,2000}\'', re.S)
VALUE = re.compile(r"[^,}\]\n]{0,200}")


EMPTY_CUE = re.compile(
    r"(?<![A-Za-z])(?:answer|antwort|respuesta|réponse|答案|答え)(?:\s+is)?\s*[*_]*\s*[:：]?[*_\s$]*\Z",
    re.I,
)
"""A cue at the end of a text, with nothing behind it."""
CONDITION_NEEDLES = (
    *("if ", "ther ", "until", "unless", "what", "when", " be ", "true", " so ", "doubt"),
    *("wrong", "false", "incorrect", "mistake", "say ", "suppose", "assume", "think "),
)
CONDITION = re.compile(
    r"(?:\A|(?<=[\s,.(]))(?:(?P<supposed>if|suppose|assume|(?:n['’]t|might|may)\s+think|doubt|"
    r"(?<!i'd )(?<!i’d )(?<!i would )(?<!i )say|"
    r"(?:wrong|false|incorrect|mistake)\b[^.\n]{0,20}\bthat)|whether|until|unless|what|when|"
    r"(?:cannot|can['’]t|could\s+not|not)\s+(?:be|true|so)(?:\s+that)?)\s+(?:that\s+)?"
    r"(?:the|this|my|your|our)?\s*(?:final\s|correct\s)?$",
    re.I,
)
"""What stands before a cue that states nothing: "if the answer is", "it cannot be that the answer
is"."""


def statements(text: str, begin: int, end: int) -> list[Statement]:
    """The statements between two places.

    Those of rare patterns are sought only after the last one of a common pattern: what comes later
    counts, and most texts need not be searched for a cue in every language.
    """
    found = _search(text, begin, end, COMMON)
    last = max(
        (each.begin for each in found if not (each.denied or each.is_supposed)), default=begin
    )
    return found + _search(text, last, end, RARE)


def _search(text: str, begin: int, end: int, patterns: Sequence[Pattern]) -> list[Statement]:
    found: list[Statement] = []
    low = text[begin:end].lower()
    for pattern in patterns:
        for needle in pattern.needles:
            if needle in low:
                break
        else:
            continue
        if pattern.name == "box":
            found.extend(_boxes(text, pattern, begin, end))
            continue
        for match in pattern.regex.finditer(text, begin, end):
            statement = _extent(text, match, pattern, end)
            if statement is None:
                continue
            found.append(statement)
            again = None
            if statement.is_supposed:
                continue
            if statement.denied:
                again = _correction(text, statement, end)
            elif pattern.name == "cue":
                again = _taken_back(text, statement, end)
            if again:
                found.append(again)
    return found


def _extent(text: str, match: re.Match[str], pattern: Pattern, end: int) -> Statement | None:
    """What a match announces, or None where that is nothing."""
    extent = EXTENTS.get(pattern.name, _sentence)
    return extent(text, match, pattern, end)


def _boxes(text: str, pattern: Pattern, begin: int, end: int) -> Iterator[Statement]:
    """Every box, in one pass over the braces: in the order in which they close, those that don't
    last."""
    first = pattern.regex.search(text, begin, end)
    opened: list[tuple[int, int] | None] = []
    for token in BRACES.finditer(text, first.start() if first else end, end):
        if token["box"]:
            if token[0][-1] == "{":
                opened.append((token.start(), token.end()))
            else:  # \\boxed5
                place = token.end()
                yield Statement(pattern=pattern, cue=token.start(), begin=place, end=place + 1)
        elif token[0] == "{":
            opened.append(None)
        elif token[0] == "}" and opened:
            box = opened.pop()
            if not box or token.start() - box[1] > MAX_TEXT:
                continue
            if not PLACEHOLDER.fullmatch(text, box[1], token.start()):
                yield Statement(pattern=pattern, cue=box[0], begin=box[1], end=token.start())
    unclosed = [box for box in opened if box]
    if unclosed:
        cue, place = unclosed[-1]
        stop = STATED_END.search(text, place, end)
        yield Statement(
            pattern=pattern,
            cue=cue,
            begin=place,
            end=stop.start() if stop else end,
            is_closed=False,
        )


def _brackets(text: str, match: re.Match[str], pattern: Pattern, end: int) -> Statement | None:
    return Statement(
        pattern=pattern,
        cue=match.start(),
        begin=match.end(),
        end=text.index("]]", match.end()),
    )


def _tag(text: str, match: re.Match[str], pattern: Pattern, end: int) -> Statement | None:
    closing = TAG_END.search(text, match.end(), end)
    stop = closing.start() if closing else end
    return Statement(
        pattern=pattern,
        cue=match.start(),
        begin=match.end(),
        end=stop,
        is_closed=closing is not None,
    )


def _json(text: str, match: re.Match[str], pattern: Pattern, end: int) -> Statement | None:
    begin = match.end()
    string = STRING.match(text, begin, end)
    if string:
        span = (begin + 1, string.end() - 1)
    elif text[begin : begin + 1] in ("[", "{"):
        close = text.find({"[": "]", "{": "}"}[text[begin]], begin, min(end, begin + MAX_TEXT))
        span = (begin, close + 1 if close >= 0 else begin)
    else:
        value = VALUE.match(text, begin, end)
        span = (begin, value.end() if value else begin)
    if text[slice(*span)].strip() in ("null", "None"):
        span = (begin, begin)
    closed = string is not None or text[span[1] : span[1] + 1] in (",", "}", "]", "\n")
    return Statement(
        pattern=pattern, cue=match.start(), begin=span[0], end=span[1], is_closed=closed
    )


def _heading(text: str, match: re.Match[str], pattern: Pattern, end: int) -> Statement | None:
    following = NEXT_LINE.search(text, match.end(), end)
    if not following:
        return None
    return _until(text, match, pattern, following.start(), end)


def _mark(text: str, match: re.Match[str], pattern: Pattern, end: int) -> Statement | None:
    line = text.find("\n", match.end(), end)
    line = end if line < 0 else line
    stated = text[match.end() : line]
    if not stated.strip(BLANK):
        return None
    numbered = NUMBERED.match(stated) is not None and bool(text[line:end].strip())
    if numbered:
        return None
    if HEADING.match(stated):
        words = stated.split()
        if len(words) > 1 or not (len(words[0]) == 1 and words[0].isupper()):
            if text[line:end].strip() or len(words) > 6:
                return None
            return Statement(
                pattern=pattern, cue=match.start(), begin=match.end(), end=line, is_heading=True
            )
    return Statement(pattern=pattern, cue=match.start(), begin=match.end(), end=line)


def _sentence(text: str, match: re.Match[str], pattern: Pattern, end: int) -> Statement | None:
    begin = match.end()
    if "before" in match.re.groupindex:  # "50 is the answer"
        span = match.span("before")
        return Statement(pattern=pattern, cue=span[0], begin=span[0], end=span[1])
    condition = _condition(text, match.start())
    if condition:
        supposed = condition["supposed"] and _until(text, match, pattern, begin, end)
        return replace(supposed, is_supposed=True) if supposed else None
    denied = DENYING.search(match[0]) is not None
    if not denied and (no := DENIED.match(text, begin, end)):
        denied, begin = True, no.end()
    denied = denied or WRONG.match(text, begin, end) is not None
    return _until(text, match, pattern, begin, end, denied=denied)


def is_conditional(text: str, place: int) -> bool:
    """Whether what stands before a cue makes it state nothing."""
    return _condition(text, place) is not None


def _condition(text: str, place: int) -> re.Match[str] | None:
    before = text[max(0, place - 40) : place].lower()
    for needle in CONDITION_NEEDLES:
        if needle in before:
            return CONDITION.search(before)
    return None


def _until(
    text: str,
    match: re.Match[str],
    pattern: Pattern,
    begin: int,
    end: int,
    denied: bool = False,
) -> Statement | None:
    """The rest of the sentence, or the next line where nothing stands on this one."""
    stop = STATED_END.search(text, begin, end)
    line = stop.start() if stop else end
    follows = AS_FOLLOWS.match(text, begin, line)
    if not text[follows.end() if follows else begin : line].strip(BLANK):
        following = NEXT_LINE.search(text, line, end)
        while following and not following[0].strip(BLANK + "$[]\\(){}#="):
            following = NEXT_LINE.search(text, following.end(), end)
        if not following:
            return None
        begin = following.start()
        stop = STATED_END.search(text, begin, end)
        line = stop.start() if stop else end
    goes_on = (
        pattern.name == "heading" or text[match.start() : match.end()].rstrip("*_ ")[-1:] in ":："
    ) and MORE.match(text, line, end) is not None
    return Statement(
        pattern=pattern,
        cue=match.start(),
        begin=begin,
        end=line,
        is_asked=text[line : line + 1] in ("?", "？"),
        goes_on=goes_on,
        denied=denied,
    )


def _correction(text: str, denied: Statement, end: int) -> Statement | None:
    """What is said instead of what was denied, in the same sentence or the next."""
    near = min(end, denied.end + 60)
    instead = INSTEAD.search(text, denied.begin, near)
    if not instead:
        return None
    return _until(text, instead, CORRECTION, instead.end(), end)


def _taken_back(text: str, statement: Statement, end: int) -> Statement | None:
    """What a statement is corrected to right after it: "the answer is 30. Wait, no, it's 36"."""
    again = None
    for match in TAKEN_BACK.finditer(text, statement.end, min(end, statement.end + NEAR)):
        again = match
    found = again and _until(text, again, CORRECTION, again.end(), end)
    return found if found and found.end - found.begin <= 24 else None


EXTENTS = {
    "brackets": _brackets,
    "tag": _tag,
    "json": _json,
    "heading": _heading,
    "mark": _mark,
}
