"""Jinja in a sandbox: what a template file may compute, and what it may not.

A question is passed as a value and never parsed, so `{{ 7*7 }}` in a question stays as it is.

    >>> render("Q: {{ question }}", question="{{ 7*7 }}")
    'Q: {{ 7*7 }}'
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from prompts.errors import PromptError

if TYPE_CHECKING:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

__all__ = ["check", "letters", "render"]


def render(source: str, **values: object) -> str:
    """`source` filled with `values`, without white space at its ends.

    Raises:
        PromptError: the template asks for something that is not there or not allowed.
    """
    import jinja2

    try:
        return _compiled(source).render(values).strip()
    except jinja2.TemplateError as error:
        raise PromptError(f"the template cannot be rendered: {error}") from None


def check(source: str, known: set[str], where: str, first_line: int) -> None:
    """Make sure that `source` parses and uses only `known` variables.

    Args:
        source: a section of a template file.
        known: variables that rendering will provide.
        where: the file, for the message.
        first_line: line of the file at which `source` begins.

    Raises:
        PromptError: a syntax error (with its line) or an unknown variable.
    """
    import jinja2
    from jinja2.meta import find_undeclared_variables

    try:
        unknown = find_undeclared_variables(_environment().parse(source)) - known
    except jinja2.TemplateSyntaxError as error:
        raise PromptError(f"{where}:{first_line + error.lineno - 1}: {error.message}") from None
    if unknown:
        raise PromptError(
            f"{where}:{first_line}: this section has no variable {', '.join(sorted(unknown))}: "
            f"use {', '.join(sorted(known)) or 'plain text'}"
        )


def letters(count: int) -> str:
    """The letters of `count` choices: A, B, C ...

    >>> letters(3)
    'ABC'
    """
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if count > len(alphabet):
        raise PromptError(f"{count} choices: there are letters for {len(alphabet)} at most")
    return alphabet[:count]


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )


@cache
def _compiled(source: str) -> jinja2.Template:
    return _environment().from_string(source)
