"""The methods section: what ran, from the tables' provenance."""

from __future__ import annotations

import json
from typing import Any

from analysis.page.data import Evidence
from analysis.page.described import COMMANDS, TABLES
from analysis.page.text import number
from cot.store.tables import Provenance

__all__ = ["fidelity", "provenance"]


def provenance(evidence: Evidence) -> dict[str, Any]:
    """What ran, and the library versions used.

    One dict a call of a command: command, does, parameters, created, and its tables, each with
    name, holds, inputs, stale and n_rows. Tables of one command and one set of parameters are of
    one call.
    """
    calls: dict[str, dict[str, Any]] = {}
    versions: dict[str, set[str]] = {}
    for name in evidence.tables:
        made = evidence.run.provenance(name)
        for library, version in made.versions.items():
            versions.setdefault(library, set()).add(version)
        given = json.dumps(made.parameters, ensure_ascii=False, default=str)
        call = calls.setdefault(f"{made.command} {given}", _call(made))
        call["tables"].append(
            {
                "name": name,
                "holds": TABLES.get(name, ""),
                "inputs": [f"{source} ({print_})" for source, print_ in made.inputs.items()],
                "stale": evidence.stale.get(name),
                "n_rows": len(evidence.tables[name]),
            }
        )
    used = {library: ", ".join(sorted(found)) for library, found in versions.items()}
    return {"calls": sorted(calls.values(), key=lambda call: _place(call)), "versions": used}


def _call(made: Provenance) -> dict[str, Any]:
    return {
        "command": f"cot {made.command}",
        "does": COMMANDS.get(made.command, ""),
        "parameters": [
            f"{key} = {json.dumps(value, ensure_ascii=False)}"
            for key, value in made.parameters.items()
        ],
        "created": made.created[:16].replace("T", " ") + " UTC",
        "tables": [],
    }


def _place(call: dict[str, Any]) -> int:
    """In the order in which commands build on one another; others last."""
    order = [f"cot {command}" for command in COMMANDS]
    return order.index(call["command"]) if call["command"] in order else len(order)


def fidelity(evidence: Evidence) -> dict[str, Any] | None:
    """How far replayed log-probabilities were from the stored ones, where there are any."""
    gaps = evidence.get("fidelity")
    if not len(gaps):
        return None
    known = gaps["max_logprob_gap"].dropna()
    return {
        "median": number(known.median()) if len(known) else None,
        "worst": number(known.max()) if len(known) else None,
        "n": len(known),
        "without": len(gaps) - len(known),
    }
