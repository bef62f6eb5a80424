"""`extract_answers` on short numeric traces, beside math-verify's parse and verify on each.

    python experiments/benchmarks/answers.py --questions 500

Traces are 300 characters long and end in a stated number, in one of the ways in which models write
numbers; the seed decides all. math-verify sees a sample of the same traces in the same process, and
its verdicts must be ours, percentages apart: it equates 50% with 50 and with 0.5. Rates are per
second of processor time; `goal` is for ours, in traces a second on one core.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import tempfile
import time
from pathlib import Path

from analysis.answer_table import answers as extract_answers
from cot.store.run import Run, create_run, open_run
from cot.store.shards import TRACE_SCHEMA, write_parquet
from cot.types import Question

GOAL = 20_000.0
LENGTH = 300
WAYS = (
    "The answer is {}.",
    "The answer is ${:,}.",
    "The answer is {} apples.",
    "The answer is {:.2f}",
    "**Answer:** {}",
    "#### {:,}",
    "So the final answer is $\\boxed{{{}}}$.",
    "The answer is 3 + 4 = {}.",
    "They have {} left.",
)
WORDS = "the baker sells some of the rolls that were left from the morning and bakes more".split()


def make(folder: Path, questions: int, samples: int, seed: int) -> Run:
    """A run of `questions` x `samples` traces of which about six in ten are right."""
    import pyarrow as pa

    rng = random.Random(seed)
    golds = [number(rng) for _ in range(questions)]
    run = create_run(folder, {"model": None, "seed": seed})
    with run.lock():
        run.add_questions(
            [Question(id=f"q{i}", text=f"q{i}?", gold=str(gold)) for i, gold in enumerate(golds)]
        )
    for part, start in enumerate(range(0, questions, 500)):
        some = range(start, min(start + 500, questions))
        texts = [text(rng, golds[i]) for i in some for _ in range(samples)]
        columns = {
            "question_id": [f"q{i}" for i in some for _ in range(samples)],
            "sample_index": list(range(samples)) * len(some),
            "variant": [""] * len(texts),
            "text": texts,
            "finish_reason": ["stop"] * len(texts),
            "meta": ["{}"] * len(texts),
            "digest": list(range(len(texts))),
        }
        arrays = {
            field.name: pa.array(columns.get(field.name, [None] * len(texts)), type=field.type)
            for field in TRACE_SCHEMA
        }
        write_parquet(pa.table(arrays), folder / "traces" / f"part-{part:06d}.parquet")
    return open_run(folder)


def number(rng: random.Random) -> float:
    """A whole number, a negative one, or one with two decimals."""
    value = rng.randrange(2, 100_000)
    return rng.choice((value, value, -value, value / 100))


def text(rng: random.Random, gold: float) -> str:
    """One trace: a sum, words, and a stated number."""
    value = gold if rng.random() < 0.6 else gold + rng.choice((-2, -1, 1, 2, 10))
    one = rng.randrange(1000)
    end = rng.choice(WAYS).format(value)
    body = f" There are {one} rolls, and {one} + 7 = {one + 7}. "
    while len(body) + len(end) < LENGTH:
        body += rng.choice(WORDS) + " "
    return f"{body.rstrip()}. {end}"


def main() -> None:
    """Measure, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--compared", type=int, default=1000, help="traces that math-verify reads")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    from math_verify import parse, verify

    with tempfile.TemporaryDirectory() as folder:
        run = make(Path(folder) / "run", options.questions, options.samples, options.seed)
        begin = time.process_time()
        answers = extract_answers(run)
        seconds = time.process_time() - begin
        traces = run.traces(["text"])
        golds = run.questions().set_index("question_id")["gold"]

    logging.disable()  # math-verify warns that its own time limits are off
    chosen = sorted(random.Random(options.seed).sample(range(len(traces)), options.compared))
    verdicts = []
    begin = time.process_time()
    for i in chosen:
        gold = parse(golds[traces["question_id"][i]], parsing_timeout=None)
        found = parse(traces["text"][i], parsing_timeout=None)
        verdicts.append(verify(gold, found, timeout_seconds=None))
    theirs = (time.process_time() - begin) / len(chosen)

    disagreements = 0
    for i, verdict in zip(chosen, verdicts, strict=True):
        if bool(answers["correct"][i]) is not verdict:
            disagreements += 1
            gold = golds[traces["question_id"][i]]
            print(f"gold {gold}, ours {answers['correct'][i]}: ...{traces['text'][i][-60:]!r}")
    rate = len(answers) / seconds
    result = {
        "benchmark": "answers",
        "n_traces": len(answers),
        "traces_per_second": round(rate, 1),
        "math_verify_traces_per_second": round(1 / theirs, 1),
        "ratio": round(rate * theirs, 1),
        "goal": GOAL,
        "compared": len(chosen),
        "disagreements": disagreements,
        "met": rate >= GOAL and not disagreements,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
