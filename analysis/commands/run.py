"""`cot run`, `cot demo` and `cot export`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import analysis
from analysis.experiments import load_experiment
from analysis.summary import following_commands, summary
from cot.console import Output, emit, listen, printable
from cot.store.run import Run, open_run

__all__ = ["demo", "export", "run"]

COLUMNS = ["analysis", "measure", "subject", "baseline", "estimate", "low", "high", "p"]
COLUMNS += ["n_questions", "n_traces", "n_excluded"]
"""Of the findings that are printed as JSON."""
SAVINGS = ("mean_samples", "saved")
"""Columns that stopping rules' findings have beside the others'."""
FINDINGS = "Estimates with 95% intervals over n questions:"
WIDTH = 80
"""Characters a line of the sentences at the end."""


def run(
    experiment: Path,
    /,
    *,
    out: Path | None = None,
    on: Path | None = None,
    dataset: str | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Run an experiment file. A stage whose tables are current is not done again.

    Parameters
    ----------
    experiment
        A TOML file; see experiments/README.md.
    out
        The run's folder, instead of the file's.
    on
        An existing run: nothing is sampled, and the file's analyses are done on it.
    dataset
        Sampled instead of the file's dataset, into a folder of its own (needs --out).
    """
    listen()
    done = analysis.run_experiment(experiment, out, on, dataset)
    stages = load_experiment(experiment).stages
    found = [row for row in _findings(done) if row["analysis"] in stages]
    result = {"run": done.path, "tables": done.tables(), "findings": found}
    if output.json:
        emit(output, result)
        return
    if "curve" in stages:
        emit(output, {}, rows=_by_n(done), note="Expected accuracy by number of samples, n.\n")
    for name in stages:
        own = [row for row in found if row["analysis"] == name]
        if own and name != "curve":
            emit(output, {}, rows=[_shown(row) for row in own], note=f"{FINDINGS} cot {name}.\n")
    emit(output, {}, note=_ending(done))


def demo(
    *,
    out: Path = Path("runs/demo"),
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Run the whole pipeline on the bundled model: `cot run experiments/00_demo.toml`.

    It ends with a short summary, the address of the page, and commands to try next.

    Parameters
    ----------
    out
        The run's folder.
    """
    listen()
    with as_file(files("experiments") / "00_demo.toml") as path:
        done = analysis.run_experiment(path, out)
    rows = _findings(done)
    accuracy = {
        row["subject"]: row["estimate"]
        for row in rows
        if row["analysis"] == "vote" and row["measure"] == "accuracy" and not row["baseline"]
    }
    report = done.path / "report.html"
    result = {"run": done.path, "report": report, "accuracy": accuracy, "findings": rows}
    emit(output, result, note=_ending(done))


def export(
    run: Path,
    /,
    *,
    to: str,
    out: Path | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Write questions, traces and tables as files for other tools.

    Parameters
    ----------
    run
        The run's folder.
    to
        parquet, csv (formulas defused) or jsonl.
    out
        A folder; by default export/ inside the run.
    """
    listen()
    written = analysis.export(open_run(run), to=to, out=out)
    emit(output, {"files": written}, rows=[{"file": path} for path in written])


def _by_n(run: Run) -> list[dict[str, object]]:
    """Accuracy of each rule (rows) at each n (columns)."""
    curve = run.table("curve")
    return [
        {
            "rule": rule,
            **{f"n={n}": value for n, value in zip(rows["n"], rows["accuracy"], strict=True)},
        }
        for rule, rows in curve.groupby("rule", sort=False)
    ]


def _findings(run: Run) -> list[dict[str, Any]]:
    """The findings of every analysis, in the order of the tables' names."""
    rows: list[dict[str, Any]] = []
    for table in run.tables():
        if table.startswith("findings_"):
            findings = run.table(table)
            kept = [*COLUMNS, *(name for name in SAVINGS if name in findings)]
            rows += findings[kept].to_dict("records")
    return rows


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A finding in few columns: what it is of in one, its numbers in the others."""
    of = f"{row['measure']}: {row['subject']}" if row["subject"] else row["measure"]
    than = f" − {row['baseline']}" if row["baseline"] else ""
    names = ["estimate", "low", "high", *(name for name in SAVINGS if name in row)]
    numbers = {name: row[name] for name in names}
    return {"finding": f"{of}{than}", **numbers, "n": row["n_questions"]}


def _ending(run: Run) -> str:
    """The run in about five sentences, the page's address, and what to type next."""
    lines = [textwrap.fill(printable(each), WIDTH) for each in summary(run)]
    if (run.path / "report.html").exists():
        lines += ["", "The page:", (run.path / "report.html").resolve().as_uri()]
    lines += ["", "Next:"]
    lines += [f"  {command}\n      {said}" for command, said in following_commands(run).items()]
    return "\n".join(lines)
