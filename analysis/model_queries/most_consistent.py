"""Universal self-consistency: the model picks the most consistent response (arXiv 2311.17311).

All traces with a valid answer are shown, numbered from 1 in the order of sample_index, and the
model names one. It is asked greedily to complete "The most consistent response is Response", so
that models that don't follow instructions name one too. Where no number of a trace can be read, no
trace of that question is chosen.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.model_queries import ModelQueries
from cot.store.run import Run
from cot.types import Prompt, Request, Sampling

__all__ = ["most_consistent"]

log = logging.getLogger("cot")
ASK = (
    "Several responses to one question follow.\n\nQuestion: {question}\n\n{responses}\n\n"
    "Compare their answers and name the response whose answer most of them agree on."
)
START = "The most consistent response is Response"


def most_consistent(run: Run, answers: pd.DataFrame, queries: ModelQueries) -> NDArray[np.float64]:
    """1 for each question's chosen trace, 0 for its others, NaN where nothing was chosen.

    Shape [trace]. The model's completions are stored under samples/universal.
    """
    rows = answers.assign(row=np.arange(len(answers)))[answers["status"] == "ok"]
    rows = rows[["question_id", "sample_index", "row"]].merge(
        run.traces(["text"]), on=["question_id", "sample_index"]
    )
    texts = run.questions().set_index("question_id")["text"]
    shown = list(rows.sort_values("sample_index").groupby("question_id", sort=False))
    requests = [
        Request(
            question_id=str(name),
            sample_index=0,
            prompt=_prompt(run, queries, texts[name], traces["text"].to_list()),
            sampling=Sampling(n=1, temperature=0.0, max_tokens=6),
            seed=0,
        )
        for name, traces in shown
    ]
    said = queries.ask("universal", requests)["text"]
    chosen = np.full(len(answers), np.nan)
    unread = 0
    for (_, traces), text in zip(shown, said, strict=True):
        number = re.match(r"\W*(\d{1,6})\b", text) if isinstance(text, str) else None
        if number and 1 <= int(number[1]) <= len(traces):
            chosen[traces["row"]] = 0.0
            chosen[traces["row"].iloc[int(number[1]) - 1]] = 1.0
        else:
            unread += 1
    if unread:
        log.warning(
            "universal: the model named no response on %d of %d questions", unread, len(shown)
        )
    return chosen


def _prompt(run: Run, queries: ModelQueries, question: str, texts: list[str]) -> Prompt:
    responses = "\n\n".join(
        f"Response {i}: {text.strip()}" for i, text in enumerate(texts, start=1)
    )
    asked = ASK.format(question=question, responses=responses)
    tokenizer: Any = queries.engine.tokenizer
    if run.identity.form == "text" or not getattr(tokenizer, "chat_template", None):
        return f"{asked}\n\n{START}"
    system = run.identity.system
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": START}]
    return tuple([{"role": "system", "content": system}] if system else []) + tuple(turns)
