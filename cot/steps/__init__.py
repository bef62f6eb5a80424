"""Steps of a chain of thought, what kind each is, and the sections that they make up.

`segment` splits a text into steps, `kinds_of` says what each does, `sections` groups them.
"""

from cot.steps.kinds import KINDS, RULES, Rule, kinds_of
from cot.steps.sections import Section, sections
from cot.steps.splitting import MINIMUM_LENGTH, Part, Span, segment

__all__ = [
    "KINDS",
    "MINIMUM_LENGTH",
    "RULES",
    "Part",
    "Rule",
    "Section",
    "Span",
    "kinds_of",
    "sections",
    "segment",
]
