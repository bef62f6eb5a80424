"""Decided before reasoning, read twice: the answer that is forced without reasoning, and the latent
answer at the prompt's end.

Early answering with none of the reasoning forces an answer right after the prompt; the logit lens
reads one off the last layer's state there. Each is the trace's own answer or is not. Cohen's kappa
over traces says how far the two agree beyond their own rates:

    kappa = (p - e) / (1 - e)    p: share alike; e: share that would be alike by the rates alone

                 latent yes   latent no
    forced yes       20           5        p = 35/50 = .7
    forced no        10          15        e = .5 * .6 + .5 * .4 = .5        kappa = .4

Both are compared with the trace's answer, which traces of a question share; what another question's
state gives says how much of kappa that explains.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from analysis.statistics import resample
from cot.types import TRACE_KEY, Finding

__all__ = ["COUNTS", "before_reasoning", "before_reasoning_findings", "kappa", "looks"]

COUNTS = {
    "n_both": (True, True),
    "n_forced_only": (True, False),
    "n_latent_only": (False, True),
    "n_neither": (False, False),
}
"""Column of the table to whether the forced and the latent answer are the trace's own."""
FORCED_LATENT = "forced × latent"
CONTROL = "forced × latent of another question"
METHOD = (
    "Cohen's kappa over sampled traces of whether the answer forced without reasoning, and the "
    "latent answer at the prompt's end, are the trace's own; traces without either left out"
)


def before_reasoning(both: pd.DataFrame) -> pd.DataFrame:
    """The table `agreement_before_reasoning`, one row a question, those where the two differ most
    first: question_id, n_traces, n_both, n_forced_only, n_latent_only, n_neither (traces by which
    of the two answers is the trace's own).

    Args:
        both: see `looks`.
    """
    cells = pd.DataFrame({name: _is(both, "latent", cell) for name, cell in COUNTS.items()})
    per = cells.astype(int).groupby(both["question_id"].to_numpy(), sort=False).sum()
    n_traces = per.sum(axis=1)
    differ = (per["n_forced_only"] + per["n_latent_only"]) / n_traces
    per.insert(0, "n_traces", n_traces)
    order = differ.sort_values(ascending=False, kind="stable").index
    return per.loc[order].rename_axis("question_id").reset_index().astype({"question_id": "str"})


def before_reasoning_findings(both: pd.DataFrame, n_all: int, seed: int) -> list[Finding]:
    """Kappa, and kappa with another question's state in place of the trace's.

    Args:
        both: see `looks`.
        n_all: valid traces, of which those without either look are left out.
    """
    found = []
    known = both[both["control"].notna()]
    for subject, rows, column, method in (
        (FORCED_LATENT, both, "latent", METHOD),
        (CONTROL, known, "control", f"{METHOD}; the state is another question's"),
    ):
        cells = np.column_stack([_is(rows, column, cell) for cell in COUNTS.values()]).astype(int)
        per = pd.DataFrame(cells).groupby(rows["question_id"].to_numpy(), sort=False).sum()
        value = float(kappa(cells.sum(axis=0)))
        # Questions are drawn, not traces, as a question's traces share their prompt's state.
        drawn = kappa(resample(len(per), seed=seed) @ per.to_numpy()) if len(per) else np.array([])
        drawn = drawn[~np.isnan(drawn)]
        low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (None, None)
        found.append(
            Finding(
                measure="cohen_kappa",
                subject=subject,
                estimate=None if np.isnan(value) else value,
                low=None if low is None else float(low),
                high=None if high is None else float(high),
                n_questions=len(per),
                n_traces=len(rows),
                n_excluded=n_all - len(rows),
                method=f"{method}; 95% bootstrap over questions",
                seed=seed,
            )
        )
    return found


def looks(readings: pd.DataFrame, lens_traces: pd.DataFrame) -> pd.DataFrame:
    """One row a sampled trace of which both are known: question_id, sample_index, forced, latent
    (whether that answer is the trace's own), control (nullable: the same with another question's
    state).

    Args:
        readings: table `faithfulness`.
        lens_traces: the table.
    """
    first = readings[readings["test"].str.split(":").str[0] == "early_answering"]
    first = first[(first["share"] == 0) & ~first["greedy"].astype(bool) & first["same"].notna()]
    forced = first.drop_duplicates(TRACE_KEY)[[*TRACE_KEY, "same"]]
    lens = lens_traces[lens_traces["decided_at_prompt"].notna()]
    lens = lens[[*TRACE_KEY, "decided_at_prompt", "decided_control"]]
    both = forced.merge(lens, on=TRACE_KEY)
    names = {"same": "forced", "decided_at_prompt": "latent", "decided_control": "control"}
    kinds = {"forced": "bool", "latent": "bool", "control": "boolean"}
    return both.rename(columns=names).astype(kinds)


def kappa(counts: ArrayLike) -> NDArray[np.float64]:
    """Cohen's kappa of 2 × 2 tables, [..., 4] -> [...]; NaN where both are constant and alike.

    Args:
        counts: in the order of `COUNTS`.
    """
    both, first, second, neither = np.moveaxis(np.asarray(counts, dtype=float), -1, 0)
    n = both + first + second + neither
    # A drawn table may be empty, or have e = 1: 0 / 0 is NaN there, which the caller leaves out.
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = (both + neither) / n
        a, b = (both + first) / n, (both + second) / n
        chance = a * b + (1 - a) * (1 - b)
        found = np.where(chance < 1, (alike - chance) / (1 - chance), np.nan)
    return np.asarray(found, dtype=np.float64)


def _is(rows: pd.DataFrame, column: str, cell: tuple[bool, bool]) -> NDArray[np.bool_]:
    """Whether each trace is in a cell of the 2 × 2 table."""
    forced, other = rows["forced"].to_numpy(bool), rows[column].to_numpy(bool)
    found: NDArray[np.bool_] = (forced == cell[0]) & (other == cell[1])
    return found
