"""The page is a list of sections; each registers itself, and none knows another.

A section says which tables it reads. From that follow its notices (a table that is stale, and why),
its downloads, and what the first screen lists as not measured (a table that is missing, and the
command that makes it). What it shows is a figure, which the notebook shows too, or a template with
typed data, or both. A section none of whose tables is there is left out.

A module outside the project adds one in a few lines (`--plugin package.module`):

    section(name="lengths", title="Lengths", reads=["lengths"], figure=lambda run: ...)

The project's own are folders in `analysis/page/sections`: `section.html.jinja`, and every script
(`*.js`) and style (`*.css`) beside it, are found there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from analysis.page.cards import Headline
from analysis.page.evidence import Evidence
from cot.errors import InputError
from cot.store.run import Run

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["Section", "Unmeasured", "headlines", "registered", "section", "unmeasured"]

HOME = "analysis.page.sections"
RESERVED = {"figures", "shards"}
"""Names in the page's data that no section may take."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the page."""

    name: str
    """Of its anchor, and of its data in the page."""
    title: str
    """Its heading."""
    reads: tuple[str, ...] = ()
    """Tables that it is made from: what its notices are about."""
    always: bool = False
    """Whether it is shown although none of these tables is there."""
    downloads: tuple[str, ...] = ()
    """Tables that its readers can download."""
    navigation: str = ""
    """The text of its link at the top of the page; empty for none."""
    order: float = 100
    """Its place on the page, the smallest first."""
    within: str = ""
    """The section in which it stands; empty for one of its own."""
    data: Callable[[Evidence], Any] | None = None
    """What its template is given as `data`."""
    sends: Callable[[Any], Any] | None = None
    """What its script is given, from `data`: JSON, or dataclasses."""
    figure: Callable[[Run], Figure | Mapping[str, Figure]] | None = None
    """Its figure, or several by name; asked for where a table that it reads is there."""
    plots: Callable[[Evidence], bool] | None = None
    """Whether its own script draws with plotly; without one, it doesn't."""
    cards: tuple[tuple[float, Callable[[Evidence], Headline]], ...] = ()
    """What it adds to the findings, with the place there."""
    details: Callable[[Evidence, Any, Sequence[str]], Mapping[str, Any]] | None = None
    """What it shows of each of these questions once one is opened, by id: a dataclass, or values by
    name. It is given `data` too."""
    folder: str = ""
    """The package that holds its template, scripts and styles; empty where it has none."""

    @property
    def home(self) -> str:
        """The module that says what is shown."""
        makers = [self.data, self.figure, *(make for _, make in self.cards)]
        return next((str(each.__module__) for each in makers if each is not None), "")

    def absent(self, evidence: Evidence) -> bool:
        """Whether there is nothing to show: it reads tables, and none of them is there."""
        there = any(name in evidence.tables for name in self.reads)
        return bool(self.reads) and not there and not self.always

    @property
    def template(self) -> str | None:
        """The text of its own template, or None."""
        return next(iter(self._files("section.html.jinja")), None)

    @property
    def scripts(self) -> list[str]:
        """The texts of its scripts, by file name."""
        return self._files(".js")

    @property
    def styles(self) -> list[str]:
        """The texts of its styles, by file name."""
        return self._files(".css")

    def _files(self, end: str) -> list[str]:
        return _files(self.folder, end) if self.folder else []


REGISTERED: dict[str, Section] = {}
"""Every section whose module was imported, by name."""


def section(
    *,
    name: str,
    title: str,
    reads: Iterable[str] = (),
    downloads: Iterable[str] | None = None,
    navigation: str | None = None,
    **more: Any,
) -> Section:
    """Add a section to the page; see `Section` for what is given.

    Args:
        downloads: the tables that it reads, where this isn't given.
        navigation: the title, where this isn't given.

    Raises:
        InputError: another module has registered a section of this name.
    """
    tables = tuple(reads)
    made = Section(
        name=name,
        title=title,
        reads=tables,
        downloads=tables if downloads is None else tuple(downloads),
        navigation=title if navigation is None else navigation,
        **more,
    )
    before = REGISTERED.get(name, made)
    if name in RESERVED or before.home != made.home:
        raise InputError(
            f"{made.home} adds a section {name!r} to the page, which has one of this name "
            f"({before.home}): give it another name"
        )
    REGISTERED[name] = made
    return made


def registered() -> list[Section]:
    """All sections in the order of the page: the project's, and those of plug-ins."""
    _discover()
    return sorted(REGISTERED.values(), key=lambda each: each.order)


def headlines(evidence: Evidence) -> list[Headline]:
    """What the run shows: the cards of all sections, in their order."""
    cards = [card for each in registered() for card in each.cards]
    return [make(evidence) for _, make in sorted(cards, key=lambda card: card[0])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """What the page can't show, as nobody has measured it yet."""

    text: str
    """What is missing."""
    command: str
    """What makes it, as typed."""
    sections: tuple[Section, ...] = ()
    """The sections that lack it."""
    absent: tuple[str, ...] = ()
    """Names of those that are left out for it, each in one entry only."""


def unmeasured(evidence: Evidence) -> list[Unmeasured]:
    """The missing tables that sections read, an entry a command, in the order of the page."""
    lacking: dict[str, list[Section]] = {}
    texts: dict[str, str] = {}
    absent: dict[str, list[str]] = {}
    for each in registered():
        missing = [name for name in each.reads if name not in evidence.tables]
        for i, name in enumerate(missing):
            command = evidence.command(name)
            main = next(iter(evidence.makers[name].makes))
            named = name if main in evidence.tables else main
            texts.setdefault(command, f"There is no table {named} yet.")
            lacking.setdefault(command, [])
            if each not in lacking[command]:
                lacking[command].append(each)
            if i == 0 and each.absent(evidence):
                absent.setdefault(command, []).append(each.name)
    return [
        Unmeasured(
            text=texts[command],
            command=command,
            sections=tuple(lacking[command]),
            absent=tuple(absent.get(command, [])),
        )
        for command in texts
    ]


@cache
def _discover() -> None:
    for each in iter_modules(import_module(HOME).__path__):
        import_module(f"{HOME}.{each.name}")


@cache
def _files(folder: str, end: str) -> list[str]:
    found = [each for each in resources.files(folder).iterdir() if each.name.endswith(end)]
    return [each.read_text(encoding="utf-8") for each in sorted(found, key=lambda each: each.name)]
