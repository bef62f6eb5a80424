"""A million traces: votes, curve, stopping rules and calibration beside a plain groupby.

    python experiments/benchmarks/million.py [--questions 25000] [--traces 40] [--seed 0]

Makes a run of made-up answers (Zipf-like counts, a few of them missing, right with a chance that
differs by question; the traces' texts are 300 characters), reads its answers once, and then times
each analysis in a process of its own, with its peak memory. Beside the vote stands the obvious
alternative: pandas' groupby with a Counter for each question. The last line is JSON: seconds and
peak memory of each, the ratio of the groupby's time to the vote's, and the goals.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

import analysis
from analysis.answer_table import answers as extract_answers
from cot.store.run import Run, create_run, open_run
from cot.store.shards import TRACE_SCHEMA, write_parquet
from cot.types import Question

GOAL_SECONDS = 5.0
GOAL_BYTES = 2e9
FILLER = "Tom counts the apples in the baskets and adds them up one after the other. " * 4
STAGES: dict[str, Callable[[Run], object]] = {
    "vote": lambda run: analysis.vote(run),
    "curve": lambda run: analysis.curve(run, n=[1, 5, 10, 20, 40]),
    "stop asc_beta": lambda run: analysis.stop(run, ["asc_beta"], order="file"),
    "stop esc": lambda run: analysis.stop(run, ["esc"], order="file"),
    "stop asc_dirichlet": lambda run: analysis.stop(run, ["asc_dirichlet"], order="file"),
    "calibration": lambda run: analysis.calibrate(run),
    "groupby": lambda run: majority_by_groupby(run),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=25_000)
    parser.add_argument("--traces", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stage", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        print(json.dumps(_time(*asked.stage)))
        return
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", asked.questions, asked.traces, asked.seed)
        start = time.perf_counter()
        extract_answers(run)
        seconds = time.perf_counter() - start
        n = asked.questions * asked.traces
        print(f"{'answers':20} {seconds:7.2f} s   {n / seconds:,.0f} traces/s", flush=True)
        found = {}
        for name in STAGES:
            command = [sys.executable, __file__, "--stage", name, str(run.path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
            print(f"{name:20} {found[name]['seconds']:7.2f} s   "
                  f"{found[name]['bytes'] / 1e9:.2f} GB", flush=True)  # fmt: skip
    result = {
        "benchmark": "million",
        "n_traces": n,
        "seconds": {name: each["seconds"] for name, each in found.items()},
        "peak_bytes": max(each["bytes"] for name, each in found.items() if name != "groupby"),
        "ratio": round(found["groupby"]["seconds"] / found["vote"]["seconds"], 2),
        "goal": 1.0,
        "goal_seconds": GOAL_SECONDS,
        "goal_bytes": GOAL_BYTES,
    }
    print(json.dumps(result))


def make_run(path: Path, questions: int, traces: int, seed: int) -> Run:
    """A run of made-up answers, written as shards."""
    generator = np.random.default_rng(seed)
    run = create_run(path, {"model": None, "made": {"seed": seed}})
    ids = [f"q{i:06d}" for i in range(questions)]
    gold = generator.integers(1, 1000, questions)
    with run.lock():
        run.add_questions(
            [
                Question(id=name, text=name, gold=str(value))
                for name, value in zip(ids, gold, strict=True)
            ]
        )
        step = 2_500
        for part, begin in enumerate(range(0, questions, step)):
            rows = _traces(ids[begin : begin + step], gold[begin : begin + step], traces, generator)
            write_parquet(rows, path / "traces" / f"part-{part:06d}.parquet")
    return open_run(path)


def _traces(
    ids: list[str], gold: np.ndarray, traces: int, generator: np.random.Generator
) -> pa.Table:
    n = len(ids) * traces
    chance = np.repeat(generator.beta(1, 1, len(ids)), traces)
    right = generator.random(n) < chance
    wrong = np.repeat(gold, traces) + np.minimum(generator.zipf(1.7, n), 500)
    answers = np.where(right, np.repeat(gold, traces), wrong)
    silent = generator.random(n) < 0.03
    texts = [
        FILLER + ("So it is hard to say." if none else f"The answer is {answer}.")
        for answer, none in zip(answers.tolist(), silent.tolist(), strict=True)
    ]
    given = {
        "question_id": pa.array(ids, pa.string()).take(
            pa.array(np.repeat(np.arange(len(ids)), traces))
        ),
        "sample_index": pa.array(np.tile(np.arange(traces), len(ids)), pa.int32()),
        "variant": pa.array([""] * n),
        "text": pa.array(texts),
        "finish_reason": pa.array(["stop"] * n),
        "meta": pa.array(["{}"] * n),
        "digest": pa.array(generator.integers(0, 2**63, n), pa.uint64()),
    }
    columns = [
        given[field.name] if field.name in given else pa.nulls(n, field.type)
        for field in TRACE_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=TRACE_SCHEMA)


def majority_by_groupby(run: Run) -> float:
    """Accuracy of the majority vote, as one would write it."""
    answers = run.table("answers")
    valid = answers[answers["status"] == "ok"]
    votes = valid.groupby("question_id")["answer"].apply(
        lambda each: Counter(each).most_common(1)[0][0]
    )
    right = (
        valid[valid["correct"]].drop_duplicates("question_id").set_index("question_id")["answer"]
    )
    return float((votes == right.reindex(votes.index)).sum() / answers["question_id"].nunique())


def _time(name: str, path: str) -> dict[str, float]:
    run = open_run(path)
    start = time.perf_counter()
    with run.lock():
        STAGES[name](run)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text().split()
    return {"seconds": round(seconds, 2), "bytes": int(status[status.index("VmHWM:") + 1]) * 1024}


if __name__ == "__main__":
    main()
