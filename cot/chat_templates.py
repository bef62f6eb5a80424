r"""What a model's chat template takes, and how it has the model reason.

A template is a Jinja program, and the names that it reads and doesn't set are its arguments:

    >>> sorted(arguments_of("{% if enable_thinking %}<think>{% endif %}{{ messages[0].content }}"))
    ['enable_thinking']
    >>> reasons("{{ messages[0].content }}"), reasons("{{ content.split('</think>')[-1] }}")
    (False, True)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cot.answers.reasoning import Thinking, closing, tags_of
from cot.errors import InputError

__all__ = [
    "arguments_of",
    "check_chat_args",
    "closer_of",
    "reasoning_is_closed",
    "reasons",
    "template_of",
]

NOT_THE_USERS = {
    *("messages", "add_generation_prompt", "continue_final_message"),
    *("raise_exception", "strftime_now"),
}
"""Names that encoding gives to every template."""
ABOUT_REASONING = re.compile(r"think|reason", re.I)
TAIL = 100
"""Characters of a prompt's end in which a tag is looked for."""


def template_of(tokenizer: Any) -> str:
    """The chat template's source; empty where there is none."""
    if not getattr(tokenizer, "chat_template", None):
        return ""
    return str(tokenizer.get_chat_template())


def arguments_of(template: str) -> set[str]:
    """The names that a chat template reads and doesn't set, but for those that it always gets.

    Raises:
        InputError: the template is no Jinja that transformers could render.
    """
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.ext import Extension
    from jinja2.ext import loopcontrols as loops
    from jinja2.meta import find_undeclared_variables
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """transformers' block around what the assistant says."""

        tags = {"generation"}  # noqa: RUF012 - as Jinja has it

        def parse(self, parser: Any) -> list[nodes.Node]:
            next(parser.stream)
            return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))

    environment = ImmutableSandboxedEnvironment(extensions=[Generation, loops])
    try:
        names = find_undeclared_variables(environment.parse(template))
    except TemplateSyntaxError as error:
        raise InputError(f"the model's chat template is broken: {error}") from None
    return {name for name in names - NOT_THE_USERS if not name.endswith("_token")}


def check_chat_args(tokenizer: Any, given: Mapping[str, Any]) -> None:
    """Refuse arguments that the chat template doesn't mention: it would ignore them.

    Raises:
        InputError: naming the arguments that it does mention.
    """
    if not given:
        return
    template = template_of(tokenizer)
    if not template:
        raise InputError(f"--chat-arg {next(iter(given))}: the model has no chat template")
    known = arguments_of(template)
    if unknown := [name for name in given if name not in known]:
        shown = f"it takes {', '.join(sorted(known))}" if known else "it takes no arguments"
        raise InputError(f"--chat-arg {unknown[0]}: the chat template doesn't mention it; {shown}")


def reasons(template: str) -> bool:
    """Whether a template is one of a model that reasons before it answers: it mentions think tags,
    or an argument or a field such as enable_thinking or reasoning_content."""
    return bool(template) and (
        bool(tags_of(template))
        or "reasoning_content" in template
        or any(ABOUT_REASONING.search(name) for name in arguments_of(template))
    )


def reasoning_is_closed(prompt: str) -> bool:
    """Whether a prompt ends right after a tag that ends reasoning: the template left it empty."""
    tail = prompt[-TAIL:].rstrip()
    tags = tags_of(tail)
    return bool(tags) and tags[-1].closes and tags[-1].end == len(tail)


def closer_of(template: str, prompt: str, thinking: Thinking) -> str | None:
    """What ends this model's reasoning; None where neither tags nor template nor prompt show it.

    Args:
        prompt: a rendered prompt.
    """
    if thinking.tags:
        return thinking.tags[1]
    if closer := closing("", prompt):
        return closer
    tags = tags_of(template)
    closers = [tag.closer for tag in tags if not tag.closes]
    return next(iter(closers or [template[tag.start : tag.end] for tag in tags]), None)
