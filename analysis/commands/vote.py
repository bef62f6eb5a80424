"""`cot vote` and `cot curve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import analysis
from cot.console import Output, emit, listen
from cot.errors import InputError
from cot.run import open_run

__all__ = ["curve", "vote"]


def vote(
    run: Path,
    /,
    *,
    rule: tuple[str, ...] = ("majority",),
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Vote on each question's answer; accuracy beside that of a single trace.

    Parameters
    ----------
    run
        The run's folder.
    rule
        A vote rule: majority; may be given again.
    seed
        Of the bootstrap.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        analysis.vote(opened, rules=rule, seed=seed)
    findings = opened.table("findings_vote").set_index("name")
    names = {"estimate": "accuracy"}
    columns = ["estimate", "low", "high", "n_questions", "ties", "abstained", "excluded"]
    table = findings[columns].rename(columns=names)
    rows = [{"rule": name, **row} for name, row in table.to_dict("index").items()]
    by_name = {row["rule"]: row for row in rows}
    result = {
        "rules": [by_name[each] for each in rule],
        "single": by_name["single"]["accuracy"],
        "greedy": by_name["greedy"]["accuracy"] if "greedy" in by_name else None,
        "gains": [row for name, row in by_name.items() if name.endswith(" - single")],
    }
    emit(output, result, rows=rows)


def curve(
    run: Path,
    /,
    *,
    rule: tuple[str, ...] = ("majority",),
    n: Annotated[str | None, Parameter(name=("-n", "--n"))] = None,
    order: str = "random",
    subsets: int = 200,
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Expected accuracy against the number of samples.

    Parameters
    ----------
    run
        The run's folder.
    rule
        A vote rule; may be given again.
    n
        Numbers of samples, such as 1,5,10; a spread up to all by default.
    order
        random: the mean over random subsets; file: the first n.
    subsets
        Random subsets a question.
    seed
        Of subsets and bootstrap.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        table = analysis.curve(
            opened, rules=rule, n=_counts(n), order=order, subsets=subsets, seed=seed
        )
    points = table.to_dict("records")
    shown = ("rule", "n", "accuracy", "low", "high", "n_questions", "method")
    emit(output, {"points": points}, rows=[{name: row[name] for name in shown} for row in points])


def _counts(n: str | None) -> list[int] | None:
    if n is None:
        return None
    try:
        return [int(part) for part in n.split(",")]
    except ValueError:
        raise InputError(
            f"-n is {n!r}: whole numbers separated by commas, such as 1,5,10"
        ) from None
