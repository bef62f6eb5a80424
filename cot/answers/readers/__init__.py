"""How an answer of each format is read; a format is one file.

A reader has three functions: `in_statement`, where the answer stands in a sentence that states it;
`unstated`, what a text answers that states nothing; `canonical`, the answer's canonical form.

| pattern | format | what it looks like |
|---|---|---|
| `letter_line` | choice | a letter alone on the last of several lines |
| `conclusion` | choice, number | "Option B is right", "so it must be (C)"; "So she has 12 left." |
| `first_letter` | choice | "D. The others, A and B, are too soft" |
| `option_text` | choice | the reply, or its last line, is an option's text |
| `last_letter` | choice | the only letter that the last sentence, or the text, names as an option |
| `first_word` | yesno | "Yes. There is no reason to doubt it." |
| `last_word` | yesno | "So no." |
| `expression` | latex | the last line is an expression and nothing else |
| `last_formula` | latex | the last formula, or what its sentence says that it is |
| `first_line` | number | the first line is a number and nothing else, and reasons follow |
| `bold` | number, text | a number or words in bold in the last line |
| `last_number` | number, latex | the last number in the text |
| `last_line` | text | the last line, where it is short |

These patterns are weaker than a statement; those of WEAK take whatever stands last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from cot.answers.marks import Span
from cot.answers.readers import choice, latex, number, text, yesno
from cot.answers.readers.found import Found, Reader

__all__ = ["WEAK", "in_statement", "unstated"]

WEAK = frozenset(("last_number", "last_letter", "last_line"))
REMARK = re.compile(
    r"\n[ \t]*(?:Let me know|I hope|Hope this|Feel free|Would you like|If you(?:'d| would| have)|"
    r"Do you want|Is there anything)[^\n]*\s*\Z"
)
"""A closing remark, which is no part of the answer."""
READERS: dict[str, Reader] = {"number": number, "latex": latex, "yesno": yesno, "text": text}
"""Those that don't need to know the options."""


def in_statement(
    reply: str, begin: int, end: int, format: str, choices: Sequence[str] | None
) -> Span | None:
    """Where the answer stands in a sentence that states it; None where it can't be read as one:
    two options at once, a part of a calculation, two numbers neither of which is named."""
    if format == "choice":
        return choice.in_statement(reply, begin, end, choices or ())
    return READERS[format].in_statement(reply, begin, end)


def unstated(
    reply: str, begin: int, end: int, format: str, choices: Sequence[str] | None
) -> Found | None:
    """(pattern, span) of what a text without a statement answers, or None."""
    while remark := REMARK.search(reply, begin, end):
        end = remark.start()
    while end > begin and reply[end - 1].isspace():
        end -= 1
    if begin >= end:
        return None
    if format == "choice":
        return choice.unstated(reply, begin, end, choices or ())
    return READERS[format].unstated(reply, begin, end)
