"""Sections of the page: a plug-in's is a few lines, and none knows another."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from planted import planted_run

from analysis import page
from analysis.page import write_report
from analysis.page.evidence import Evidence
from analysis.page.section import REGISTERED, registered, section
from cot.errors import InputError
from cot.store.run import Run

HOME = Path(page.__file__).parent / "sections"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """What a test registers is gone after it."""
    registered()
    known = dict(REGISTERED)
    yield
    REGISTERED.clear()
    REGISTERED.update(known)


def draw(run: Run) -> Any:
    from plotly.graph_objects import Figure

    counts = run.table("answers").groupby("status").size()
    return Figure().add_bar(x=list(counts.index), y=list(counts))


def test_a_section_is_a_name_a_title_a_table_and_a_figure(tmp_path: Path) -> None:
    section(name="lengths", title="Lengths <b>", reads=["answers"], figure=draw, order=45)
    source = write_report(planted_run(tmp_path / "run", tables=["answers"])).read_text("utf-8")
    own = source[source.index('<section id="lengths"') :]
    own = own[: own.index("</section>")]
    assert "Lengths &lt;b&gt;" in own
    assert 'data-figure="lengths"' in own
    assert 'data-download="answers"' in own
    assert 'href="#lengths"' in source
    assert '"type":"bar"' in source[source.index('id="page-data"') :]


def test_without_its_table_nothing_is_drawn_and_the_command_is_named(tmp_path: Path) -> None:
    section(name="lengths", title="Lengths", reads=["answers"], figure=draw)
    path = tmp_path / "run"
    source = write_report(planted_run(path, tables=[])).read_text("utf-8")
    assert "There is no table answers yet." in source
    assert f"cot answers {path}" in source
    assert 'data-figure="lengths"' not in source


@dataclass(frozen=True, slots=True, kw_only=True)
class Longest:
    """What a plug-in shows of a question."""

    longest: tuple[int, str]
    """A trace's length, and its last word."""


def test_what_a_section_shows_of_a_question_is_a_dataclass_or_values_by_name(
    tmp_path: Path,
) -> None:
    def typed(evidence: Evidence, data: None, ids: Sequence[str]) -> dict[str, Longest]:
        return {key: Longest(longest=(len(key), "</script>")) for key in ids}

    def named(evidence: Evidence, data: None, ids: Sequence[str]) -> dict[str, dict[str, int]]:
        return {key: {"n_letters": len(key)} for key in ids}

    section(name="typed", title="Typed", reads=["answers"], details=typed)
    section(name="named", title="Named", reads=["answers"], details=named)
    source = write_report(planted_run(tmp_path / "run", tables=["answers"])).read_text("utf-8")
    found = re.search(r'id="detail-data">(.*?)</script>', source, re.S)
    assert found is not None
    shown = json.loads(found.group(1))
    assert {(*each["longest"], each["n_letters"]) for each in shown.values()} == {
        (3, "</script>", 3)
    }
    assert {"text", "traces"} < set(shown["q00"])


def test_a_name_is_taken_once() -> None:
    with pytest.raises(InputError, match="adds a section 'curve' to the page, which has one"):
        section(name="curve", title="Mine", figure=draw)
    with pytest.raises(InputError, match="figures"):
        section(name="figures", title="Mine", figure=draw)


def test_a_table_that_no_analysis_makes_is_said(tmp_path: Path) -> None:
    section(name="lengths", title="Lengths", reads=["length"], figure=draw)
    with pytest.raises(InputError, match="reads length, which no analysis makes"):
        write_report(planted_run(tmp_path / "run", tables=[]))


def test_no_section_imports_another() -> None:
    for file in HOME.rglob("*.py"):
        own = f"analysis.page.sections.{file.relative_to(HOME).parts[0]}"
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(
                "analysis.page.sections."
            ):
                assert f"{node.module}.".startswith(f"{own}."), f"{file} imports {node.module}"
