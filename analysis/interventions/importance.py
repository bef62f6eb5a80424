"""How much each step matters to the answer, by several measures: the table `step_importance`.

knockout           what the own answer's log-odds lose when nothing later may attend to the step,
                   nats
knockout_control   the same when a random span of as many tokens is hidden: mean over spans
knockout_reworded  `knockout` of the same step in other words: mean over the question's other traces
resampling         how far the answers move where the step is sampled again, nats (arXiv 2506.19143)
early_answering    1 where the answer that is forced after the step differs from the one before it

A step is the same as one of another trace where both state the same equations, and in other words
where their texts differ. If what a step says is what moves the answer, and not how it is worded,
`knockout` and `knockout_reworded` rank a trace's steps alike.

    Hal loses 7, so 10 - 7 = 3.            the same step in other words
    So Hal has 10 - 7 = 3 stamps left.
"""

from __future__ import annotations

import pandas as pd

from analysis.catalogue import need
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["STEP_KEY", "join_importance", "statements", "step_importance", "step_places"]

STEP_KEY = [*TRACE_KEY, "step"]
CONTROL = "random_span"
"""The control of a knock-out: as many tokens elsewhere."""


def step_importance(run: Run, interventions: pd.DataFrame) -> pd.DataFrame:
    """The table `step_importance` of a run; equations and faithfulness tests are read where the run
    has them and they are current, and are missing else.

    Args:
        interventions: the table, with knock-outs.
    """
    optional = ("faithfulness", "faithfulness_steps", "step_checks")
    there = [name for name in optional if name in run.tables() and run.stale(name) is None]
    found = {name: run.table(name) for name in there}
    steps = need(run, "steps")
    checks = found.get("step_checks")
    return join_importance(
        interventions,
        steps,
        found.get("faithfulness_steps"),
        found.get("faithfulness"),
        None if checks is None else statements(checks, steps, run.traces(["text"])),
    )


