"""Runs whose hidden states are made up, so that one knows what is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from small import Given, run_with_answers
from written import write_table

from analysis.answer_table import answers as extract_answers
from cot.store.run import Run
from cot.store.vectors import Place, VectorWriter

WIDTH = 24
Vectors = Callable[[str, NDArray[np.bool_], np.random.Generator], NDArray[np.floating]]
"""`(question, which of its traces are right, generator) -> [trace, WIDTH]`."""
RIDGE, MLP, DIFF_MEANS = "ridge", "mlp", "diff_means"


def given(n_questions: int = 16, n_traces: int = 8, share: float = 0.5, seed: int = 0) -> Given:
    """Questions whose answer is 1, traces that say 1 or 2."""
    random = np.random.default_rng(seed)
    return {
        f"q{i:02}": ("1", ["1" if right else "2" for right in random.random(n_traces) < share])
        for i in range(n_questions)
    }


def planted(
    path: Path,
    questions: Given,
    make: Vectors | Mapping[int, Vectors],
    gaps: dict[Any, float] | None = None,
    lengths: Mapping[Any, int] | None = None,
    revision: str = "0",
) -> Run:
    """A run with vectors at `pre_answer` and, one a question, at `prompt_end`; in layer 3, or in
    those of the mapping. `lengths` are tokens of traces, 3 by default."""
    run = run_with_answers(path, questions)
    extract_answers(run)
    random = np.random.default_rng(1)
    measured = []
    layers = make if isinstance(make, Mapping) else {3: make}
    with VectorWriter(run.path / "activations", model="planted", revision=revision) as writer:
        for name, (_, answers) in questions.items():
            right = np.array([answer == "1" for answer in answers])
            shared = random.normal(size=(1, WIDTH)) + right.mean()
            writer.add([Place(name, None, "prompt_end", None, -1)], dict.fromkeys(layers, shared))
            places = [Place(name, i, "pre_answer", None, 1) for i in range(len(answers))]
            made = {layer: vectors(name, right, random) for layer, vectors in layers.items()}
            writer.add(places, made)
            for i in range(len(right)):
                tokens = (lengths or {}).get((name, i), 3)
                measured.append((name, i, tokens, (gaps or {}).get((name, i), 1e-4)))
    columns = ["question_id", "sample_index", "n_tokens", "max_logprob_gap"]
    write_gaps(run, pd.DataFrame(measured, columns=columns))
    return run


def write_gaps(run: Run, gaps: pd.DataFrame) -> None:
    write_table(
        run,
        "logprob_gaps",
        gaps.assign(flagged=gaps["max_logprob_gap"] > 0.5),
        command="capture",
        parameters={},
        inputs=["traces"],
    )


def direction(name: str, right: NDArray[np.bool_], random: Any) -> NDArray[np.floating]:
    """One direction carries correctness."""
    noise = random.normal(size=(len(right), WIDTH))
    noise[:, 5] += 4 * right
    return noise


def noise(name: str, right: NDArray[np.bool_], random: Any) -> NDArray[np.floating]:
    return random.normal(size=(len(right), WIDTH))


def cell(table: pd.DataFrame, position: str, layer: int = 3) -> pd.Series:
    here = (table["position"] == position) & (table["layer"] == layer)
    return table[here].iloc[0]
