"""What a trace computes: its signature (operations in order) and its dataflow (on which numbers).

    >>> from analysis.equations.extraction import find_equations
    >>> signature(find_equations("5 + 7 = 12, and 12 * 2 = 24."))
    'add,mul'

The dataflow is one canonical text for all ways of writing a computation:

    >>> dataflow(find_equations("She has 5 + 7 = 12 books. Twice 12 is 24."))
    'mul(2,add(5,7))'
    >>> dataflow(find_equations("(7 + 5) * 2 = 24"))
    'mul(2,add(5,7))'

A number that an earlier equation states as its result (the latest one that does) stands for what
that equation computes, so that nesting and intermediate results make no difference. Sums and
products are flattened and sorted; the operands of other operations keep their order. The *stated*
result is what later steps use, so a slip in arithmetic leaves the dataflow as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256

from analysis.equations.expressions import Expression, Number, numbers, operations
from analysis.equations.extraction import Equation

__all__ = ["canonical_text", "computations", "dataflow", "is_computed", "signature"]

MAX_LENGTH = 300
"""Characters; a longer text ends in a digest of the whole."""
MAX_NODE = 2_000
"""Characters of a part; a longer one is replaced by its digest."""
Key = tuple[bool, Fraction, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    """A number, or an operation on nodes."""

    text: str
    """Canonical."""
    name: str = ""
    """The operation; empty for a number."""
    operands: tuple[_Node, ...] = ()
    value: Fraction = field(default=Fraction(0))
    """A number's; orders numbers before operations."""

    @property
    def key(self) -> Key:
        return bool(self.name), self.value, self.text


def signature(equations: Sequence[Equation]) -> str:
    """The operations of the equations in the order in which they are carried out, by commas.

    Equations with an unknown (`x + 5 = 12`) compute nothing and are left out.
    """
    computed = (equation.expression for equation in equations if is_computed(equation))
    return ",".join(name for expression in computed for name in operations(expression))


def computations(equations: Sequence[Equation], used: set[str] | None = None) -> dict[int, str]:
    """What each equation computes, as nested operations on numbers, by its index.

    Args:
        used: takes what is an operand of another.
    """
    results: dict[Fraction, _Node] = {}
    texts = {}
    for index, equation in enumerate(equations):
        if is_computed(equation):
            node = _node(equation.expression, results, set() if used is None else used)
            results[equation.stated] = node
            texts[index] = node.text
    return texts


def canonical_text(expression: Expression) -> str:
    """The operations of an expression on its numbers: one text for `5 + 7` and `7 + 5`."""
    return _node(expression, {}, set()).text


def is_computed(equation: Equation) -> bool:
    """Whether all of an equation's numbers are known."""
    return all(number.value is not None for number in numbers(equation.expression))


def dataflow(equations: Sequence[Equation]) -> str:
    """The graph that leads to the last equation, as nested operations on numbers; then, after `|`
    and sorted, those that lead nowhere. Empty without equations.

    A step said again adds nothing. Equations with an unknown (`x + 5 = 12`) are left out.
    """
    used: set[str] = set()
    steps = list(dict.fromkeys(computations(equations, used).values()))
    if not steps:
        return ""
    *dead, last = [text for text in steps if text not in used] or steps
    return _short("|".join([last, *sorted(dead)]), MAX_LENGTH)


def _node(expression: Expression, results: Mapping[Fraction, _Node], used: set[str]) -> _Node:
    """The node of an expression; adds the texts of the operations inside it to `used`."""
    if isinstance(expression, Number):
        value = expression.value or Fraction(0)
        return results.get(value) or _Node(text=str(value), value=value)
    operands = (_node(expression.left, results, used), _node(expression.right, results, used))
    used.update(operand.text for operand in operands if operand.name)
    return _operation(expression.name, operands)


def _operation(name: str, operands: tuple[_Node, ...]) -> _Node:
    if name in ("add", "mul"):
        flat: list[_Node] = []
        for operand in operands:
            flat.extend(operand.operands if operand.name == name else [operand])
        operands = tuple(sorted(flat, key=lambda node: node.key))
    text = f"{name}({','.join(operand.text for operand in operands)})"
    if len(text) > MAX_NODE:
        return _Node(text=_digest(text), name="part")
    return _Node(text=text, name=name, operands=operands)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 20]}...{_digest(text)}"


def _digest(text: str) -> str:
    return "#" + sha256(text.encode()).hexdigest()[:16]
