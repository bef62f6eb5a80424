"""A million traces from a file to the page: import, answers, votes, curve, stops, report.

    python experiments/benchmarks/million.py [--questions 25000] [--traces 40] [--seed 0]

Writes a file of made-up traces (JSON lines; Zipf-like answers, a few of them missing, right with a
chance that differs by question; texts of 300 characters) and runs each step on it in a process of
its own: seconds, processor seconds of it and its workers, and the largest process. Beside the
import stands `pyarrow.json` reading the same file, beside the vote pandas' groupby with a Counter
for each question. The last line is JSON: all of that, `ratio` of pyarrow's time to the import's,
and the goals. `--paths` adds the paths by dataflow, which take longer than all else together.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

import analysis
import cot
from cot.store.run import Run, open_run

GOALS = {
    "ratio": 0.3,
    "import_lines_per_second_and_core": 40_000,
    "answers_traces_per_second_and_core": 20_000,
    "vote_seconds": 5.0,
    "vote_bytes": 2e9,
    "file_to_votes_seconds": 180.0,
}
FILLER = "Tom counts the apples in the baskets and adds them up one after the other. " * 4
STAGES: dict[str, Callable[[Path, Path], object]] = {
    "pyarrow": lambda file, run: read_by_pyarrow(file),
    "import": lambda file, run: cot.import_traces(file, run),
    "answers": lambda file, run: analysis.answers(open_run(run)),
    "vote": lambda file, run: analysis.vote(open_run(run)),
    "groupby": lambda file, run: majority_by_groupby(open_run(run)),
    "curve": lambda file, run: curve(open_run(run)),
    "stop asc_beta": lambda file, run: analysis.stop(open_run(run), ["asc_beta"], order="file"),
    "stop esc": lambda file, run: analysis.stop(open_run(run), ["esc"], order="file"),
    "calibrate": lambda file, run: analysis.calibrate(open_run(run)),
    "paths": lambda file, run: analysis.paths(open_run(run), clusterer="dataflow"),
    "report": lambda file, run: analysis.report(open_run(run)),
}


def curve(run: Run) -> object:
    """At numbers of samples that each question has."""
    each = len(run.traces([])) // len(run.questions())
    return analysis.curve(run, n=[n for n in (1, 5, 10, 20, 40) if n <= each])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=25_000)
    parser.add_argument("--traces", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--paths", action="store_true", help="paths by dataflow too")
    parser.add_argument("--folder", type=Path, help="where the run is left; removed by default")
    parser.add_argument("--stage", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        name, file, run = asked.stage
        print(json.dumps(_time(name, Path(file), Path(run))))
        return
    n = asked.questions * asked.traces
    found = {}
    with tempfile.TemporaryDirectory() as kept:
        folder = asked.folder or Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        file, run = folder / "traces.jsonl", folder / "run"
        write_file(file, asked.questions, asked.traces, asked.seed)
        print(f"{n:,} lines, {file.stat().st_size / 1e6:,.0f} MB", flush=True)
        for name in STAGES:
            if name == "paths" and not asked.paths:
                continue
            found[name] = _run(name, file, run)
            print("{:16} {seconds:8.2f} s  {cpu:8.2f} s of processors  {bytes:.2e} bytes".format(
                name, **found[name]), flush=True)  # fmt: skip
        page = (run / "report.html").stat().st_size
    seconds = {name: each["seconds"] for name, each in found.items()}
    result = {
        "benchmark": "million",
        "n_traces": n,
        "seconds": seconds,
        "cpu_seconds": {name: each["cpu"] for name, each in found.items()},
        "bytes": {name: each["bytes"] for name, each in found.items()},
        "page_bytes": page,
        "import_lines_per_second_and_core": round(n / found["import"]["cpu"]),
        "answers_traces_per_second_and_core": round(n / found["answers"]["cpu"]),
        "vote_over_groupby": round(seconds["groupby"] / seconds["vote"], 2),
        "file_to_votes_seconds": round(sum(seconds[k] for k in ("import", "answers", "vote")), 1),
        "ratio": round(seconds["pyarrow"] / seconds["import"], 3),
        "goal": GOALS["ratio"],
        "goals": GOALS,
    }
    print(json.dumps(result))


def write_file(file: Path, questions: int, traces: int, seed: int) -> None:
    """Made-up traces as JSON lines, a question's one after the other."""
    generator = np.random.default_rng(seed)
    gold = generator.integers(1, 1000, questions)
    with open(file, "w", encoding="utf-8") as handle:
        for number, right_answer in enumerate(gold.tolist()):
            right = generator.random(traces) < generator.beta(1, 1)
            wrong = right_answer + np.minimum(generator.zipf(1.7, traces), 500)
            silent = generator.random(traces) < 0.03
            asked = {"question_id": f"q{number:06d}", "question": f"{FILLER[:74]} How many?"}
            for index in range(traces):
                answer = right_answer if right[index] else int(wrong[index])
                end = "So it is hard to say." if silent[index] else f"The answer is {answer}."
                each = {"gold": str(right_answer), "sample_index": index, "text": FILLER + end}
                handle.write(json.dumps({**asked, **each, "finish_reason": "stop"}) + "\n")


def read_by_pyarrow(file: Path) -> int:
    """Rows of the file, as columns."""
    from pyarrow.json import read_json

    return int(read_json(file).num_rows)


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


def _run(name: str, file: Path, run: Path) -> dict[str, float]:
    """A stage in a process of its own; its processor time is that of its workers too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, __file__, "--stage", name, str(file), str(run)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**json.loads(done.stdout.splitlines()[-1]), "cpu": round(cpu, 2)}


def _time(name: str, file: Path, run: Path) -> dict[str, float]:
    start = time.perf_counter()
    STAGES[name](file, run)
    seconds = time.perf_counter() - start
    own, workers = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {"seconds": round(seconds, 2), "bytes": max(own, workers) * 1024}


if __name__ == "__main__":
    main()
