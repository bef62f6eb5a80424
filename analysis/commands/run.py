"""`cot run`, `cot demo` and `cot export`."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import analysis
from analysis.experiments import load_experiment
from cot.console import Output, emit, listen
from cot.store.run import Run, open_run

__all__ = ["demo", "export", "run"]

SAVINGS = ("mean_samples", "saved")
"""Columns that stopping rules' findings have beside the others'."""


def run(
    experiment: Path,
    /,
    *,
    out: Path | None = None,
    on: Path | None = None,
    dataset: str | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Run an experiment file; what is there already and current is not done again.

    Parameters
    ----------
    experiment
        A TOML file; see experiments/README.md.
    out
        The run's folder, instead of the file's.
    on
        A run that there is: nothing is sampled, and the file's other stages are done on it.
    dataset
        Sampled instead of the file's dataset, into a folder of its own: give --out too.
    """
    listen()
    done = analysis.run_experiment(experiment, out, on, dataset)
    stages = load_experiment(experiment).stages
    found = [row for row in _headlines(done) if str(row["table"])[len("findings_") :] in stages]
    result = {"run": done.path, "tables": done.tables(), "findings": found}
    if "curve" in stages and not output.json:
        emit(output, {}, rows=_by_n(done))
    shown = ["name", "estimate", "low", "high", "n_questions", "n_excluded"]
    shown += [name for name in SAVINGS if any(name in row for row in found)]
    rows = [
        {key: row.get(key) for key in shown} for row in found if row["table"] != "findings_curve"
    ]
    emit(output, result, rows=rows, note=str(done.path))


def demo(
    *,
    out: Path = Path("runs/demo"),
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """The whole pipeline on the bundled model: `cot run` on the bundled experiments/00_demo.toml.

    Parameters
    ----------
    out
        The run's folder.
    """
    listen()
    with as_file(files("experiments") / "00_demo.toml") as path:
        done = analysis.run_experiment(path, out)
    rows = _headlines(done)
    accuracy = {row["name"]: row["estimate"] for row in rows if row["table"] == "findings_vote"}
    report = done.path / "report.html"
    result = {"run": done.path, "report": report, "accuracy": accuracy, "findings": rows}
    shown = ("name", "estimate", "low", "high", "n_questions", "n_excluded")
    emit(
        output, result, rows=[{name: row[name] for name in shown} for row in rows], note=str(report)
    )


def export(
    run: Path,
    /,
    *,
    to: str,
    out: Path | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Write questions, traces and tables for elsewhere.

    Parameters
    ----------
    run
        The run's folder.
    to
        parquet, csv (formulas defused) or jsonl.
    out
        A folder; export/ inside the run by default.
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


def _headlines(run: Run) -> list[dict[str, object]]:
    """The headline numbers of every command, in order."""
    columns = ["name", "estimate", "low", "high", "n_questions", "n_traces", "n_excluded"]
    rows: list[dict[str, object]] = []
    for table in run.tables():
        if table.startswith("findings_"):
            findings = run.table(table)
            kept = [*columns, *(name for name in SAVINGS if name in findings)]
            rows += [{"table": table, **row} for row in findings[kept].to_dict("records")]
    return rows
