"""The two ways in which a command can fail, and what each means to the person who typed it."""

from __future__ import annotations

__all__ = ["ConsilienceError", "InputError"]


class ConsilienceError(Exception):
    """Something went wrong that is not the caller's fault; a command exits with 1."""


class InputError(ConsilienceError, ValueError):
    """Wrong use or bad input; a command exits with 2.

    The message is one line that says what is wrong, where (file and line, or field) and what to do.
    """
