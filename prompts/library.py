"""The prompts there are, bundled or the user's, and how a file becomes a `Template`.

A template file has TOML front matter between `+++` lines, then sections in Jinja:

    +++
    description = "Ask, after worked examples."
    exemplars = true                    # false if not given
    prefill = ""                        # beginning of the answer, if any
    stop = ["\\nQuestion:"]             # ends a completion of the plain-text form
    +++
    ## user
    {{ question }}
    ## assistant
    {{ reasoning }} The answer is {{ answer }}.

Sections: `## system` (optional), `## user`, `## assistant` (needed with exemplars).
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from prompts.errors import PromptError
from prompts.exemplar import read_exemplars
from prompts.render import check, render
from prompts.template import Template

__all__ = ["exemplar_sets", "load", "names"]

ROOM = Path(__file__).parent
DEFAULT_EXEMPLARS = "arithmetic"
DEFAULT_STOP = ("\n\nQuestion:", "\nQuestion:")
"""The longer one first: an engine that takes the first match then leaves no blank line behind."""
FRONT_MATTER = {"description": str, "exemplars": bool, "prefill": str, "stop": list}
VARIABLES = {
    "system": set[str](),
    "user": {"question", "choices"},
    "assistant": {"question", "choices", "reasoning", "answer"},
}


def names() -> list[str]:
    """The bundled prompts, sorted."""
    return sorted(path.stem for path in (ROOM / "templates").glob("*.md"))


def exemplar_sets() -> list[str]:
    """The bundled sets of exemplars, sorted."""
    return sorted(path.stem for path in (ROOM / "exemplars").glob("*.toml"))


def load(
    name_or_path: str | Path,
    *,
    exemplars: str | Path | None = None,
    shots: int | None = None,
) -> Template:
    """A bundled prompt, or the user's `.md` file, with its exemplars.

    Args:
        name_or_path: one of `names()`, or a file.
        exemplars: one of `exemplar_sets()`, or a `.toml` or `.jsonl` file; None is `arithmetic`.
        shots: how many exemplars to show, from the first; None is all.

    Raises:
        PromptError: no such prompt or set (the valid ones are listed), a file that cannot be
            understood, exemplars asked of a prompt without any, or more shots than exemplars.
    """
    path = _find(name_or_path, "templates", ".md", "prompt", names())
    template = _parse(path)
    if template.uses_exemplars:
        return _with_exemplars(template, exemplars or DEFAULT_EXEMPLARS, shots)
    if exemplars is not None or shots is not None:
        raise PromptError(f"prompt {template.name!r} shows no exemplars: leave them out")
    return template


def _find(name: str | Path, folder: str, suffix: str, kind: str, valid: list[str]) -> Path:
    if str(name) in valid:
        return ROOM / folder / f"{name}{suffix}"
    if Path(name).is_file():
        return Path(name)
    raise PromptError(f"unknown {kind} {str(name)!r}: give a file, or one of {', '.join(valid)}")


def _with_exemplars(template: Template, source: str | Path, shots: int | None) -> Template:
    path = _find(source, "exemplars", ".toml", "set of exemplars", exemplar_sets())
    found = read_exemplars(path)
    if shots is not None and not 0 <= shots <= len(found):
        raise PromptError(f"{shots} shots asked, but {path.name} has {len(found)} exemplars")
    return replace(template, exemplars=found[:shots])


def _parse(path: Path) -> Template:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise PromptError(f"{path}: is not UTF-8 text") from None
    parts = re.fullmatch(r"\+\+\+\n(.*?)^\+\+\+\n(.*)", text, re.DOTALL | re.MULTILINE)
    if parts is None:
        raise PromptError(f"{path}: must begin with front matter between two lines of +++")
    matter = _front_matter(parts[1], path)
    uses_exemplars = matter.get("exemplars", False)
    body_line = text.count("\n", 0, parts.start(2)) + 1
    sections = _sections(parts[2], path, body_line)
    for needed in ("user", "assistant") if uses_exemplars else ("user",):
        if needed not in sections:
            raise PromptError(f"{path}: section ## {needed} is missing")
    return Template(
        name=path.stem,
        description=matter.get("description", ""),
        prefill=matter.get("prefill", "").strip(),
        stop=tuple(matter.get("stop", DEFAULT_STOP)),
        uses_exemplars=uses_exemplars,
        user=sections["user"],
        assistant=sections.get("assistant", ""),
        system=render(sections.get("system", "")),
    )


def _front_matter(source: str, path: Path) -> dict[str, Any]:
    try:
        matter = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise PromptError(f"{path}: the front matter is not TOML: {error}") from None
    for key, value in matter.items():
        if key not in FRONT_MATTER:
            raise PromptError(f"{path}: unknown key {key}: use {', '.join(FRONT_MATTER)}")
        if not isinstance(value, FRONT_MATTER[key]):
            raise PromptError(f"{path}: key {key} must be a {FRONT_MATTER[key].__name__}")
    if not all(isinstance(text, str) and text for text in matter.get("stop", [])):
        raise PromptError(f"{path}: key stop must list texts that are not empty")
    return matter


def _sections(body: str, path: Path, first_line: int) -> dict[str, str]:
    """The Jinja source under each `## name` heading, checked."""
    sections: dict[str, str] = {}
    headings = list(re.finditer(r"^## *(\w+) *$\n?", body, re.MULTILINE))
    for heading, following in zip_longest(headings, headings[1:]):
        name = heading[1]
        line = first_line + body.count("\n", 0, heading.start())
        if name not in VARIABLES or name in sections:
            raise PromptError(
                f"{path}:{line}: section ## {name} is unknown or there twice: "
                f"use {', '.join(VARIABLES)}"
            )
        source = body[heading.end() : following.start() if following else None]
        check(source, VARIABLES[name], str(path), line + 1)
        sections[name] = source.strip()
    return sections
