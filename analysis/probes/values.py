"""Targets that are numbers, and belong to steps or to questions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.calibration.entropy import class_entropy
from analysis.catalogue import need
from analysis.clusters.mask import mask_answer
from analysis.probes.labels import Labels
from analysis.probes.targets import replayed, without
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["answer_entropy", "step_values"]


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
    traces, excluded = replayed(run)
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
    need(run, "fidelity")
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