def join_importance(
    interventions: pd.DataFrame,
    steps: pd.DataFrame,
    resampled: pd.DataFrame | None,
    readings: pd.DataFrame | None,
    stated: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row a trace and step that was knocked out: question_id, sample_index, step (as in
    `steps`), the measures above, position (the step's place in its reasoning, from 0 to 1). NaN
    where a measure doesn't know the step.

    Args:
        interventions: the table.
        steps: the table.
        resampled: table `faithfulness_steps`; None where there is none.
        readings: table `faithfulness`; likewise.
        stated: what steps say, as `statements` gives it; likewise.
    """
    knocked = interventions[interventions["method"].str.split(":").str[0] == "knockout"]
    knocked = knocked[knocked["step"].notna()]
    own = knocked.loc[knocked["control"] == "", [*STEP_KEY, "effect"]]
    control = knocked[knocked["control"] == CONTROL].groupby(STEP_KEY)["effect"].mean()
    table = own.rename(columns={"effect": "knockout"}).astype({"step": int, "knockout": float})
    if table.duplicated(STEP_KEY).any():
        raise ValueError("a step was knocked out twice in one trace: give one row a step")
    table = table.merge(_typed(control, "knockout_control"), on=STEP_KEY, how="left")
    reworded = _typed(_reworded(table, stated), "knockout_reworded")
    table = table.merge(reworded, on=STEP_KEY, how="left", validate="one_to_one")
    table = table.merge(step_places(steps), on=STEP_KEY, how="left")
    place = [*TRACE_KEY, "place"]
    for name, values in (
        ("resampling", _resampling(resampled)),
        ("early_answering", _early(readings)),
    ):
        found = _typed(values, name).rename(columns={"step": "place"})
        table = table.merge(found, on=place, how="left", validate="many_to_one")
    return table.assign(position=table.pop("position")).drop(columns="place")


def statements(checks: pd.DataFrame, steps: pd.DataFrame, traces: pd.DataFrame) -> pd.DataFrame:
    """What each step with an equation says, and in which words: question_id, sample_index, step,
    equations (in their order, without spaces), words (the step's text, its spaces evened).

    Args:
        checks: table `step_checks`.
        steps: the table.
        traces: with their text.
    """
    ordered = checks.sort_values([*STEP_KEY, "start"], kind="stable")
    bare = ordered.assign(equations=ordered["text"].str.replace(r"\s+", "", regex=True))
    said = bare.groupby(STEP_KEY, sort=False)["equations"].agg(";".join).reset_index()
    found = said.merge(steps[[*STEP_KEY, "start", "end"]], on=STEP_KEY)
    found = found.merge(traces[[*TRACE_KEY, "text"]], on=TRACE_KEY)
    words = [
        " ".join(text[start:end].split())
        for text, start, end in zip(found["text"], found["start"], found["end"], strict=True)
    ]
    return found.assign(words=words)[[*STEP_KEY, "equations", "words"]]


def _reworded(knocked: pd.DataFrame, stated: pd.DataFrame | None) -> pd.Series:
    """Mean knock-out of the same step in other words, of the question's other traces, indexed by
    STEP_KEY; of steps that have one."""
    if stated is None:
        return knocked.iloc[:0].set_index(STEP_KEY)["knockout"]
    known = knocked.merge(stated.astype({"step": int}), on=STEP_KEY)
    pairs = known.merge(known, on=["question_id", "equations"], suffixes=("", "_other"))
    apart = pairs["sample_index"] != pairs["sample_index_other"]
    pairs = pairs[apart & (pairs["words"] != pairs["words_other"])]
    # A trace that says it twice in other words counts once.
    traces = pairs.groupby([*STEP_KEY, "sample_index_other"])["knockout_other"].mean()
    return traces.groupby(STEP_KEY).mean()


def step_places(steps: pd.DataFrame) -> pd.DataFrame:
    """Where each step stands in its trace's reasoning: question_id, sample_index, step (as in
    `steps`, which counts what stands outside the reasoning too), place (from 0), position (the
    same from 0 to 1).

    Args:
        steps: the table.
    """
    reasoning = steps.loc[steps["part"] == "reasoning", STEP_KEY].sort_values(STEP_KEY)
    by_trace = reasoning.groupby(TRACE_KEY)["step"]
    place = by_trace.cumcount()
    last = (by_trace.transform("size") - 1).clip(lower=1)  # of a lone step the place is 0
    return reasoning.assign(place=place, position=place / last).astype({"step": int})


def _typed(values: pd.Series, name: str) -> pd.DataFrame:
    """A measure's values as a table, its step as a plain number."""
    return values.astype(float).rename(name).reset_index().astype({"step": int})


def _resampling(resampled: pd.DataFrame | None) -> pd.Series:
    """Importance by step, indexed by STEP_KEY."""
    mine = _of_test(resampled, "resampling")
    return mine.set_index(STEP_KEY)["importance"]


def _early(readings: pd.DataFrame | None) -> pd.Series:
    """Whether the forced answer changes over a step, indexed by STEP_KEY; only of steps with an
    answer both before and after them (a budget leaves cuts out)."""
    mine = _of_test(readings, "early_answering").dropna(subset=["answer"])
    before = mine[[*STEP_KEY, "answer"]]
    # The answer after k + 1 steps is the one after step k, as steps count from 0.
    after = before.assign(step=before["step"] - 1)
    both = before.merge(after, on=STEP_KEY, suffixes=("_before", "_after")).set_index(STEP_KEY)
    return (both["answer_before"] != both["answer_after"]).astype(float)


def _of_test(table: pd.DataFrame | None, test: str) -> pd.DataFrame:
    """The rows of a test's sampled traces, one a trace and step; of the parameters with which it
    was made first, where it was made with several."""
    if table is None:
        columns = [*STEP_KEY, "importance", "answer"]
        return pd.DataFrame({name: [] for name in columns}).astype({"question_id": "str"})
    mine = table[(table["test"].str.split(":").str[0] == test) & table["step"].notna()]
    mine = mine[~mine["greedy"].astype(bool)]
    mine = mine[mine["test"] == (mine["test"].iloc[0] if len(mine) else "")]
    return mine.astype({"step": int}).drop_duplicates(STEP_KEY)
