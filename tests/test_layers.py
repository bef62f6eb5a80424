"""Imports point one way, between rooms and between files, also inside functions."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = (
    *("prompts", "cot", "analysis.declaration", "analysis.catalogue", "analysis.statistics"),
    "analysis.findings",
    *("analysis.answer_table", "analysis.steps", "analysis.equations", "analysis.model_queries"),
    *("analysis.clusters", "analysis.hidden_states", "analysis.columns", "analysis.voting"),
    *("analysis.curves", "analysis.stopping", "analysis.calibration", "analysis.probes"),
    *("analysis.logit_lens", "analysis.state_geometry", "analysis.faithfulness_tests"),
    "analysis.interventions",
    "analysis.attribution",
    "analysis.step_attention",
    "analysis.state_features",
    *(
        "analysis.agreement",
        "analysis.exporting",
        "analysis.figures",
        "analysis.page",
        "analysis.comparison",
    ),
    *("analysis.summary", "analysis.show", "analysis.run_listing", "analysis.experiments"),
    "analysis.commands",
)
"""Rooms, lowest first: one may import those before it, and itself."""
FRONT = "analysis"
"""The package's own file: it names the rooms as text and imports none."""


@cache
def modules() -> dict[str, Path]:
    """Every module's name, and its file."""
    found = {}
    for room in ("prompts", "cot", "analysis"):
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(name: str) -> frozenset[str]:
    """The modules of the project that a module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(modules()[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in modules() else base)
    return frozenset((found & modules().keys()) - {name})


def room_of(name: str) -> str:
    fits = [room for room in LAYERS if name == room or name.startswith(f"{room}.")]
    return max(fits, key=len) if fits else ""


def test_every_module_is_in_a_room():
    assert [name for name in modules() if not room_of(name) and name != FRONT] == []


@pytest.mark.parametrize("room", LAYERS)
def test_a_room_imports_only_lower_ones(room):
    height = LAYERS.index(room)
    up = {
        f"{name} imports {other}"
        for name in modules()
        if room_of(name) == room
        for other in imports(name)
        if other != FRONT and LAYERS.index(room_of(other)) > height
    }
    assert sorted(up) == []


def test_the_front_of_analysis_imports_no_room():
    assert not {each for each in imports(FRONT) if each.startswith("analysis")}


def test_no_file_is_in_a_circle():
    assert circles({name: imports(name) for name in modules()}) == []


def test_a_circle_is_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}
    assert circles({name: frozenset(others) for name, others in graph.items()}) == [["b", "c"]]


def circles(graph: dict[str, frozenset[str]]) -> list[list[str]]:
    """Groups of modules that import each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph[name]:
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = []
            while not group or group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found
