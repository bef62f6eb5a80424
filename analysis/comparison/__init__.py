"""Two runs of the same questions, question by question: two models, prompts or temperatures.

    >>> compare(open_run("runs/full"), "runs/int4")                              # doctest: +SKIP

A difference whose interval holds 0 is not shown to be one.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.catalogue import need
from analysis.comparison.paired_differences import compare_agreements, compare_curves
from analysis.curves import curves_of
from analysis.declaration import Shown, analysis
from cot.errors import InputError
from cot.store.run import Run, open_run

__all__ = ["compare"]

log = logging.getLogger("cot")


def _show(run: Run, table: pd.DataFrame) -> Shown:
    accuracy = table.to_dict("records")
    agreement = run.table("agreement_comparison").to_dict("records")
    return Shown(
        json={"differences": accuracy, "agreement": agreement},
        tables=[rows for rows in (accuracy, agreement) if rows],
    )


@analysis(
    makes={
        "curve_comparison": "difference of expected accuracy at each n, paired by question",
        "agreement_comparison": "difference of agreement, suspicion and kinds, paired by question",
    },
    choices={"rule": "votes"},
    show=_show,
)
def compare(
    run: Run,
    other: str | Path,
    rule: Sequence[str] = ("majority",),
    n: Sequence[int] | None = None,
    order: str = "random",
    subsets: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare two runs of the same questions, paired by question id.

    Writes `curve_comparison` and `agreement_comparison` into the first run, and returns the first
    of the two; see `compare_curves` and `compare_agreements`. Agreement is compared where both runs
    have the table `agreement`; otherwise its table is empty, and that is said.

    Args:
        other: the second run's folder.
        rule: vote rules, or pass@k.
        n: numbers of samples; by default 1, 2, 3, 5, 8, 12, 16, 24, 32, 40, ... up to all.
        order: random takes the mean over random subsets, file the first n traces.
        subsets: random subsets per question, where accuracy has no closed form; at least 200.
        seed: seed of the subsets and the bootstrap.

    Raises:
        InputError: as `curve`; no question with gold in both runs.
    """
    second = open_run(other)
    mine = curves_of(run, rule, n, order, subsets, seed)
    with second.lock():
        theirs = curves_of(second, rule, n, order, subsets, seed)
    run.reads(_file(second, "answers"))
    table = compare_curves(mine, theirs, seed)
    if not len(table) or not table["n_questions"].any():
        raise InputError(f"{run.path} and {second.path} have no question with gold in common")
    run.write_table("curve_comparison", table)
    missing = [each for each in (run, second) if "agreement" not in each.tables()]
    for each in missing:
        log.info("agreement is not compared: %s lacks it; cot agree makes it", each.path)
    agreements = pd.DataFrame()
    if not missing:
        run.reads(_file(second, "agreement"))
        both = need(run, "agreement"), need(second, "agreement")
        agreements = compare_agreements(*both, seed)
    run.write_table("agreement_comparison", agreements)
    return table


def _file(run: Run, table: str) -> str:
    return f"file:{(run.path / 'tables' / table).resolve()}.parquet"
