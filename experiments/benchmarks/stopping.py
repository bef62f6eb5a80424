"""Stopping rules over a million traces, beside the loop that one would write.

    python experiments/benchmarks/stopping.py [--questions 25000] [--traces 40] [--seed 0]

Makes a run with made-up answers (skewed differently by question, 5% missing) and times `cot stop`
in file order, each rule in a process of its own with its peak memory. Beside each stands a loop
over questions that grows a Counter sample by sample and asks scipy (asc_beta), 2,000 Dirichlet
draws (asc_dirichlet), the last window (esc) or nothing (fixed): timed on the first questions only
and scaled up, and its stops compared with ours (draws stop some questions elsewhere than the exact
probability does). The last line is JSON: the smallest ratio of the loop's time to ours, and the
goals. `million.py` times the same rules after reading answers.
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
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import betainc

from analysis.stopping import stop
from cot.store.run import Run, create_run, open_run
from cot.types import Question

GOAL = 5.0
GOAL_SECONDS = 5.0
GOAL_BYTES = 2e9
LOOPED = {"fixed:n=10": 1000, "esc": 1000, "asc_beta": 500, "asc_dirichlet": 100}
"""Rule to the number of questions that the loop is timed on."""
DRAWS = 2000


def main() -> None:
    """Measure, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=25_000)
    parser.add_argument("--traces", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stage", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        print(json.dumps(time_rule(*asked.stage)))
        return
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run", asked.questions, asked.traces, asked.seed)
        answers = run.table("answers")
        for rule, n in LOOPED.items():
            command = [sys.executable, __file__, "--stage", rule, str(run.path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            ours = json.loads(done.stdout.splitlines()[-1])
            table = run.table("stops").set_index("question_id")["n_used"]
            theirs, agree = time_loop(rule, answers, min(n, asked.questions), table)
            scaled = theirs * asked.questions / min(n, asked.questions)
            found[rule] = {
                **ours,
                "loop_seconds_scaled": round(scaled, 1),
                "ratio": round(scaled / ours["seconds"], 1),
                "same_stops": round(agree, 4),
            }
            print(rule, found[rule], flush=True)
    result = {
        "benchmark": "stopping",
        "n_traces": asked.questions * asked.traces,
        "rules": found,
        "ratio": min(each["ratio"] for each in found.values()),
        "goal": GOAL,
        "seconds": max(each["seconds"] for each in found.values()),
        "goal_seconds": GOAL_SECONDS,
        "peak_bytes": max(each["bytes"] for each in found.values()),
        "goal_bytes": GOAL_BYTES,
    }
    print(json.dumps(result))


def make_run(path: Path, questions: int, traces: int, seed: int) -> Run:
    """A run whose answers table is written as `cot answers` would."""
    generator = np.random.default_rng(seed)
    bounds = generator.dirichlet([2.0] + [0.4] * 7, size=questions).cumsum(axis=1)
    drawn = (generator.random((questions, traces, 1)) > bounds[:, None]).sum(axis=2).ravel()
    given = drawn.astype(str).astype(object)
    given[generator.random(len(given)) < 0.05] = None
    ids = [f"q{i:06d}" for i in range(questions)]
    run = create_run(path, {"model": None, "made": {"seed": seed}})
    answers = pd.DataFrame(
        {
            "question_id": np.repeat(ids, traces),
            "sample_index": np.tile(np.arange(traces, dtype=np.int32), questions),
            "canonical": pd.array(given, dtype="str"),
            "answer": pd.array(given, dtype="str"),
            "status": np.where(given == None, "missing", "ok"),  # noqa: E711 - by element
            "correct": pd.array(given == "0", dtype="boolean"),
            "surplus": False,
        }
    )
    with run.lock():
        run.add_questions([Question(id=name, text=name, gold="0") for name in ids])
        run.made_by("answers", {"format": "number"}, ["answers"]).write_table("answers", answers)
    return open_run(path)


def time_rule(rule: str, path: str) -> dict[str, float]:
    """Seconds of the replay, and the process's peak memory."""
    run = open_run(path)
    start = time.perf_counter()
    with run.lock():
        stop(run, rule=[rule], order="file")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": round(seconds, 2), "bytes": peak}


def time_loop(rule: str, answers: pd.DataFrame, n: int, ours: pd.Series) -> tuple[float, float]:
    """Seconds of the loop over the first n questions, and the share of them that stop alike."""
    some = answers[answers["question_id"].isin(ours.index[:n])]
    start = time.perf_counter()
    used = {
        name: loop_until(rule, rows["answer"].tolist())
        for name, rows in some.groupby("question_id")
    }
    seconds = time.perf_counter() - start
    return seconds, float(np.mean([used[name] == ours[name] for name in used]))


def loop_until(rule: str, answers: list[str | None]) -> int:
    """Samples of one question that the rule uses, as one would write it."""
    generator = np.random.default_rng(0)
    counts: Counter[str] = Counter()
    for index, answer in enumerate(answers, start=1):
        if isinstance(answer, str):
            counts[answer] += 1
        top = [count for _, count in counts.most_common(5)] + [0]
        if rule == "esc":
            window = answers[index - 5 : index]
            enough = index % 5 == 0 and isinstance(answer, str) and len(set(window)) == 1
        elif rule == "asc_beta" or (rule == "asc_dirichlet" and len(top) < 4):
            enough = top[0] > 0 and betainc(top[1] + 1, top[0] + 1, 0.5) >= 0.95
        elif rule == "asc_dirichlet":
            draws = generator.dirichlet(np.array(top[:-1]) + 1, size=DRAWS)
            enough = (draws.argmax(axis=1) == 0).mean() >= 0.95
        else:
            enough = index == 10
        if enough:
            return index
    return len(answers)


if __name__ == "__main__":
    main()
