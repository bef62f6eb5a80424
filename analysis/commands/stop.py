"""`cot stop`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

import analysis.stopping
from cot.console import Output, emit, listen
from cot.registry import describe
from cot.store.run import open_run

__all__ = ["stop"]

RULES = f"""A stopping rule, asc_beta by default; may be given again.
With parameters: --rule esc:window=4

{describe("stops")}
package.module:name
  Your own: see cot.stopping."""


def stop(
    run: Path,
    /,
    *,
    rule: Annotated[tuple[str, ...], Parameter(help=RULES, show_default=False)] = ("asc_beta",),
    order: str = "random",
    permutations: int = 100,
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Replay stopping rules on the stored traces: accuracy against what each saves.

    Parameters
    ----------
    run
        The run's folder.
    order
        random: the mean over permutations of each question's traces, with file order beside; file:
        by sample_index only.
    permutations
        Random orders, at least 100.
    seed
        Of permutations and bootstrap.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        analysis.stopping.stop(
            opened, rules=rule, order=order, permutations=permutations, seed=seed
        )
    findings = opened.table("findings_stop").set_index("name")
    table = findings.rename(columns={"estimate": "accuracy"})
    records = {name: {"rule": name, **row} for name, row in table.to_dict("index").items()}
    bare = ("rule", "accuracy", "low", "high", "n_questions", "n_excluded", "method")
    others = {
        name: {key: row[key] for key in bare} for name, row in records.items() if name not in rule
    }
    result = {
        "rules": [records[name] for name in rule],
        "all": others["all"],
        "gains": [row for name, row in others.items() if name.endswith(" - all")],
    }
    columns = ("accuracy", "low", "high", "mean_samples", "saved", "tokens_saved")
    beside = ("file_accuracy", "file_mean_samples", "file_saved")
    shown = ("rule", *columns, *(beside if order == "random" else ()))
    rows = [{name: row[name] for name in shown} for row in records.values()]
    emit(output, result, rows=rows)
