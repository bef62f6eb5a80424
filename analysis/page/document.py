"""One page in one file: its markup, data and scripts, and the policy that lets nothing else run.

Jinja2 (autoescaped) writes what can be read without scripts. The rest travels as JSON in
`<script type="application/json">` and is put on the page with textContent only, so that nothing a
model wrote is ever markup. A Content-Security-Policy forbids all network and runs only the scripts
whose hashes it names. What is shown of each question is packed where it is much, and moves to
script files beside the page above `MAX_BYTES` (see shards.py).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from analysis.figures.text import decimal, percent, visible
from analysis.page.shards import (
    PLAIN_BYTES,
    Blocks,
    as_files,
    clear,
    pack_blocks,
    write_shards,
)
from cot.store.atomic import replace_file

__all__ = ["MAX_BYTES", "Document", "as_json", "environment", "has_formulas", "write_document"]

SCRIPTS = [
    "dom.js",
    "address.js",
    "theme.js",
    "navigation.js",
    "heat.js",
    "figures.js",
    "downloads.js",
]
"""What all pages share, joined in this order before a page's own scripts."""

FORMULA = re.compile(r"\\[(\[a-zA-Z]|\$[^\s$]")
"""A LaTeX command, or the beginning of a formula."""

MAX_BYTES = 25_000_000
"""Of a page in one file."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """What a page is made of."""

    template: Template
    """Its markup; it extends `base/document.html.jinja`."""
    values: Mapping[str, Any]
    """What the template is given."""
    scripts: Sequence[str]
    """Its own scripts, after those that all pages share."""
    styles: Sequence[str]
    """Its own styles, after `report.css`."""
    data: Mapping[str, Any]
    """What its scripts read as `page-data`, figures among it; `shards` is added."""
    details: Iterable[tuple[str, Any]]
    """Each question's id and what is shown of it once it is opened."""
    packed: Mapping[str, str]
    """The tables that it carries (see downloads.py)."""
    plots: bool
    """Whether plotly draws on it."""
    formulas: bool
    """Whether a text of it may hold formulas."""


def write_document(
    document: Document,
    path: Path,
    folder: str,
    *,
    max_bytes: int = MAX_BYTES,
    plain_bytes: int = PLAIN_BYTES,
) -> Path:
    """Write the page whole, or not at all; return its path.

    Args:
        folder: beside the page, for the files of one that would be larger than `max_bytes`; files
            of an older page are removed from it.
        max_bytes: of a page in one file.
        plain_bytes: details of more characters are packed.
    """
    page, files = _render(document, folder, max_bytes, plain_bytes)
    if files:
        write_shards(path.parent / folder, files)
    with replace_file(path) as handle:
        handle.write(page.encode())
    clear(path.parent / folder, len(files))
    return path


def as_json(value: Any) -> Markup:
    """JSON that is safe inside a script element, whatever the strings hold; a dataclass is an
    object of its fields."""
    text = json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=named_fields
    )
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def named_fields(value: Any) -> dict[str, Any]:
    """A dataclass's values by field."""
    names = _field_names(type(value))  # type: ignore[arg-type]  # mypy: a class isn't hashable
    return {name: getattr(value, name) for name in names}


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    """Kept, as a page has many objects of few classes."""
    return tuple(field.name for field in fields(kind))


def has_formulas(*texts: Iterable[str]) -> bool:
    """Whether any text has a LaTeX command or delimiter."""
    return any(FORMULA.search(text) is not None for each in texts for text in each)


def _render(
    document: Document, folder: str, max_bytes: int, plain_bytes: int
) -> tuple[str, list[str]]:
    """The page, and the texts of the files beside it; none where it is small enough."""
    plotly = _plotly() if document.plots else None
    temml = _temml() if document.formulas else None
    own = "\n".join([*map(_read, SCRIPTS), *document.scripts])
    script = f'(function () {{\n"use strict";\n{own}}})();\n'
    running = [*([plotly] if plotly else []), *([temml] if temml else []), script]
    details = [(as_json(key), as_json(shown)) for key, shown in document.details]
    values = {
        **document.values,
        "css": Markup("".join([_read("report.css"), *document.styles])),
        "plotly": Markup(plotly) if plotly else None,
        "temml": Markup(temml) if temml else None,
        "script": Markup(script),
        "packed": as_json(document.packed),
    }

    def rendered(details: str, told: Blocks | None, blocks: Sequence[str], beside: bool) -> str:
        page = as_json({**document.data, "shards": told})
        stored = [Markup(block) for block in blocks]
        csp = _policy(running, beside)
        return document.template.render(
            csp=csp, page=page, details=details, blocks=stored, **values
        )

    if sum(len(key) + len(detail) for key, detail in details) <= plain_bytes:
        inside = Markup("{" + ",".join(f"{key}:{detail}" for key, detail in details) + "}")
        told, blocks = None, list[str]()
    else:
        inside = Markup("{}")
        told, blocks = pack_blocks(details)
    whole = rendered(inside, told, blocks, beside=False)
    if len(whole.encode("utf-8", "surrogatepass")) <= max_bytes:
        return whole, []
    if told is None:
        told, blocks = pack_blocks(details)
    told, files = as_files(told, blocks, folder)
    return rendered(Markup("{}"), told, [], beside=True), files


@cache
def environment() -> Environment:
    """What renders templates: autoescaped, control characters shown, and `base` to extend."""
    made = Environment(
        loader=PackageLoader("analysis.page", "base"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(percent=percent, decimal=decimal)
    return made


def _policy(scripts: list[str], beside: bool = False) -> str:
    """No network; only these scripts, and those beside the page; styles may be set, as plotly
    does."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()) for text in scripts]
    sources = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    sources += " 'self'" if beside else ""
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def _temml() -> str:
    """What typesets formulas (see vendor/README.md)."""
    vendor = resources.files("analysis.page") / "vendor"
    return (vendor / "temml.min.js").read_text(encoding="utf-8")


@cache
def _read(name: str) -> str:
    return (resources.files("analysis.page") / "base" / name).read_text(encoding="utf-8")
