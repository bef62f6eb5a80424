"""The methods section: what ran, from the tables' provenance."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass

from analysis import catalogue
from analysis.declaration import Analysis
from analysis.page.cards import sentence
from analysis.page.evidence import Evidence
from analysis.page.section import section
from analysis.page.sections.methods.glossary import glossary
from cot.store.tables import Provenance

__all__ = ["Call", "Methods", "Table", "methods_data", "provenance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of a call."""

    name: str
    """Its name."""
    holds: str
    """What it holds, as its analysis declares it."""
    inputs: list[str]
    """What it was made from, each with its fingerprint."""
    stale: str | None
    """Why it no longer follows from those, or None."""
    n_rows: int
    """Its rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a command: tables of one command and one set of parameters are of one call."""

    command: str
    """As typed."""
    does: str
    """The first sentence of the analysis's docstring."""
    parameters: list[str]
    """Name = value, each."""
    created: str
    """Date and time, UTC."""
    tables: list[Table]
    """What it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Methods:
    """What the section shows."""

    calls: list[Call]
    """In the order in which analyses build on one another."""
    versions: dict[str, str]
    """Library to the versions that were used."""
    glossary: list[tuple[str, str]]
    """Terms and what they mean."""


def provenance(evidence: Evidence) -> tuple[list[Call], dict[str, str]]:
    """What ran, and the library versions used."""
    calls: dict[str, Call] = {}
    versions: dict[str, set[str]] = {}
    for name in evidence.tables:
        made = evidence.run.provenance(name)
        for library, version in made.versions.items():
            versions.setdefault(library, set()).add(version)
        given = json.dumps(made.parameters, ensure_ascii=False, default=str)
        maker = evidence.makers[name]
        call = calls.setdefault(f"{made.command} {given}", _call(made, maker))
        call.tables.append(
            Table(
                name=name,
                holds=sentence(maker.makes[name]) + ".",
                inputs=[f"{source} ({print_})" for source, print_ in made.inputs.items()],
                stale=evidence.stale.get(name),
                n_rows=len(evidence.tables[name]),
            )
        )
    used = {library: ", ".join(sorted(found)) for library, found in versions.items()}
    order = [f"cot {name}" for name in catalogue.names()]
    known = [call for call in calls.values() if call.command in order]
    known.sort(key=lambda call: order.index(call.command))
    return [*known, *(call for call in calls.values() if call not in known)], used


def methods_data(evidence: Evidence) -> Methods:
    """What ran, and what its numbers mean."""
    calls, versions = provenance(evidence)
    return Methods(calls=calls, versions=versions, glossary=glossary(evidence))


def _call(made: Provenance, maker: Analysis) -> Call:
    about = (inspect.getdoc(maker.function) or "").split("\n\n")[0]
    return Call(
        command=f"cot {made.command}",
        does=" ".join(about.split()) if made.command == maker.name else "",
        parameters=[
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in made.parameters.items()
        ],
        created=made.created[:16].replace("T", " ") + " UTC",
        tables=[],
    )


section(
    folder=__name__,
    name="methods",
    title="Methods",
    order=1000,
    data=methods_data,
)
