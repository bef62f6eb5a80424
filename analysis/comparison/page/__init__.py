"""compare.html: runs beside each other in one page, self-contained, without network.

It opens with what is shown to differ and what is not; then each measure with the paired
differences, and a matrix of questions by runs, from which the traces of two runs open side by side.
The document and the view of a trace are those of report.html.

    >>> write_comparison(open_run("runs/few_shot"))                              # doctest: +SKIP
    PosixPath('runs/few_shot/compare.html')
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from analysis import figures
from analysis.comparison.page.differences import HEADS, families, missing_of
from analysis.comparison.page.opening import opening
from analysis.comparison.page.questions import details, matrix
from analysis.comparison.page.side import Side, read_sides
from analysis.comparison.tables import FAMILIES, MAKES
from analysis.page.document import (
    MAX_BYTES,
    Document,
    environment,
    has_formulas,
    write_document,
)
from analysis.page.downloads import pack_tables
from analysis.page.figures import Embedded, embed
from analysis.page.section import registered
from analysis.page.shards import PLAIN_BYTES
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["FOLDER", "NAME", "write_comparison"]

NAME = "compare.html"
FOLDER = "compare-data"
"""Beside the page, for the traces where they are many."""
SCRIPTS = ("matrix.js", "pair.js", "compare.js")
SHARED = ("opening", "traces")
"""Sections of report.html whose styles the page takes; it takes the scripts of `traces` too."""


def write_comparison(
    run: Run,
    folder: Path | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    plain_bytes: int = PLAIN_BYTES,
) -> Path:
    """Write compare.html from the tables that `cot compare` left in the first run; return its path.

    Args:
        run: the first of the runs that were compared; its table `compared_settings` says where the
            others are.
        folder: where to write; the run's own where None.
        max_bytes: a page that would be larger has its traces in `compare-data` beside it.
        plain_bytes: traces of more characters are packed.

    Raises:
        InputError: the runs have not been compared, or one of them is no longer where it was.
    """
    missing = [name for name in MAKES if name not in run.tables()]
    if missing:
        raise InputError(f"{run.path} has no table {missing[0]}: `cot compare {run.path} OTHER`")
    sides = read_sides(run)
    return write_document(
        _document(run, sides),
        (folder or run.path) / NAME,
        FOLDER,
        max_bytes=max_bytes,
        plain_bytes=plain_bytes,
    )


def _document(run: Run, sides: list[Side]) -> Document:
    tables = {name: run.table(name) for name in MAKES}
    rows = matrix(tables["compared_questions"], sides)
    made = run.provenance("compared_differences")
    drawn = _figures(run, made.parameters.get("over"))
    downloads = pack_tables(tables, MAKES, run)
    shared = [each for each in registered() if each.name in SHARED]
    begin = opening(tables, sides)
    return Document(
        template=environment().from_string(_read("compare.html.jinja")),
        values={
            "sides": sides,
            "opening": begin,
            "families": families(tables),
            "figures": drawn,
            "heads": HEADS,
            "rows": rows,
            "missing": missing_of(tables["compared_missing"]),
            "notices": [notice for side in sides for notice in side.notices],
            "downloads": downloads,
            "parameters": [each for each in made.parameters.items() if each[1] is not None],
            "versions": made.versions,
        },
        scripts=[
            *(script for each in shared if each.name == "traces" for script in each.scripts),
            *map(_read, SCRIPTS),
        ],
        styles=[*(style for each in shared for style in each.styles), _read("compare.css")],
        data={
            "questions": rows,
            "runs": [{"letter": side.letter, "name": side.name} for side in sides],
            "baseline": [side.name for side in sides].index(begin.baseline),
            "figures": {name: each.drawing for name, each in drawn.items()},
        },
        details=details(rows, sides),
        packed=downloads.packed,
        plots=bool(drawn),
        formulas=has_formulas(
            *(side.evidence.questions["text"] for side in sides),
            *(side.evidence.traces["text"] for side in sides),
        ),
    )


def _figures(run: Run, over: str | None) -> Mapping[str, Embedded]:
    """Both figures of each family that there is, by `measures/FAMILY` and `differences/FAMILY`.

    Args:
        over: the setting that is the axis, where one was asked for.
    """
    drawn: dict[str, Any] = {}
    for kind, table, draw in (
        ("measures", "compared_measures", figures.compared_measures),
        ("differences", "compared_differences", figures.compared_differences),
    ):
        there = set(run.table(table)["family"])
        drawn |= {f"{kind}/{name}": draw(run, name, over) for name in FAMILIES if name in there}
    return {name: embed("measures", name, figure) for name, figure in drawn.items()}


def _read(name: str) -> str:
    return (resources.files("analysis.comparison.page") / name).read_text(encoding="utf-8")
