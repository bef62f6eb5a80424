"""Which operations a trace performs, in order.

>>> from analysis.equations.equations import find_equations
>>> signature(find_equations("5 + 7 = 12, and 12 * 2 = 24."))
'add,mul'
"""

from __future__ import annotations

from collections.abc import Sequence

from analysis.equations.equations import Equation
from analysis.equations.evaluate import numbers, operations

__all__ = ["is_computed", "signature"]


def signature(equations: Sequence[Equation]) -> str:
    """The operations of the equations in the order in which they are carried out, by commas.

    Equations with an unknown (`x + 5 = 12`) compute nothing and are left out.
    """
    computed = (equation.expression for equation in equations if is_computed(equation))
    return ",".join(name for expression in computed for name in operations(expression))


def is_computed(equation: Equation) -> bool:
    """Whether all of an equation's numbers are known."""
    return all(number.value is not None for number in numbers(equation.expression))
