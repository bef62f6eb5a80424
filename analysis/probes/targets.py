"""What a probe predicts (the target), and which traces, steps or questions have a label.

A missing, unparsed or truncated answer is not a wrong one: where a label needs an answer, such
traces are left out and counted. So are traces whose states were not captured, or that lie beyond
the log-probability gap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.calibration.entropy import class_entropy
from analysis.catalogue import need
from analysis.clusters.embedding import mask_answer, mask_traces
from analysis.voting import outcomes
from analysis.voting.rule import load_rule
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = [
    "TARGETS",
    "Labels",
    "answer_entropy",
    "captured_traces",
    "find_labels",
    "step_values",
    "without",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """A target's rows: traces, steps (with a column `step`), or questions (no `sample_index`)."""

    target: str
    """As it was asked for."""
    rows: pd.DataFrame
    """question_id, sample_index, y, text (the answer masked), characters, tokens (lengths), in run
    order."""
    kind: Literal["boolean", "number", "choice"] = "boolean"
    """What y is: a boolean, a number, or the place of a choice in `choices`."""
    choices: tuple[str, ...] = ()
    """Choices, one against the rest each."""
    positions: tuple[str, ...] | None = None
    """Where it can be read; None is everywhere."""
    excluded: Mapping[str, int] = field(default_factory=dict)
    """Reason to the number of rows without a label."""

    @property
    def keys(self) -> list[str]:
        """The columns that name a row."""
        names = ("question_id", "sample_index", "step")
        return [name for name in names if name in self.rows]

    def tasks(self, y: NDArray[Any]) -> list[NDArray[Any]]:
        """What probes are fitted to: y itself, or each choice against the rest."""
        if self.kind == "choice":
            return [y == place for place in range(len(self.choices))]
        return [y.astype(bool) if self.kind == "boolean" else y.astype(np.float64)]

    def truths(self, y: NDArray[Any]) -> list[NDArray[np.bool_]]:
        """What an AUROC is measured against: `tasks`; of a number, whether it is above the median
        of all rows."""
        if self.kind == "number":
            return [y > np.median(self.rows["y"].to_numpy(float))]
        return self.tasks(y)

    def spread(self) -> NDArray[np.bool_]:
        """What folds share out evenly, shape [row]."""
        y = self.rows["y"].to_numpy()
        return y == 0 if self.kind == "choice" else self.truths(y)[0]

    def undefined(self, y: NDArray[Any], groups: NDArray[Any]) -> str | None:
        """Why no probe can be tested on rows with these labels, or None where one can."""
        if not len(y):
            return "no row has both a label and a vector"
        for name, truth in zip(self.choices or ("",), self.truths(y), strict=True):
            if why := _untestable(truth, groups):
                return f"choice {name}: {why}" if name else why
        return None


def _untestable(y: NDArray[np.bool_], groups: NDArray[Any]) -> str | None:
    if y.all() or not y.any():
        return f"all {len(y)} rows are {'positive' if y.all() else 'negative'}"
    questions = [len(np.unique(groups[y == label])) for label in (True, False)]
    if min(questions) < 2:
        return f"only one question has {'positives' if questions[0] < 2 else 'negatives'}"
    return None


# -- targets of traces -----------------------------------------------------------------------------

