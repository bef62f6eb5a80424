"""The comparison as files: CSV with all columns, LaTeX and Markdown as it is printed.

In CSV, text that a spreadsheet would run gets an apostrophe in front (see `analysis.exporting`); in
LaTeX and Markdown what would be markup is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.comparison.printed import printed
from analysis.comparison.tables import FAMILIES
from analysis.exporting import as_csv
from cot.console import printable
from cot.errors import InputError
from cot.store.atomic import replace_file
from cot.store.run import Run

__all__ = ["SUFFIXES", "check_suffixes", "write_files"]

SUFFIXES = (".csv", ".md", ".tex")
MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|<>~$&-])")
"""What Markdown may read as markup; a backslash in front makes it text."""


def check_suffixes(files: Sequence[Path]) -> None:
    """Refuse a file whose name says no format."""
    for file in files:
        if Path(file).suffix not in SUFFIXES:
            raise InputError(
                f"--to {file}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
            )


def write_files(run: Run, files: Sequence[str | Path]) -> list[str]:
    """Write the run's comparison to files; returns their paths. The suffix says the format.

    A CSV holds `compared_differences`; those of `compared_measures` and `compared_settings` are
    written beside it, NAME_measures.csv and NAME_settings.csv.

    Raises:
        InputError: another suffix.
    """
    check_suffixes([Path(file) for file in files])
    names = ("differences", "measures", "settings")
    tables = {name: run.table(f"compared_{name}") for name in names}
    written = []
    for path in map(Path, files):
        if path.suffix == ".csv":
            for name, table in tables.items():
                own = path if name == "differences" else path.with_stem(f"{path.stem}_{name}")
                written.append(_write(own, as_csv(table)))
            continue
        asked = run.provenance("compared_differences").parameters
        shown = printed(
            tables["differences"],
            tables["measures"],
            tables["settings"],
            asked["against"],
            asked["over"],
            narrow=False,
        )
        frames = {
            title: pd.DataFrame(rows).rename(columns={title: "measure", "p_holm": "p (Holm)"})
            for title, rows in shown.items()
        }
        text = _latex if path.suffix == ".tex" else _markdown
        written.append(_write(path, "\n".join(text(title, each) for title, each in frames.items())))
    return written


def _write(path: Path, text: str) -> str:
    with replace_file(path) as handle:
        handle.write(text.encode())
    return str(path)


def _latex(title: str, frame: pd.DataFrame) -> str:
    """A table environment by pandas, as booktabs sets it."""
    text = frame.map(_cell)
    # escape=True of the styler leaves column names alone
    text.columns = pd.Index([_escaped(name) for name in text.columns])
    caption = _escaped(f"{title}: {FAMILIES[title]}" if title in FAMILIES else title)
    styler = text.map(_escaped).style.hide(axis="index")
    return str(
        styler.to_latex(
            caption=caption,
            label=f"tab:{title}",
            hrules=True,
            column_format="l" * len(text.columns),
        )
    )


LATEX = {
    "\\": r"\textbackslash{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def _escaped(value: object) -> str:
    return "".join(LATEX.get(each, each) for each in str(value))


def _markdown(title: str, frame: pd.DataFrame) -> str:
    """A pipe table; pandas' own needs another package for it."""
    text = frame.map(_cell)
    rows = [list(text.columns), ["---"] * len(text.columns), *text.to_numpy().tolist()]
    lines = [
        "| " + " | ".join(str(cell) if n == 1 else _quoted(cell) for cell in row) + " |"
        for n, row in enumerate(rows)
    ]
    heading = f"{title}: {FAMILIES[title]}" if title in FAMILIES else title
    return f"**{_quoted(heading)}**\n\n" + "\n".join(lines) + "\n"


def _quoted(value: object) -> str:
    return MARKUP.sub(r"\\\1", str(value))


def _cell(value: Any) -> str:
    """A cell as printed, on one line."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return printable(" ".join(str(value).split()))
