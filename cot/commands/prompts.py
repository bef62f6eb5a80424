"""`cot prompts`."""

from __future__ import annotations

import prompts
from cot.console import Output, emit, listen, printable

__all__ = ["show_prompts"]

QUESTION = "A baker has 12 rolls and bakes 7 more. How many rolls does the baker have?"
CHOICES = ("17", "19", "21")


def show_prompts(
    name: str | None = None,
    /,
    *,
    form: str = "text",
    exemplars: str | None = None,
    shots: int | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """List the prompts, or show one rendered with a sample question.

    Parameters
    ----------
    name
        A prompt's name or file.
    form
        chat or text.
    exemplars
        A set of exemplars or a file, for a few-shot prompt.
    shots
        How many exemplars to show; all by default.
    """
    listen()
    if form not in ("chat", "text"):
        raise prompts.PromptError(f"unknown --form {form!r}: choose from chat, text")
    if name is None:
        rows = [
            {"prompt": each, "description": prompts.load(each).description}
            for each in prompts.names()
        ]
        note = f"Sets of exemplars: {', '.join(prompts.exemplar_sets())}"
        emit(output, {"prompts": rows}, rows=rows, note=note)
        return
    template = prompts.load(name, exemplars=exemplars, shots=shots)
    choices = CHOICES if exemplars == "multiple_choice" else None
    if form == "chat":
        messages = template.messages(QUESTION, choices)
        shown = "\n\n".join(f"[{turn['role']}]\n{turn['content']}" for turn in messages)
    else:
        shown = template.text(QUESTION, choices)
    row = {"prompt": template.name, "description": template.description, "rendered": shown}
    if output.json:
        emit(output, {"prompts": [row]})
    else:
        print(printable(shown))
