"""A checker for `cot answers RUN --verifier tests.answers.game24:check`: the Game of 24.

A question holds four numbers, such as `4 5 6 10`. A trace is right if the expression that it states
last uses each of them once, with + - * / and brackets, and is 24: `(10 - 4) * (5 - 1)` is 24, but
not of these numbers. The rules are those of Tree of Thoughts (arXiv 2305.10601, section 4.1).
Nothing is evaluated as Python: the expression is parsed, and a few kinds of nodes are computed, as
fractions.
"""

import ast
import operator
import re
from collections import Counter
from fractions import Fraction

MAX_LENGTH = 200
"""Characters of an expression."""
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def check(question, text):
    """The expression that the trace states last, or None; and whether it makes 24."""
    expression = stated(text)
    try:
        numbers, value = compute(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # what ast.parse raises
        return None, False
    given = Counter(int(number) for number in re.findall(r"\d+", question.text))
    return expression, Counter(numbers) == given and value == 24


def stated(text):
    """What stands on the last line between `Answer:` and `=`; empty if too long."""
    line = text.strip().rpartition("\n")[2]
    expression = line.rpartition("Answer:")[2].partition("=")[0].strip()
    return expression.translate({ord("×"): "*", ord("÷"): "/"}) if len(line) < MAX_LENGTH else ""


def compute(node):
    """The numbers in an expression, and its value (None where it divides by zero)."""
    match node:
        case ast.Constant(value=int(number)) if type(number) is int:
            return [number], Fraction(number)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            (ours, one), (theirs, other) = compute(left), compute(right)
            if one is None or other is None or (isinstance(op, ast.Div) and other == 0):
                return ours + theirs, None
            return ours + theirs, OPERATORS[type(op)](one, other)
    raise ValueError("not an expression of whole numbers")
