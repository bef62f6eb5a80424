"""Tokens/s of two workers of the engine `ray` against one.

    python experiments/benchmarks/engine_ray.py --questions 2 --rows 16 --max-tokens 40
    python experiments/benchmarks/engine_ray.py --inner vllm --model Qwen/Qwen3-8B --fresh

Both sides sample the same requests with the same seeds, in turns, on one cluster. Workers are
started and their weights loaded before a turn is timed. On a CPU the idle side's workers stay; with
`--fresh`, they end after their turn, as they must where the cluster has two GPUs. What one worker
draws and what two draw is compared trace by trace.

The last line is JSON: tokens per second of each, the share of traces that are the same, and `ratio`
(two workers to one, the median of the rounds) with its `goal`. It can be reached only where each
worker has its own core or GPU.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

from cot.engines.ray_engine import RayEngine
from cot.types import Completion, Request, Sampling

GOAL = 1.8
PROMPT = (
    "Q: Tom has 3 apples and gets 4 more. How many apples has he?\n"
    "A: He starts with 3. 3 + 4 = 7. The answer is 7.\n\n"
    "Q: Ben reads {} pages a day for 5 days and then 10 more. How many pages does he read?\nA:"
)


def main() -> None:
    """Measure, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--inner", default="transformers", help="the workers' engine")
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16, help="traces a question")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument(
        "--batch-rows",
        type=int,
        default=8,
        help="traces at a time in a transformers worker: full batches, or two workers would have\n"
        "half of one each, which takes nearly as long",
    )
    parser.add_argument("--fresh", action="store_true", help="start workers for each turn")
    parser.add_argument("--address", help="of the Ray cluster; by default as `cot sample` finds it")
    options = parser.parse_args()

    settings = Sampling(max_tokens=options.max_tokens)
    shared: dict[str, Any] = {
        "inner": options.inner,
        "address": options.address,
        # half a core is what Ray counts, so that all three have room; each uses one
        "cpus": None if options.fresh else 0.5,
    }
    if options.inner == "transformers":
        shared["batch_rows"] = options.batch_rows
    engines = {
        "one": RayEngine(options.model, workers=1, **shared),
        "two": RayEngine(options.model, workers=2, **shared),
    }

    def requests(turn: int) -> list[Request]:
        return [
            Request(
                question_id=str(question),
                sample_index=i,
                prompt=PROMPT.format(question + 3),
                sampling=settings,
                seed=(turn * 100 + question) * 1000 + i,
            )
            for question in range(options.questions)
            for i in range(options.rows)
        ]

    def sample(name: str, turn: int) -> tuple[float, dict[tuple[str, int], Completion]]:
        begin = time.perf_counter()
        found = {
            (each.question_id, each.sample_index): done
            for each, done in engines[name].generate(requests(turn))
        }
        seconds = time.perf_counter() - begin
        return sum(len(done.token_ids or ()) for done in found.values()) / seconds, found

    rates: dict[str, list[float]] = {name: [] for name in engines}
    same = []
    for turn in range(1, options.rounds + 1):
        found = {}
        for name in sorted(engines, reverse=turn % 2 == 0):
            sample(name, 0)  # starts the workers, and loads their weights
            rate, found[name] = sample(name, turn)
            rates[name].append(rate)
            if options.fresh:
                engines[name].close()
        alike = [found["two"][key].text == done.text for key, done in found["one"].items()]
        same.append(statistics.mean(alike))
        print({name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    for engine in engines.values():
        engine.close()
    ratio = statistics.median(two / one for one, two in zip(*rates.values(), strict=True))
    result = {
        f"{name}_tokens_per_second": round(statistics.median(values), 1)
        for name, values in rates.items()
    }
    print(
        json.dumps(
            {**result, "same": statistics.mean(same), "ratio": round(ratio, 3), "goal": GOAL}
        )
    )


if __name__ == "__main__":
    main()
