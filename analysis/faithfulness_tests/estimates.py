"""The numbers of each test, each beside what would be seen anyway.

`findings_faithfulness`, over traces, with 95% intervals by bootstrap over questions. The subject is
the test as typed. Of each test:

- the headline, whose measure the test names (`area_over_curve`): the mean value (1: the answer
  depends on the reasoning wholly, or what the test says);
- `same_answer`: how often the answer stays the same, with `baseline_estimate` beside it: where the
  test has a control, the same reasoning unchanged and sampled again (baseline `control`); else how
  often another trace of the question states the same answer (baseline `other traces`).
  Faithfulness is measured against that, not against 1;
- `baseline_same_answer`: that baseline, over the traces whose answer is known;
- `same_answer` with a baseline: the paired difference;
- `same_correctness`: how often right stays right and wrong wrong (a wrong answer that turns into
  another wrong one is the same here);
- `steps_looked_at`, of a test that goes step by step: the share of a trace's steps at which it
  asked, as its budget leaves some out;
- the headline of kind `greedy`: the value over greedy traces only, as the papers measure it;

and what the test adds of its own. Columns: those of a table of findings, then kind (of a hint, of
an unfit rewording; `greedy` for greedy traces; else empty), headline (whether it is the test's mean
value over sampled traces) and baseline_estimate.

`faithfulness_curves`, one row a point: test, greedy (whether of the greedy traces), n_steps (Int64;
missing for all lengths together), share, same (rate of the trace's answer), low, high,
same_correctness, n_traces, n_questions, other_traces, other_traces_low, other_traces_high (how
often another trace of the question states the answer, over all traces of the test's curve: the same
at each of its points), seed. A trace's curve has a point after each of its steps; over all lengths
it is read off between them in a straight line, at ten equal shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from analysis.faithfulness_tests.contract import FaithfulnessTest, rate
from analysis.faithfulness_tests.result_tables import Measured
from analysis.findings import as_table
from analysis.statistics import ratio_interval
from cot.types import TRACE_KEY, Finding

__all__ = ["curves", "findings", "same_answers"]

OVER = "mean over traces; 95% bootstrap over questions"
GRID = np.linspace(0, 1, 11)
"""Shares at which curves of all lengths together are read off."""
CURVES = ["test", "greedy", "n_steps", "share", "same", "low", "high", "same_correctness"]
CURVES += ["n_traces", "n_questions", "other_traces", "other_traces_low", "other_traces_high"]
CURVES += ["seed"]


# -- findings ------------------------------------------------------------------------------------


def findings(
    measured: Sequence[Measured], readings: pd.DataFrame, traces: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """The table `findings_faithfulness`."""
    found: list[Finding] = []
    subjects: list[str] = []
    headlines: list[bool] = []
    baselines: list[float] = []
    for each in measured:
        mine = readings[readings["test"] == each.spec]
        own = traces[traces["test"] == each.spec]
        some = _of_every_test(each.test, mine, own, seed)
        added = list(each.test.findings(mine, own, seed))
        found += [finding for finding, _ in some] + added
        baselines += [baseline for _, baseline in some] + [np.nan] * len(added)
        headlines += [True] + [False] * (len(some) - 1 + len(added))
        subjects += [each.spec] * (len(some) + len(added))
    table = as_table("faithfulness", found)
    return table.assign(
        kind=table["subject"], subject=subjects, headline=headlines, baseline_estimate=baselines
    )


def _of_every_test(
    test: FaithfulnessTest, readings: pd.DataFrame, traces: pd.DataFrame, seed: int
) -> list[tuple[Finding, float]]:
    """The findings that every test has, each with its baseline's estimate; the headline first."""
    sampled, greedy = traces[~traces["greedy"]], traces[traces["greedy"]]
    method = f"1: {test.one}; {OVER}"
    value = rate(test.measure, sampled["value"], sampled["question_id"], method=method, seed=seed)
    found = [(value, np.nan)]
    per = same_answers(readings[~readings["greedy"]], sampled)
    baseline = per["baseline"].where(per["same"].notna())
    controlled = per["controlled"].any()
    beside = "control" if controlled else "other traces"
    values = [
        ("same_answer", "", per["same"]),
        ("baseline_same_answer", "", baseline),
        ("same_answer", beside, per["same"] - per["baseline"]),
        ("same_correctness", "", per["same_correctness"]),
    ]
    of = "the same with nothing changed" if controlled else "the question's others"
    for measure, less, each in values:
        method = f"answers as the trace's; baseline: {of}; {OVER}"
        finding = rate(measure, each, per["question_id"], baseline=less, method=method, seed=seed)
        own = measure == "same_answer" and not less
        found.append((finding, float(baseline.mean()) if own else np.nan))
    if sampled["looked_at"].notna().any():
        method = "share of a trace's steps, of those where the change can be made, that were asked "
        method += f"about; the budget leaves out the others; {OVER}"
        looked_at, of = sampled["looked_at"], sampled["question_id"]
        found.append((rate("steps_looked_at", looked_at, of, method=method, seed=seed), np.nan))
    if len(greedy):
        finding = rate(
            test.measure,
            greedy["value"],
            greedy["question_id"],
            kind="greedy",
            method=f"of greedy traces alone; {OVER}",
            seed=seed,
        )
        found.append((finding, np.nan))
    return found


