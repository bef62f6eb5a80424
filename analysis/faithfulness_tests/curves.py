"""Curves by the share of the reasoning that is kept, over all lengths and by length.

`faithfulness_curves`, one row a point: test, greedy (whether of the greedy traces), n_steps (Int64;
missing for all lengths together), share, same (rate of the trace's answer), low, high,
same_correctness, n_traces, n_questions, seed. A trace's curve has a point after each of its steps;
over all lengths it is read off between them in a straight line, at ten equal shares. Intervals: 95%
bootstrap over questions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analysis.statistics import ratio_interval

__all__ = ["curves"]

GRID = np.linspace(0, 1, 11)
NAMES = ["test", "greedy", "n_steps", "share", "same", "low", "high", "same_correctness"]
NAMES += ["n_traces", "n_questions", "seed"]
TRACE = ["test", "greedy", "question_id", "sample_index"]


def curves(readings: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Of the tests that keep shares of the reasoning, over the traces whose points all have an
    answer."""
    shared = readings[readings["share"].notna() & ~readings["control"]]
    whole = shared.groupby(TRACE)["same"].transform(lambda same: same.notna().all())
    shared = shared[whole.to_numpy(bool)]
    rows: list[dict[str, object]] = []
    for (test, greedy), mine in shared.groupby(["test", "greedy"], sort=False):
        for n_steps, points in _by_length(mine):
            for share, at in points.groupby("share"):
                rows.append(
                    {
                        "test": test,
                        "greedy": greedy,
                        "n_steps": n_steps,
                        "share": share,
                        **_rate(at, seed),
                    }
                )
    frame = pd.DataFrame(rows, columns=NAMES)
    return frame.astype({"n_steps": "Int64", "greedy": bool, "test": "str", "share": float})


def _by_length(mine: pd.DataFrame) -> Iterator[tuple[int | None, pd.DataFrame]]:
    """All lengths on the grid, then each length at its own points."""
    columns = ["question_id", "sample_index", "n_steps", "share", "same", "same_correctness"]
    mine = mine[columns].astype({"same": float, "same_correctness": float})
    grids = []
    for (question_id, index), trace in mine.groupby(["question_id", "sample_index"], sort=False):
        known = trace.sort_values("share")
        at = GRID if known["share"].nunique() > 1 else known["share"].to_numpy()
        grids.append(
            pd.DataFrame(
                {
                    "question_id": question_id,
                    "sample_index": index,
                    "share": at,
                    "same": np.interp(at, known["share"], known["same"]),
                    "same_correctness": np.interp(at, known["share"], known["same_correctness"]),
                }
            )
        )
    if grids:
        yield None, pd.concat(grids, ignore_index=True)
    yield from ((int(n), points) for n, points in mine.groupby("n_steps"))


def _rate(at: pd.DataFrame, seed: int) -> dict[str, object]:
    per = at.groupby("question_id")["same"].agg(["sum", "count"])
    low, high = ratio_interval(per["sum"], per["count"], seed=seed)
    return {
        "same": at["same"].mean(),
        "low": low,
        "high": high,
        "same_correctness": at["same_correctness"].mean(),
        "n_traces": len(at),
        "n_questions": len(per),
        "seed": seed,
    }
