"""Traces planted from known templates: each computes one thing, told in many ways.

told(0, Random(1))   # (7 + 12) * 3, in one go or in steps, in signs or in words, with slips
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

NAMES = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
SIGNS = {"add": ["+"], "sub": ["-", "−", "–"], "mul": ["*", "×", "x", r"\times", "·"], "div": "/÷"}
WORDS = {"add": "plus", "sub": "minus", "mul": "times", "div": "divided by"}
APPLY: dict[str, Callable[[int, int], int]] = {
    "add": int.__add__,
    "sub": int.__sub__,
    "mul": int.__mul__,
    "div": int.__floordiv__,
}
Tree = int | tuple[str, "Tree", "Tree"]

TEMPLATES: list[Tree] = [
    ("mul", ("add", 7, 12), 4),
    ("add", ("mul", 7, 4), ("mul", 12, 4)),
    ("sub", ("mul", 12, 7), 4),
    ("add", ("add", 7, 12), 4),
    ("mul", ("sub", 12, 7), 4),
    ("add", 7, ("div", 12, 4)),
]
FILLERS = [
    "Let us think about it step by step.",
    "There are 7 red ones and 12 blue ones.",
    "That is what was asked.",
    "First we need to know how many there are.",
    "She has 4 boxes.",
]
LEADS = ["So", "Then", "Now", "We get", "Therefore", "This means that she has", ""]


def value(tree: Tree) -> int:
    if isinstance(tree, int):
        return tree
    return APPLY[tree[0]](value(tree[1]), value(tree[2]))


def commuted(tree: Tree, random: Random) -> Tree:
    """The same with the operands of sums and products exchanged and bracketed at random."""
    if isinstance(tree, int):
        return tree
    name = tree[0]
    if name not in ("add", "mul"):
        return (name, commuted(tree[1], random), commuted(tree[2], random))
    parts = [commuted(part, random) for part in operands(tree, name)]
    random.shuffle(parts)
    while len(parts) > 1:
        left = parts.pop(random.randrange(len(parts)))
        right = parts.pop(random.randrange(len(parts)))
        parts.append((name, left, right))
    return parts[0]


def operands(tree: Tree, name: str) -> list[Tree]:
    if isinstance(tree, int) or tree[0] != name:
        return [tree]
    return [*operands(tree[1], name), *operands(tree[2], name)]


def nested(tree: Tree, random: Random, outer: bool = True) -> str:
    """One expression in signs, with brackets wherever an operation is inside another."""
    if isinstance(tree, int):
        return str(tree)
    left, right = nested(tree[1], random, False), nested(tree[2], random, False)
    text = f"{left} {random.choice(SIGNS[tree[0]])} {right}"
    return text if outer else f"({text})"


def steps(tree: Tree, random: Random, slip: int = 0) -> tuple[list[str], int]:
    """One equation an operation, each after those that it needs, and the result.

    Args:
        slip: added to every result, and carried on.
    """
    if isinstance(tree, int):
        return [], tree
    pairs = [steps(tree[1], random, slip), steps(tree[2], random, slip)]
    (_, left), (_, right) = pairs
    random.shuffle(pairs)
    result = APPLY[tree[0]](left, right) + slip
    unit = random.choice(["", " apples", " red books"])
    says = random.choice(["=", "is", "equals", "gives"])
    sign = random.choice([*SIGNS[tree[0]], WORDS[tree[0]]])
    equation = f"{left}{unit} {sign} {right}{unit} {says} {result}{unit}"
    return [*pairs[0][0], *pairs[1][0], equation], result


def told(template: int, random: Random) -> str:
    """A trace of a template: commuted, in one go or in steps, with filler and now and then a slip;
    one in forty loses its last step."""
    tree = commuted(TEMPLATES[template], random)
    slip = 1 if random.random() < 0.1 and "div" not in str(tree) else 0
    equations, result = steps(tree, random, slip)
    if random.random() < 0.4:
        equations, result = [f"{nested(tree, random)} = {value(tree)}"], value(tree)
    elif random.random() < 0.2:
        equations.append(random.choice(equations))  # said again
    if len(equations) > 1 and random.random() < 0.025:
        equations.pop()
    sentences = [f"{random.choice(LEADS)} {equation}.".strip() for equation in equations]
    for filler in random.sample(FILLERS, random.randint(0, 2)):
        sentences.insert(random.randint(0, len(sentences)), filler)
    return f" {' '.join(sentences)} The answer is {result}."
