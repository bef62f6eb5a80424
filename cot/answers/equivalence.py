"""Equivalence classes: which of a question's answers are the same answer.

    >>> classes = Classes(lambda one, other: one.lower() == other.lower())
    >>> [classes.join(form) for form in ("a", "B", "A", "b")]
    ['a', 'B', 'a', 'B']

math-verify's judgement is not transitive (`x=5` equals `5`, which equals `y=5`), so that an answer
joins a class only if it equals every member. The first member's canonical form stands for a class.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Classes"]


class Classes:
    """The classes of one question's answers, in the order in which they came.

    Args:
        equal: whether two canonical forms that differ are equal.
    """

    def __init__(self, equal: Callable[[str, str], bool]) -> None:
        self._equal = equal
        self._members: dict[str, list[str]] = {}
        self._class_of: dict[str, str] = {}

    def join(self, form: str) -> str:
        """The class of an answer, which becomes a member of it, or founds it."""
        name = self.find(form)
        if form not in self._class_of:
            self._members.setdefault(name, []).append(form)
            self._class_of[form] = name
        return name

    def find(self, form: str) -> str:
        """The class that an answer would join; itself where there is none. It does not join, so
        that gold cannot change the classes that are voted on."""
        if form in self._class_of:
            return self._class_of[form]
        for name, members in self._members.items():
            if all(self._equal(form, member) for member in members):
                return name
        return form
