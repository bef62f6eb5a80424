"""Time to cluster a question's traces, and `embed` beside bare sentence-transformers.

    python experiments/benchmarks/paths.py [--questions 500] [--texts 150] [--rounds 5]

Clustering is what `cot paths` does per question once the vectors are there: distances, its share of
fitting the run's threshold, average linkage, silhouettes, on 40 vectors of 384 numbers; in
milliseconds of processor time (set OMP_NUM_THREADS=1), the median over tens of questions. Naming
the question's paths is timed beside it. Both ways of embedding take the same distinct texts in
turns, with one loaded model, and the fastest round of each counts: whatever else the machine does
only slows one down. The last line is JSON; `ratio` is of embeddings per second.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

import cot.models
from analysis.clusters.clusterers import (
    AverageLinkage,
    cosine_distances,
    fit_threshold,
    silhouettes,
)
from analysis.clusters.embedding import DEFAULT_EMBEDDER, embed
from analysis.clusters.names import name_clusters

TRACES, SIZE, TOGETHER = 40, 384, 10
GOAL_MILLISECONDS = 5.0
GOAL_RATIO = 0.95
WORDS = "she buys adds takes counts left more pens red boxes so then each total first half".split()


def main() -> None:
    """Measure, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--texts", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default=DEFAULT_EMBEDDER)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    rng = np.random.default_rng(options.seed)
    questions = [planted(rng) for _ in range(options.questions)]
    cluster(questions[:TOGETHER])  # imports
    batches = [questions[begin : begin + TOGETHER] for begin in range(0, len(questions), TOGETHER)]
    each = [
        timed(partial(cluster, batch), time.process_time) / len(batch) * 1000 for batch in batches
    ]
    whole = timed(partial(cluster, questions), time.process_time) / len(questions) * 1000
    draw = random.Random(options.seed)
    texts = [text(draw) for _ in range(max(options.texts, TRACES))]
    labels = rng.integers(0, 4, TRACES)
    naming = [
        timed(
            lambda: name_clusters(texts[:TRACES], labels, texts[0], questions[0]), time.process_time
        )
        * 1000
        for _ in range(20)
    ]

    embedder = cot.models.load_embedder(options.model)
    cot.models.load_embedder = lambda *_: embedder  # loading is not what is measured
    ways: dict[str, Callable[[], object]] = {
        "embed": lambda: embed(texts, options.model),
        "bare": lambda: embedder.encode(texts, normalize_embeddings=True, show_progress_bar=False),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for turn in range(options.rounds):
        for name in ways if turn % 2 else reversed(ways):
            rates[name].append(len(texts) / timed(ways[name]))
    milliseconds = statistics.median(each)
    ratio = max(rates["embed"]) / max(rates["bare"])
    result = {
        "benchmark": "paths",
        "milliseconds_per_question": round(milliseconds, 3),
        "milliseconds_per_question_whole_run": round(whole, 3),
        "goal_milliseconds": GOAL_MILLISECONDS,
        "naming_milliseconds_per_question": round(statistics.median(naming), 3),
        **{f"{name}_per_second": round(max(each), 1) for name, each in rates.items()},
        "ratio": round(ratio, 3),
        "goal": GOAL_RATIO,
        "met": milliseconds <= GOAL_MILLISECONDS and ratio >= GOAL_RATIO,
    }
    print(json.dumps(result))


def planted(rng: np.random.Generator) -> NDArray[np.float32]:
    """A question's vectors, shape [trace, d], around four centres."""
    centres = rng.normal(size=(4, SIZE))
    rows = centres[rng.integers(0, 4, TRACES)] + 0.7 * rng.normal(size=(TRACES, SIZE))
    return rows.astype(np.float32)


def text(draw: random.Random) -> str:
    """A trace of 20 to 80 words and numbers."""
    words = [draw.choice([*WORDS, str(draw.randrange(100))]) for _ in range(draw.randint(20, 80))]
    return " ".join(words) + f". The answer is {draw.randrange(100)}."


def cluster(questions: list[NDArray[np.float32]]) -> None:
    distances = [cosine_distances(X) for X in questions]
    clusterer = AverageLinkage(fit_threshold(distances))
    for X, matrix in zip(questions, distances, strict=True):
        silhouettes(matrix, clusterer.fit_predict(X))


def timed(way: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    way()
    return clock() - start


if __name__ == "__main__":
    main()
