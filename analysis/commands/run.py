"""`cot run`, `cot demo` and `cot export`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import analysis
from analysis.catalogue import find
from analysis.experiments import Swept, load_experiment, plan_experiment
from analysis.summary import following_commands, summary
from cot.console import Output, emit, listen, printable
from cot.errors import InputError
from cot.sampling.sweep import failure, said
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
    dry_run: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Run an experiment file. A stage whose tables are current is not done again.

    A file with [sweep] makes a run of each of its points, in folders of their own, and compares
    them. A point that fails is named, the others go on, and the exit code is 1.

    Parameters
    ----------
    experiment
        A TOML file; see experiments/README.md.
    out
        The run's folder (or that of the sweep's runs), instead of the file's.
    on
        An existing run: nothing is sampled, and the file's analyses are done on it.
    dataset
        Sampled instead of the file's dataset, into a folder of its own (needs --out).
    dry_run
        Say what would be sampled, point by point, and write nothing.
    """
    listen()
    if dry_run:
        _print_plan(experiment, out, on, dataset, output)
        return
    if load_experiment(experiment).swept:
        if on is not None:
            raise InputError(
                f"--on: {experiment} has [sweep], whose runs are its own: leave it out"
            )
        _print_sweep(analysis.run_sweep(experiment, out, dataset), output)
        return
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


def _print_plan(
    experiment: Path, out: Path | None, on: Path | None, dataset: str | None, output: Output
) -> None:
    if on is not None:
        raise InputError("--dry-run: with --on nothing is sampled: leave one of them out")
    points, failed = plan_experiment(experiment, out, dataset)
    rows = [asdict(each) for each in points]
    tokens = sum(each.tokens for each in points)
    at_most = any(each.tokens_are == "at most" for each in points)
    note = (
        f"{len(points)} points; {sum(each.n_missing for each in points):,} traces are missing and "
        f"{sum(each.n_missing_greedy for each in points):,} greedy ones: "
        f"{'at most' if at_most else 'about'} {tokens:,} tokens to generate."
    )
    result = {"points": rows, "tokens": tokens, "failed": _messages(failed)}
    emit(output, result, rows=rows, note=note)
    if failed:
        raise failure(failed, len(points) + len(failed)) from next(iter(failed.values()))


def _print_sweep(done: Swept, output: Output) -> None:
    """The runs, what the comparison says, and the page's address."""
    runs = []
    for point in done.points:
        if point.name in done.runs:
            run = done.runs[point.name]
            runs.append(
                {
                    "run": point.name,
                    "path": run.path,
                    "settings": dict(point.given),
                    "n_questions": len(run.questions()),
                    "n_traces": len(run.traces([])),
                }
            )
    page = done.folder / "compare.html"
    result = {
        "out": done.folder,
        "runs": runs,
        "tables": sorted({table for run in done.runs.values() for table in run.tables()}),
        "failed": _messages(done.failed),
        "page": page if page.exists() else None,
    }
    if done.compared is None:
        emit(output, result, rows=_few_columns(runs))
    else:
        compare = find("compare")
        assert compare.show is not None
        shown = compare.show(done.compared, done.comparison)
        own = {key: value for key, value in shown.json.items() if key not in result}
        emit(output, {**result, **own}, rows=_few_columns(runs))
        if not output.json:
            for rows in shown.tables:
                emit(output, {}, rows=rows)
            emit(output, {}, note=shown.note)
            ending = ["", "The page:", page.resolve().as_uri()] if page.exists() else []
            ending += ["", "Next:", f"  cot show {done.folder}", "      the runs, side by side"]
            emit(output, {}, note="\n".join(ending))
    if done.failed:
        raise failure(done.failed, len(done.points)) from next(iter(done.failed.values()))
    if done.not_compared is not None:
        raise done.not_compared


def _few_columns(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{key: run[key] for key in ("run", "n_questions", "n_traces")} for run in runs]


def _messages(failed: Mapping[str, Exception]) -> dict[str, str]:
    return {name: said(error) for name, error in failed.items()}


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