INVALID = "without a valid answer"
TARGETS = {
    "correct": "the stated answer is right",
    "final_answer": "which of the question's choices the trace states",
    "majority": "the trace states its question's majority answer",
    "cluster": "the trace lies in its question's largest cluster of reasoning paths",
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
    from analysis.probes.targets import answer_entropy, step_values

    if target in ("step_value", "answer_entropy"):
        return step_values(run) if target == "step_value" else answer_entropy(run)
    name = "meta:hinted" if target == "hinted" else target
    traces, excluded = captured_traces(run)
    if name.startswith("meta:") and name != "meta:":
        return _from_meta(run, target, name.removeprefix("meta:"), traces, excluded)
    if name not in READERS:
        raise InputError(f"unknown target {target!r}: choose from {', '.join(TARGETS)}")
    return READERS[name](run, traces, excluded)


def captured_traces(run: Run) -> tuple[pd.DataFrame, dict[str, int]]:
    """The run's traces with what labels are made from, and why the others were left out.

    Columns: question_id, sample_index, answer, correct, status, finish_reason, meta, majority (the
    question's, or None), wrong_majority (missing without gold), whole and text (masked), stated,
    start and end of the answer, characters, tokens.
    """
    answers = need(run, "answers")
    gaps = need(run, "logprob_gaps")[[*TRACE_KEY, "n_tokens", "flagged"]]
    votes = outcomes(answers, load_rule("majority"))
    votes = votes.rename(columns={"answer": "majority", "correct": "right"})
    traces = run.traces(["text", "finish_reason", "meta"]).rename(columns={"text": "whole"})
    traces = traces.merge(answers, on=TRACE_KEY, how="left").merge(gaps, on=TRACE_KEY, how="left")
    traces = traces.merge(votes[["question_id", "majority", "right"]], on="question_id", how="left")
    excluded: dict[str, int] = {}
    traces = without(traces, "whose states were not captured", traces["n_tokens"].isna(), excluded)
    flagged = traces["flagged"].fillna(False).astype(bool)
    traces = without(traces, "beyond the log-probability gap", flagged, excluded)
    traces = traces.assign(
        wrong_majority=~traces["right"].astype("boolean"),
        characters=traces["whole"].str.len(),
        tokens=traces["n_tokens"],
        stated=traces["text"],
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


def _cluster(run: Run, traces: pd.DataFrame, excluded: dict[str, int]) -> Labels:
    paths = need(run, "paths")[[*TRACE_KEY, "cluster"]]
    sizes = (
        paths[paths["cluster"] >= 0].groupby("question_id", sort=False)["cluster"].value_counts()
    )
    ranked = sizes.rename("size").reset_index()  # ties: the cluster that appears first
    ranked = ranked.sort_values(["size", "cluster"], ascending=[False, True])
    largest = ranked.drop_duplicates("question_id").rename(columns={"cluster": "largest"})
    traces = traces.merge(paths, on=TRACE_KEY, how="left")
    traces = traces.merge(largest[["question_id", "largest"]], on="question_id", how="left")
    nowhere = traces["cluster"].isna() | traces["largest"].isna()
    traces = without(traces, "of questions without a cluster", nowhere, excluded)
    rows = traces.assign(y=(traces["cluster"] == traces["largest"]).astype(bool))
    return Labels(target="cluster", rows=rows, excluded=excluded)


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
            f"{run.path}: no captured trace has a boolean or a number called {name!r} "
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
    "cluster": _cluster,
    "truncated": _truncated,
}


# -- targets of steps and of questions -------------------------------------------------------------


def step_values(run: Run) -> Labels:
    """The gold value of each calculation: a trace's k-th step of the kind `calculation` is held
    against the k-th of its question's `gold_steps`, whatever the trace itself states there.

    Steps of questions without `gold_steps`, and calculations beyond the last gold step, have none.

    Raises:
        InputError: no question has gold steps.
    """
    asked = run.questions()[["question_id", "meta"]]
    gold = {key: (meta or {}).get("gold_steps") for key, meta in asked.itertuples(index=False)}
    if not any(gold.values()):
        raise InputError(
            f"{run.path}: step_value needs questions with gold_steps in their meta, as those of "
            "the dataset arithmetic have"
        )
    traces, excluded = captured_traces(run)
    steps = need(run, "steps")
    steps = steps[steps["kind"] == "calculation"].sort_values([*TRACE_KEY, "step"], kind="stable")
    place = steps.groupby(TRACE_KEY, sort=False).cumcount()
    values = [gold.get(key) or [] for key in steps["question_id"]]
    steps = steps.assign(
        y=[float(own[k]) if k < len(own) else np.nan for own, k in zip(values, place, strict=True)]
    )
    columns = [*TRACE_KEY, "step", "start", "end", "token_end", "y"]
    # the order of the traces, then of the steps
    rows = traces.drop(columns=["start", "end", "text", "characters", "tokens"])
    rows = rows.merge(steps[columns], on=TRACE_KEY, how="inner")
    rows = without(rows, "calculations without a gold value", rows["y"].isna(), excluded)
    spans = zip(rows["whole"], rows["start"], rows["end"], strict=True)
    texts = [whole[start:end] for whole, start, end in spans]
    stated = [None if pd.isna(answer) else answer for answer in rows["answer"]]
    rows = rows.assign(
        text=[mask_answer(*pair, None, None) for pair in zip(texts, stated, strict=True)],
        characters=rows["end"],
        tokens=rows["token_end"].fillna(0),
    )
    return Labels(
        target="step_value", rows=rows, kind="number", positions=("step_end",), excluded=excluded
    )


def answer_entropy(run: Run) -> Labels:
    """The discrete semantic entropy of each question's valid answers, nats, one row a question
    (the probe of Kossen et al. 2024, arXiv 2406.15927, on a numeric answer's classes).

    A question without a valid answer has none.
    """
    answers = need(run, "answers")
    need(run, "logprob_gaps")
    asked = run.questions()[["question_id", "text"]]
    valid = answers[answers["status"] == "ok"]
    codes = pd.Index(asked["question_id"]).get_indexer(valid["question_id"])
    rows = asked.assign(y=class_entropy(codes, valid["answer"], len(asked)))
    excluded: dict[str, int] = {}
    rows = without(rows, "questions without a valid answer", rows["y"].isna(), excluded)
    lengths = rows["text"].str.len()
    rows = rows.assign(characters=lengths, tokens=rows["text"].str.split().str.len())
    return Labels(
        target="answer_entropy",
        rows=rows,
        kind="number",
        positions=("prompt_end",),
        excluded=excluded,
    )
