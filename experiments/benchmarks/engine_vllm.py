"""Tokens/s of the vLLM engine against bare `LLM.generate` with the same flags and requests.

    python experiments/benchmarks/engine_vllm.py --questions 4 --rows 16

Both sides ask the same loaded LLM for the same traces with the same seeds, in turns, so that the
difference is what our loop costs. A third rate is bare and unseeded: what seeds cost.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

PROMPT = (
    "Q: Tom has 3 apples and gets 4 more. How many apples has he?\n"
    "A: He starts with 3. 3 + 4 = 7. The answer is 7.\n\n"
    "Q: Ann has 12 pens and gives 5 away. How many are left?\n"
    "A: She starts with 12. 12 - 5 = 7. The answer is 7.\n\n"
    "Q: Ben reads {} pages a day for 5 days and then 10 more. How many pages does he read?\nA:"
)
STOP = ("\n\n", "Q:")


def main() -> None:
    """Measure, and end with one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--rows", type=int, default=16, help="traces a question")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=96)
    options = parser.parse_args()

    from vllm import SamplingParams

    from cot.engines.vllm import VllmEngine
    from cot.types import Request, Sampling

    rows = options.questions * options.rows
    engine = VllmEngine(options.model, max_model_len=1024, max_num_seqs=rows)
    settings = Sampling(max_tokens=options.max_tokens, stop=STOP)
    ids = [
        tuple(engine.tokenizer(PROMPT.format(question + 3))["input_ids"])
        for question in range(options.questions)
    ]

    def ours(turn: int) -> float:
        requests = [
            Request(
                question_id=str(question),
                sample_index=i,
                prompt=ids[question],
                sampling=settings,
                seed=seed(turn, question, i),
            )
            for question in range(options.questions)
            for i in range(options.rows)
        ]
        begin = time.perf_counter()
        n = sum(len(got.token_ids or ()) for _, got in engine.generate(requests))
        return n / (time.perf_counter() - begin)

    def bare(turn: int, *, seeded: bool = True) -> float:
        keys = [(q, i) for q in range(options.questions) for i in range(options.rows)]
        prompts = [{"prompt_token_ids": list(ids[question])} for question, _ in keys]
        params = [
            SamplingParams(
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_tokens,
                seed=seed(turn, *key) if seeded else None,
                stop=list(STOP),
                logprobs=0,
                flat_logprobs=True,
            )
            for key in keys
        ]
        begin = time.perf_counter()
        outputs = engine.llm.generate(prompts, params, use_tqdm=False)
        seconds = time.perf_counter() - begin
        return sum(len(output.outputs[0].token_ids) for output in outputs) / seconds

    def seed(turn: int, question: int, i: int) -> int:
        return (turn * 100 + question) * 1000 + i

    ours(0)  # load, and fill the prefix cache for all sides alike
    rates: dict[str, list[float]] = {"engine": [], "generate": [], "unseeded": []}
    for turn in range(1, options.rounds + 1):
        sides = [("engine", ours), ("generate", bare)]
        for name, side in sides if turn % 2 else reversed(sides):
            rates[name].append(side(turn))
        rates["unseeded"].append(bare(turn, seeded=False))
        print({name: round(values[-1], 1) for name, values in rates.items()}, flush=True)
    report(rates, goal=0.97)
    engine.close()


def report(rates: dict[str, list[float]], goal: float) -> None:
    """Print the median rates, and the median of the turns' ratios."""
    pairs = zip(rates["engine"], rates["generate"], strict=True)
    result: dict[str, Any] = {
        f"{name}_tokens_per_second": round(statistics.median(values), 1)
        for name, values in rates.items()
    }
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(json.dumps({**result, "ratio": round(ratio, 3), "goal": goal}))


if __name__ == "__main__":
    main()
