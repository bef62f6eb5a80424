"""Paths into a record: `output.text`, `choices.0.text`, `outputs.*.text` (a list of each one's).

>>> find({"outputs": [{"text": "12"}, {"text": "13"}]}, "outputs.*.text")
['12', '13']
>>> without({"a": {"b": 1, "c": 2}}, "a.b")
{'a': {'c': 2}}
"""

from __future__ import annotations

from typing import Any

from cot.importers.fields import BadRecordError, listed

__all__ = ["MissingError", "find", "without"]


class MissingError(BadRecordError):
    """A path leads to nothing; the message says what is there."""


def find(value: Any, path: str, *, gaps: bool = False, where: str = "the line") -> Any:
    """What stands at a path; a field whose own name has dots comes before a way into objects.

    Args:
        gaps: an entry that lacks what is asked of each (`*`) gives None.
        where: what `value` is called in the message.

    Raises:
        MissingError: nothing stands there.
    """
    if isinstance(value, dict) and path in value:
        return value[path]
    head, _, rest = path.partition(".")
    inside = head if where == "the line" else f"{where}.{head}"
    if isinstance(value, list) and head == "*":
        return [_entry(each, rest, gaps, f"{inside[:-1]}{n}") for n, each in enumerate(value)]
    if isinstance(value, list):
        if not (head.isdecimal() and int(head) < len(value)):
            raise MissingError(f"{where} is a list of {len(value)} and has no {head}")
        return find(value[int(head)], rest, gaps=gaps, where=inside) if rest else value[int(head)]
    if not isinstance(value, dict):
        raise MissingError(f"{where} is {type(value).__name__} and holds no {head}")
    if head not in value or not rest:
        raise MissingError(f"{where} has no {head}; it has: {listed(value.keys())}")
    return find(value[head], rest, gaps=gaps, where=inside)


def _entry(value: Any, rest: str, gaps: bool, where: str) -> Any:
    if not rest:
        return value
    try:
        return find(value, rest, gaps=gaps, where=where)
    except MissingError:
        if gaps:
            return None
        raise


def without(value: Any, path: str) -> Any:
    """A copy without what stands at a path; an entry of a list becomes None in its place."""
    head, _, rest = path.partition(".")
    if isinstance(value, dict):
        if path in value or head not in value:
            return {name: each for name, each in value.items() if name != path}
        return {**value, head: without(value[head], rest)}
    if isinstance(value, list):
        return [
            (without(each, rest) if rest else None) if head in ("*", str(n)) else each
            for n, each in enumerate(value)
        ]
    return value
