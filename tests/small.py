"""Small runs whose answers are given, for tests of what is computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.answer_table import answers as extract_answers
from cot.store.run import Run, create_run, open_run
from cot.types import Completion, Question, Trace

Given = Mapping[str, tuple[str | None, Sequence[str | None]]]
"""question_id to (gold, each trace's answer or None)."""


def text_of(answer: str | None) -> str:
    return "I do not know." if answer is None else f"The answer is {answer}."


def trace_of(question_id: str, index: int, text: str) -> Trace:
    return Trace(
        question_id=question_id,
        sample_index=index,
        seed=index,
        prompt_sha="0" * 64,
        completion=Completion(
            text=text,
            token_ids=tuple(range(3)),
            logprobs=np.array([-0.5, -0.25, -1.0], dtype=np.float32),
            finish_reason="stop",
        ),
    )


def run_with_answers(path: Path, given: Given) -> Run:
    run = create_run(path / "run", {"model": None})
    with run.lock():
        run.add_questions(
            [Question(id=name, text=f"{name}?", gold=gold) for name, (gold, _) in given.items()]
        )
        run.add_prompts({"0" * 64: ("Q: How many?\nA:", None)})
        with run.writer() as writer:
            for name, (_, answers) in given.items():
                for index, answer in enumerate(answers):
                    writer.add(trace_of(name, index, text_of(answer)))
    return open_run(run.path)


def answers_of(given: Given) -> pd.DataFrame:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return extract_answers(run_with_answers(Path(folder), given))