def same_answers(readings: pd.DataFrame, traces: pd.DataFrame) -> pd.DataFrame:
    """One row a trace: question_id, same, same_correctness (means over its readings, NaN where none
    has an answer), baseline, controlled (whether the baseline is the test's control)."""
    columns = ["same", "same_correctness"]
    numbers = readings[TRACE_KEY + columns].astype(dict.fromkeys(columns, "Float64"))
    means = numbers[~readings["control"]].groupby(TRACE_KEY)[columns].mean().astype(float)
    control = numbers[readings["control"]].groupby(TRACE_KEY)["same"].mean().astype(float)
    per = (
        traces[[*TRACE_KEY, "other_traces"]]
        .join(means, on=TRACE_KEY)
        .join(control.rename("control"), on=TRACE_KEY)
    )
    controlled = bool(readings["control"].any())
    return per.assign(
        baseline=per["control"] if controlled else per["other_traces"], controlled=controlled
    )


# -- curves --------------------------------------------------------------------------------------


def curves(readings: pd.DataFrame, traces: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The table `faithfulness_curves`: of the tests that keep shares of the reasoning, over the
    traces whose points all have an answer.

    Args:
        readings: table `faithfulness`.
        traces: table `faithfulness_traces`.
    """
    shared = readings[readings["share"].notna() & ~readings["control"]]
    each_trace = ["test", "greedy", *TRACE_KEY]
    # A trace without one of its points would move the curve's other points against that one.
    whole = shared.groupby(each_trace)["same"].transform(lambda same: same.notna().all())
    shared = shared[whole.to_numpy(bool)]
    rows: list[dict[str, object]] = []
    for (test, greedy), mine in shared.groupby(["test", "greedy"], sort=False):
        own = traces[(traces["test"] == test) & (traces["greedy"] == greedy)]
        beside = _other_traces(own.merge(mine[TRACE_KEY].drop_duplicates(), on=TRACE_KEY), seed)
        for n_steps, points in _by_length(mine):
            for share, at in points.groupby("share"):
                rows.append(
                    {
                        "test": test,
                        "greedy": greedy,
                        "n_steps": n_steps,
                        "share": share,
                        **_rate_at(at, seed),
                        **beside,
                    }
                )
    frame = pd.DataFrame(rows, columns=CURVES)
    return frame.astype({"n_steps": "Int64", "greedy": bool, "test": "str", "share": float})


def _other_traces(traces: pd.DataFrame, seed: int) -> dict[str, float]:
    """How often another trace of the question states the same answer."""
    known = traces[traces["other_traces"].notna()]
    per = known.groupby("question_id")["other_traces"].agg(["sum", "size"])
    low, high = ratio_interval(per["sum"], per["size"], seed=seed) if len(per) else (np.nan,) * 2
    return {
        "other_traces": float(known["other_traces"].mean()),
        "other_traces_low": float(low),
        "other_traces_high": float(high),
    }


def _by_length(mine: pd.DataFrame) -> Iterator[tuple[int | None, pd.DataFrame]]:
    """All lengths on the grid, then each length at its own points."""
    mine = mine[[*TRACE_KEY, "n_steps", "share", "same", "same_correctness"]]
    mine = mine.astype({"same": float, "same_correctness": float})
    grids = []
    for (question_id, index), trace in mine.groupby(TRACE_KEY, sort=False):
        known = trace.sort_values("share")
        # np.interp would draw a single point out to a line over all shares.
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


def _rate_at(at: pd.DataFrame, seed: int) -> dict[str, object]:
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
