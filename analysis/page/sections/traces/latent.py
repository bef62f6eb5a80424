"""The lens of single traces: at each layer and step, the answer that the layer holds most probable.

A trace's places stand in the order in which they were written: the prompt's end (the question's,
shared by its traces), the end of each step, and right before the answer. A cell is two characters
of `shades.ALPHABET`: the latent answer's place in the question's list of answers (63: one that the
list has no room for), and its probability among the question's candidates times 63.

    {"layers": [30, ..., 0], "answers": ["12", "14"], "prompt": "AxBf..."}      a question
    {"steps": [0, 1], "cells": "AxBf...", "stated": 0}                          a trace of it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.text import shorten
from analysis.page.evidence import Evidence
from analysis.page.sections.traces.shades import ALPHABET
from cot.types import TRACE_KEY

__all__ = ["QuestionLens", "TraceLens", "read_latent"]

OTHER = 63
LENGTH = 40
"""Characters of an answer that are sent."""
RANKS = {"prompt_end": 0, "step_end": 1, "pre_answer": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionLens:
    """What a question's traces share."""

    layers: list[int]
    """Layers that were read, the deepest first."""
    answers: list[str]
    """Latent answers, shortened; cells name them by their place."""
    prompt: str | None
    """Cells of the prompt's end, by layer; None where it wasn't read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLens:
    """The lens of one trace."""

    steps: list[int]
    """Steps whose ends were read."""
    before: bool
    """Whether the place right before the answer was read."""
    cells: str
    """Cells place by place, each by layer."""
    stated: int | None
    """Place in `answers` of the candidate that the trace states; None where unknown."""


def read_latent(
    evidence: Evidence,
) -> tuple[dict[str, QuestionLens], dict[tuple[str, int], TraceLens]]:
    """By question, and by (question_id, sample_index)."""
    lens = evidence.get("lens")
    if lens.empty:
        return {}, {}
    lens = lens[lens["position"].isin(list(RANKS))]
    lens = lens.assign(rank=lens["position"].map(RANKS), deep=-lens["layer"])
    lens = lens.sort_values(["question_id", "sample_index", "rank", "step", "deep"], kind="stable")
    stated = _stated(evidence)
    questions: dict[str, QuestionLens] = {}
    traces: dict[tuple[str, int], TraceLens] = {}
    for name, rows in lens.groupby("question_id", sort=False):
        codes, answers = pd.factorize(rows["answer"].astype(str))
        places = {str(answer): code for code, answer in enumerate(answers) if code < OTHER}
        cells = _cells(codes, rows["p"].to_numpy(float))
        rank, step = rows["rank"].to_numpy(), rows["step"].to_numpy(float, na_value=-1)
        prompt = np.flatnonzero(rank == 0)
        questions[str(name)] = QuestionLens(
            layers=sorted(map(int, rows["layer"].unique()), reverse=True),
            answers=[shorten(str(answer), LENGTH) for answer in answers[:OTHER]],
            prompt="".join(cells[place] for place in prompt) if len(prompt) else None,
        )
        index = rows["sample_index"].to_numpy(float, na_value=-1)
        index[prompt] = -1
        borders = np.flatnonzero(np.diff(index)) + 1
        for own in np.split(np.arange(len(rows)), borders):
            if not len(own) or index[own[0]] < 0:
                continue
            key = (str(name), int(index[own[0]]))
            traces[key] = TraceLens(
                steps=[int(each) for each in np.unique(step[own[rank[own] == 1]])],
                before=bool((rank[own] == 2).any()),
                cells="".join(cells[place] for place in own),
                stated=places.get(stated.get(key, "")),
            )
    return questions, traces


def _cells(codes: Any, p: Any) -> list[str]:
    levels = np.rint(np.clip(np.nan_to_num(p), 0.0, 1.0) * 63).astype(int)
    return [
        ALPHABET[code] + ALPHABET[level]
        for code, level in zip(np.minimum(codes, OTHER).tolist(), levels.tolist(), strict=True)
    ]


def _stated(evidence: Evidence) -> dict[tuple[str, int], str]:
    """The candidate that each trace states; answers that share a first token are one."""
    table = evidence.get("lens_traces")
    if table.empty:
        return {}
    column = "candidate" if "candidate" in table else "answer"
    known = table[[*TRACE_KEY, column]].dropna()
    return {(str(key), int(i)): str(name) for key, i, name in known.itertuples(index=False)}
