r"""Whether two LaTeX answers are equal, part by part: lists, tuples, intervals, unions, equations.

    >>> same("(0,5]", "[0,5]", str.__eq__), same("2,9", r"\{9,2\}", str.__eq__)
    (False, True)
    >>> same("x=5", "5", str.__eq__), same("x=5", "y=5", str.__eq__)
    (True, False)

math-verify takes `(1,2)` for an interval or a point as it sees fit, knows no primes, and wants its
lists in one order. So an answer is first taken apart: only what has no parts is put to it. Order
counts in tuples, intervals and matrices, not in lists, sets and unions; brackets count everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Node", "read", "same"]

MAX_PARTS = 24
"""Parts of a list that is taken apart; a longer one is compared as it stands."""
AND_OR = re.compile(
    r"\s*(?:\\(?:text|mbox|mathrm)\s*\{\s*,?\s*(?:or|and)\s*\}|(?<![A-Za-z\\])(?:or|and)(?![A-Za-z]))\s*"
)
DETAIL = re.compile(r"_(?:\w|\{[^{}]*\})|\^\{-1\}|(?<=[A-Za-z'}])\([^()]*\)|\\text\{[^{}]*\}")
NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z\\{}:/|∠'\s]*|\([A-Za-z](?:,[A-Za-z])*\)")
"""The left side of `x = 5`, `f(x) = 2x`, `AB : CD = 4`, without indices and arguments: a name for
what stands on the right, as `2x` and `x+1` are not."""
ARITHMETIC = re.compile(r"[\d\s+\-*/^().{}]|\\(?:frac|cdot|times|div|left|right)")
"""What a side is made of that only calculates."""
_RELATION = r"(<|>|\\le(?![a-z])|\\ge(?![a-z]))"
_VALUE = r"((?:[^<>=,;|A-Za-z\\]|\\(?!le|ge|ne|in|pm)[A-Za-z]+|[a-z]{2,})+)"
BETWEEN = re.compile(rf"{_VALUE}\s*{_RELATION}\s*([A-Za-z])\s*{_RELATION}\s*{_VALUE}")
BOUND = re.compile(rf"([A-Za-z])\s*{_RELATION}\s*{_VALUE}")
BOUND_BEFORE = re.compile(rf"{_VALUE}\s*{_RELATION}\s*([A-Za-z])")
TURNED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}
STRICT = ("<", ">")
MEMBER = re.compile(r"[A-Za-z]\s*\\in(?![A-Za-z])\s*")
MATRIX = re.compile(
    r"\\begin\{(?:[pbB]?matrix|array)\}(?:\{[^{}]*\})?(.*)\\end\{(?:[pbB]?matrix|array)\}", re.S
)

Kind = Literal["leaf", "list", "group", "union", "equation", "matrix", "chain"]


@dataclass(frozen=True, slots=True)
class Node:
    """An answer and its parts."""

    kind: Kind
    """`leaf` has no parts; `group` is a tuple or an interval."""
    form: str
    """As written."""
    parts: tuple[Node, ...] = ()
    """What it consists of."""
    brackets: str = ""
    """Of a group: `()`, `[)` and so on; of a matrix the number of its columns."""


def same(one: str, other: str, equal: Callable[[str, str], bool]) -> bool:
    """Whether two canonical forms of format `latex` are equal.

    Args:
        equal: says it of two forms without parts, or of two that can't be matched part by part.
    """
    return _same(read(one), read(other), equal)


def read(form: str, depth: int = 0) -> Node:
    """An answer taken apart."""
    form = form.strip()
    member = MEMBER.match(form)
    if member:
        form = form[member.end() :]
    if depth > 6 or len(form) < 2:
        return Node("leaf", form)
    whole = _outer(form)
    if whole is not None and "," not in form and ";" not in form and form[0] == "(":
        return read(whole[1], depth + 1)
    splits: tuple[tuple[Kind, list[str]], ...] = (
        ("list", _split(form, ",;", words=True)),
        ("union", _split(form, r"\cup")),
    )
    for kind, pieces in splits:
        if 1 < len(pieces) <= MAX_PARTS and all(pieces):
            nodes = [read(each, depth + 1) for each in pieces]
            if kind == "list":
                nodes = [part for node in nodes for part in _flat(node)]
            return Node(kind, form, tuple(nodes))
    if whole is not None:
        brackets, inside = whole
        parts = _split(inside, ",;", words=brackets == "{}")
        condition = re.fullmatch(
            r"\s*[a-z]\s*(?:\\in\s*\\mathbb\{R\}\s*)?(?:\\mid|[|:])(.*)", inside
        )
        if brackets == "{}" and condition:
            return read(condition[1], depth + 1)
        if brackets == "{}" and not re.search(r"\\mid|[|:]", inside):
            parts = parts if inside.strip() else []
            flat = [part for each in parts for part in _flat(read(each, depth + 1))]
            return Node("list", form, tuple(flat))
        if 1 < len(parts) <= MAX_PARTS and all(parts):
            return Node("group", form, tuple(read(each, depth + 1) for each in parts), brackets)
    matrix = MATRIX.fullmatch(form)
    if matrix:
        rows = [re.split(r"(?<!\\)&", row) for row in re.split(r"\\\\", matrix[1]) if row.strip()]
        cells = tuple(read(cell, depth + 1) for row in rows for cell in row)
        return Node("matrix", form, cells, "×".join(str(len(row)) for row in rows))
    sides = _split(form, "=")
    if len(sides) > 1 and all(sides) and not re.search(r"[<>]|\\[lg]e(?![a-z])|\\ne", form):
        return Node("equation", form, (read(sides[0], depth + 1), read(sides[-1], depth + 1)))
    interval = _interval(form)
    if interval is not None:
        node = read(interval, depth + 1)
        return Node(node.kind, form, node.parts, node.brackets)
    relations = re.findall(r"[<>]|\\[lg]e(?![a-z])", form)
    if len(relations) > 1:
        parts = re.split(r"[<>]|\\[lg]e(?![a-z])", form)
        if all(each.strip() for each in parts):
            if relations[0] == ">" or relations[0].startswith(r"\g"):
                parts, relations = parts[::-1], [TURNED[each] for each in relations[::-1]]
            return Node(
                "chain", form, tuple(read(each, depth + 1) for each in parts), " ".join(relations)
            )
    if form.count(r"\pm") == 1:
        both = (re.sub(r"\\pm\s*", sign, form).strip() for sign in ("+", "-"))
        return Node("list", form, tuple(read(each.removeprefix("+"), depth + 1) for each in both))
    return Node("leaf", form)


def _same(one: Node, other: Node, equal: Callable[[str, str], bool]) -> bool:
    if one.form == other.form:
        return True
    if one.kind == other.kind == "equation":
        left, right = one.parts
        for first, second in (other.parts, other.parts[::-1]):
            if _same(left, first, equal) and _same(right, second, equal):
                return True
        return equal(one.form, other.form)
    for each, rest in ((one, other), (other, one)):
        if each.kind == "equation":
            for side, value in (each.parts, each.parts[::-1]):
                if _is_name(side.form) and rest.kind != "list":
                    return _same(value, rest, equal)
                if not ARITHMETIC.sub("", side.form) and re.search(r"\d\D+\d", side.form):
                    return _same(value, rest, equal)  # 3 + 4 = 7
            if rest.kind != "list":
                return False
            together = _assignments(each)
            return together is not None and _same(together, rest, equal)
    if one.kind == other.kind:
        if one.kind == "leaf":
            return equal(one.form, other.form)
        if len(one.parts) != len(other.parts) or one.brackets != other.brackets:
            return False
        named = [
            node.parts
            for node in (one, other)
            if all(part.kind == "equation" for part in node.parts)
            and len({part.parts[0].form for part in node.parts}) == len(node.parts)
        ]
        if one.kind in ("group", "matrix", "chain") or (one.kind == "list" and len(named) == 1):
            # AB = 4, CD = 5 against 4, 5: the order of the names
            pairs = zip(one.parts, other.parts, strict=True)
            return all(_same(first, second, equal) for first, second in pairs)
        return _matched(one.parts, other.parts, equal)
    if {one.kind, other.kind} <= {"leaf", "group", "union"}:  # ℝ and (−∞, ∞)
        return equal(one.form, other.form)
    singles = [node for node in (one, other) if node.kind == "list" and len(node.parts) == 1]
    if singles:  # {5} and 5
        rest = other if singles[0] is one else one
        return _same(singles[0].parts[0], rest, equal)
    return False


def _is_name(form: str) -> bool:
    return (
        NAME.fullmatch(DETAIL.sub("", form).replace(r"\frac", "").replace(r"\angle", ""))
        is not None
    )


def _assignments(node: Node) -> Node | None:
    """`(x,y) = (3,4)` as `x = 3, y = 4`, or None."""
    left, right = node.parts
    if left.kind != "group" or right.kind != "group" or len(left.parts) != len(right.parts):
        return None
    pairs = zip(left.parts, right.parts, strict=True)
    return Node(
        "list", node.form, tuple(Node("equation", f"{a.form}={b.form}", (a, b)) for a, b in pairs)
    )


def _flat(node: Node) -> tuple[Node, ...]:
    """The parts of `1 \\pm 2` inside a list."""
    if node.kind == "list" and r"\pm" in node.form:
        return node.parts
    if node.kind == "equation" and node.parts[1].kind == "list" and r"\pm" in node.form:
        left, right = node.parts
        return tuple(
            Node("equation", f"{left.form}={part.form}", (left, part)) for part in right.parts
        )
    return (node,)


def _matched(
    ones: Sequence[Node], others: Sequence[Node], equal: Callable[[str, str], bool]
) -> bool:
    """Whether each part has a partner of its own, in whatever order."""
    left = list(others)
    for one in ones:
        partner = next((k for k, other in enumerate(left) if _same(one, other, equal)), None)
        if partner is None:
            return False
        del left[partner]
    return True


def _interval(form: str) -> str | None:
    """The interval that an inequality in one variable says, or None: `-4<a\\le9` is `(-4,9]`."""
    found = BETWEEN.fullmatch(form)
    if found:
        low, first, _, second, high = found.groups()
        if first[0] == ">" or first.startswith(r"\g"):
            low, first, second, high = high, second, first, low
        return f"{'(' if first in STRICT else '['}{low},{high}{')' if second in STRICT else ']'}"
    found = BOUND.fullmatch(form)
    if found:
        _, relation, value = found.groups()
        up = relation == ">" or relation.startswith(r"\g")
    else:
        found = BOUND_BEFORE.fullmatch(form)
        if not found:
            return None
        value, relation, _ = found.groups()
        up = relation == "<" or relation.startswith(r"\l")
    strict = relation in STRICT
    if up:
        return f"{'(' if strict else '['}{value},\\infty)"
    return rf"(-\infty,{value}{')' if strict else ']'}"


def _outer(form: str) -> tuple[str, str] | None:
    """(brackets, what stands inside) where one pair of brackets holds all of a form."""
    for opening, closing, name in ((r"\{", r"\}", "{}"), (r"\langle", r"\rangle", "()")):
        if form.startswith(opening) and form.endswith(closing):
            inside = form[len(opening) : -len(closing)]
            return (name, inside) if opening not in inside else None
    if form[0] in "([]" and form[-1] in ")][":
        depth = 0
        inside = form[1:-1]
        for each in inside:
            depth += (each in "([{") - (each in ")]}")
            if depth < 0:
                return None
        if depth == 0:
            opening = {"]": "("}.get(form[0], form[0])
            closing = {"[": ")"}.get(form[-1], form[-1])
            return opening + closing, inside
    return None


def _split(form: str, separators: str, *, words: bool = False) -> list[str]:
    """The parts of a form between separators that stand in no brackets.

    Args:
        separators: single characters, or one LaTeX command.
        words: `or` and `and` separate too.
    """
    command = separators if separators.startswith("\\") else None
    if words and AND_OR.search(form):
        form = AND_OR.sub(",", form)
        form = re.sub(r",\s*,", ",", form)
    if command is None and not any(each in form for each in separators):
        return [form]
    depth, start, parts, at = 0, 0, [], 0
    while at < len(form):
        each = form[at]
        if command and form.startswith(command, at) and depth <= 0:
            parts.append(form[start:at].strip())
            at = start = at + len(command)
            continue
        if each == "\\" and form[at + 1 : at + 2] in ("{", "}"):
            depth += 1 if form[at + 1] == "{" else -1
            at += 2
            continue
        if each == "\\" and form.startswith((r"\begin", r"\end"), at):
            depth += 1 if form.startswith(r"\begin", at) else -1
        if at or each != "]":  # ]0,5] opens with what usually closes
            depth += (each in "([{") - (each in ")]}")
        else:
            depth += 1
        if not command and depth == 0 and each in separators:
            parts.append(form[start:at].strip())
            start = at + 1
        at += 1
    parts.append(form[start:].strip())
    return parts
