"""Long reasoning for benchmarks: seeded paragraphs as reasoning models write them.

    >>> text = reasoning(random.Random(0), words=40)
    >>> text.startswith("<think>"), "</think>" in text
    (True, True)

Paragraphs plan, calculate (mostly rightly; false equations are mostly taken back), check, doubt,
change the plan, and set formulas in LaTeX; the answer follows the reasoning in a box.
"""

from __future__ import annotations

import random

THINGS = "apples pears coins books chairs pupils tickets litres bricks pages lamps stamps".split()
NAMES = "Mia Tom Ada Noor Luis Wei Ines Omar Ruth Sven Lena Amir".split()


def reasoning(rng: random.Random, words: int) -> str:
    """A trace of at least so many words, reasoning tags and answer included."""
    paragraphs: list[str] = []
    total, count = rng.randint(5, 60), 0
    while count < words:
        total, paragraph = _paragraph(rng, total)
        paragraphs.append(paragraph)
        count += len(paragraph.split())
    body = "\n\n".join(paragraphs)
    return f"<think>\n{body}\n</think>\n\nThe answer is \\boxed{{{total}}}."


def _paragraph(rng: random.Random, total: int) -> tuple[int, str]:
    """The running total afterwards, and what is said on the way."""
    name, thing, n = rng.choice(NAMES), rng.choice(THINGS), rng.randint(2, 19)
    more = total + n
    kind = rng.randrange(7)
    if kind == 0:
        return total, (
            f"Okay, so {name} has {total} {thing}. I need to find how many there are in the end. "
            f"First I will add what {rng.choice(NAMES)} brings, then I will take away the rest."
        )
    if kind == 1:
        return more, f"{name} gets {n} more {thing}, so {total} + {n} = {more}. That leaves {more}."
    if kind == 2:
        return more, (
            f"{name} brings {n} {thing}. So {total} + {n} = {more + 1}. "
            f"Wait, that's not right: {total} + {n} = {more}, not {more + 1}."
        )
    if kind == 3 and total > n + 5:
        less = total - n
        return less, f"Then {n} {thing} are lost: {total} - {n} = {less}. We now have {less}."
    if kind == 4:
        return total, (
            f"Let me double-check. If I take {n} from {more}, I get {more} - {n} = {total}, "
            f"which is what I had, so the {thing} of {name} are counted once."
        )
    if kind == 5:
        return total, (
            f"Hmm, I'm not sure whether the {thing} count twice. Alternatively, I could write "
            f"$x + {n} = {more}$, so that $x = {more} - {n} = {total}$, or as a fraction: "
            f"\\[\\frac{{{2 * total}}}{{2}} = {total}\\]"
        )
    return total, (
        f"Remember that the number of {thing} is what {name} had before. "
        f"So far the total is {total}, and the question asks for the {thing} at the end."
    )
