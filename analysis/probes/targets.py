"""What a probe predicts, and which traces have it.

A missing, unparsed or truncated answer is not a wrong one: where a label needs an answer, such
traces are left out and counted. So are traces that were not replayed, or whose replay is flagged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from analysis.catalogue import need
from analysis.clusters.mask import mask_traces
from analysis.probes.labels import Labels
from analysis.voting import outcomes
from analysis.voting.rule import load_rule
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["TARGETS", "find_labels", "replayed", "without"]

INVALID = "without a valid answer"
TARGETS = {
    "correct": "the stated answer is right",
    "final_answer": "which of the question's choices the trace states",
    "majority": "the trace states its question's majority answer",
    "path": "the trace follows its question's largest reasoning path",
    "truncated": "the trace ran into the token limit",
    "hinted": "the same as meta:hinted",
    "step_value": "the gold value of a step of an arithmetic question, read at step_end",
    "answer_entropy": "the entropy of the question's answers, nats, read at prompt_end",
    "meta:NAME": "a boolean or a number that came with the traces",
}
"""Target to its meaning."""


def find_labels(run: Run, target: str) -> Labels:
    """The rows that have a label, and why the others don't count.

    Raises:
        InputError: an unknown target, or one that the run has nothing of.
    """
    from analysis.probes.values import answer_entropy, step_values

    if target in ("step_value", "answer_entropy"):
        return step_values(run) if target == "step_value" else answer_entropy(run)
    name = "meta:hinted" if target == "hinted" else target
    traces, excluded = replayed(run)
    if name.startswith("meta:") and name != "meta:":
        return _from_meta(run, target, name.removeprefix("meta:"), traces, excluded)
    if name not in READERS:
        raise InputError(f"unknown target {target!r}: choose from {', '.join(TARGETS)}")
    return READERS[name](run, traces, excluded)


def replayed(run: Run) -> tuple[pd.DataFrame, dict[str, int]]:
    """The run's traces with what labels are made from, and why the others were left out.

    Columns: question_id, sample_index, answer, correct, status, finish_reason, meta, majority (the
    question's, or None), wrong_majority (missing without gold), text (masked), characters, tokens.
    """
    answers = need(run, "answers")
    fidelity = need(run, "fidelity")[[*TRACE_KEY, "n_tokens", "flagged"]]
    votes = outcomes(answers, load_rule("majority"))
    votes = votes.rename(columns={"answer": "majority", "correct": "right"})
    traces = run.traces(["text", "finish_reason", "meta"]).rename(columns={"text": "whole"})
    traces = traces.merge(answers, on=TRACE_KEY, how="left").merge(
        fidelity, on=TRACE_KEY, how="left"
    )
    traces = traces.merge(votes[["question_id", "majority", "right"]], on="question_id", how="left")
    excluded: dict[str, int] = {}
    traces = without(traces, "not replayed", traces["n_tokens"].isna(), excluded)
    flagged = traces["flagged"].fillna(False).astype(bool)
    traces = without(traces, "replayed with too large a gap", flagged, excluded)
    traces = traces.assign(
        wrong_majority=~traces["right"].astype("boolean"),
        characters=traces["whole"].str.len(),
        tokens=traces["n_tokens"],
        text=mask_traces(traces["whole"], traces),
    )
    return traces, excluded


def without(
    rows: pd.DataFrame, reason: str, out: pd.Series[bool], excluded: dict[str, int]
) -> pd.DataFrame:
    """The rows less those that are out, which are counted under the reason."""
    if number := int(out.sum()):
        excluded[reason] = excluded.get(reason, 0) + number
    return rows[~out].reset_index(drop=True)


def _correct(run: Run, traces: pd.DataFrame, excluded: dict[str, int]) -> Labels:
    traces = without(traces, INVALID, traces["status"] != "ok", excluded)
    traces = without(traces, "without gold", traces["correct"].isna(), excluded)
    return Labels(
        target="correct", rows=traces.assign(y=traces["correct"].astype(bool)), excluded=excluded
    )


def _majority(run: Run, traces: pd.DataFrame, excluded: dict[str, int]) -> Labels:
    traces = without(traces, INVALID, traces["status"] != "ok", excluded)
    rows = traces.assign(y=(traces["answer"] == traces["majority"]).astype(bool))
    return Labels(target="majority", rows=rows, excluded=excluded)


def _truncated(run: Run, traces: pd.DataFrame, excluded: dict[str, int]) -> Labels:
    unknown = ~traces["finish_reason"].isin(["stop", "length"])
    traces = without(traces, "without a reason why they ended", unknown, excluded)
    rows = traces.assign(y=(traces["finish_reason"] == "length").astype(bool))
    return Labels(target="truncated", rows=rows, excluded=excluded)


def _path(run: Run, traces: pd.DataFrame, excluded: dict[str, int]) -> Labels:
    paths = need(run, "paths")[[*TRACE_KEY, "cluster"]]
    sizes = (
        paths[paths["cluster"] >= 0].groupby("question_id", sort=False)["cluster"].value_counts()
    )
    ranked = sizes.rename("size").reset_index()  # ties: the path that appears first
    ranked = ranked.sort_values(["size", "cluster"], ascending=[False, True])
    largest = ranked.drop_duplicates("question_id").rename(columns={"cluster": "largest"})
    traces = traces.merge(paths, on=TRACE_KEY, how="left")
    traces = traces.merge(largest[["question_id", "largest"]], on="question_id", how="left")
    nowhere = traces["cluster"].isna() | traces["largest"].isna()
    traces = without(traces, "of questions without a path", nowhere, excluded)
    rows = traces.assign(y=(traces["cluster"] == traces["largest"]).astype(bool))
    return Labels(target="path", rows=rows, excluded=excluded)


def _final_answer(run: Run, traces: pd.DataFrame, excluded: dict[str, int]) -> Labels:
    asked = run.questions()
    several = asked.loc[[bool(choices) for choices in asked["choices"]], "question_id"]
    if not len(several):
        raise InputError(f"{run.path}: final_answer needs questions with choices; it has none")
    free = ~traces["question_id"].isin(several)
    traces = without(traces, "of questions without choices", free, excluded)
    traces = without(traces, INVALID, traces["status"] != "ok", excluded)
    stated = traces.groupby("answer")["question_id"].nunique()
    choices = tuple(sorted(map(str, stated.index[stated >= 2])))
    rare = ~traces["answer"].isin(choices)
    traces = without(traces, "with a choice that only one question's traces state", rare, excluded)
    places = {choice: place for place, choice in enumerate(choices)}
    rows = traces.assign(y=traces["answer"].map(places).astype(int))
    return Labels(
        target="final_answer", rows=rows, kind="choice", choices=choices, excluded=excluded
    )


def _from_meta(
    run: Run, target: str, name: str, traces: pd.DataFrame, excluded: dict[str, int]
) -> Labels:
    metas = [meta if isinstance(meta, Mapping) else {} for meta in traces["meta"]]
    values = [meta.get(name) for meta in metas]
    known = pd.Series([isinstance(value, bool | int | float) for value in values], dtype=bool)
    known &= pd.Series(values, dtype=object).notna()
    if not known.any():
        there = ", ".join(sorted({key for meta in metas for key in meta})) or "nothing"
        raise InputError(
            f"{run.path}: no replayed trace has a boolean or a number called {name!r} "
            f"(target {target}); their meta has {there}"
        )
    numbers = pd.Series([float(value) for value in pd.Series(values, dtype=object)[known]])
    traces = without(traces, f"without {name}", ~known, excluded)
    boolean = bool(numbers.isin([0.0, 1.0]).all())
    return Labels(
        target=target,
        rows=traces.assign(y=numbers.astype(bool) if boolean else numbers),
        kind="boolean" if boolean else "number",
        excluded=excluded,
    )


READERS: Mapping[str, Callable[[Run, pd.DataFrame, dict[str, int]], Labels]] = {
    "correct": _correct,
    "final_answer": _final_answer,
    "majority": _majority,
    "path": _path,
    "truncated": _truncated,
}
