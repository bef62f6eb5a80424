"""Prompt tokens and time of early answering, with what prompts share read once and without.

    python experiments/benchmarks/faithfulness.py [--engine vllm] [--questions 1] [--traces 2]

Traces of eight steps, worked solutions of `arithmetic` problems behind three exemplars, are cut
after each step, and the same requests are answered in turns by an engine that shares beginnings and
by one that reads every prompt whole. `read` are the prompt tokens that were not shared, `computed`
what was forwarded for them, padding included (vLLM pads nothing).

The last line is JSON: tokens and seconds of both sides, the ratio of tokens computed, and the goal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import prompts
from analysis.faithfulness_tests.early_answering import EarlyAnswering
from analysis.faithfulness_tests.tested_trace import Case, Setting
from cot.datasets.arithmetic import make
from cot.models import encode
from cot.steps import segment
from cot.tokens import char_to_token, token_spans
from cot.types import Question, Request, Sampling, Step

GOAL = 3.0
STEPS = 8


class Cost(NamedTuple):
    """What one turn took."""

    read: int
    computed: int
    seconds: float


def main() -> None:
    """Measure, and end with one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--engine", choices=["transformers", "vllm"], default="transformers")
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--questions", type=int, default=1)
    parser.add_argument("--traces", type=int, default=2, help="traces a question")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()

    side = on_vllm if asked.engine == "vllm" else on_transformers
    shared, tokenizer = side(asked.model, share=True)
    whole, _ = side(asked.model, share=False)
    costs: dict[str, list[Cost]] = {"shared": [], "whole": []}
    for turn in range(-1, asked.rounds):
        n_questions, n_traces = (asked.questions, asked.traces) if turn >= 0 else (1, 1)
        requests = early_answers(tokenizer, n_questions, n_traces, turn)
        sides = {"shared": shared, "whole": whole}
        for name, way in sides.items() if turn % 2 else reversed(sides.items()):
            cost = way(requests)
            if turn >= 0:  # the first turn loads and warms up
                costs[name].append(cost)
                print(name, f"{len(requests)} requests", cost, flush=True)
    report(asked.engine, costs)


def early_answers(tokenizer: Any, questions: int, traces: int, turn: int) -> list[Request]:
    """The requests of early answering, questions of their own in each turn."""
    template = prompts.load("few_shot_cot", exemplars="arithmetic", shots=3)
    requests: list[Request] = []
    for place in range(questions):
        question = make(6, turn, place)
        for index in range(traces):
            case = solved(tokenizer, template.text(question.text), question, index)
            requests += EarlyAnswering().requests(case, {})
    return requests


def solved(tokenizer: Any, prompt: str, question: Question, index: int) -> Case:
    """A worked solution as if it had been sampled: so many sentences of the question, others for
    each trace, then its six equations."""
    work = question.meta["solution"].splitlines()[:-1]
    told = [question.text[span.start : span.end] for span in segment(question.text)]
    text = " " + "\n".join([*np.roll(told, -index)[: STEPS - len(work)], *work])
    ids = tokenizer.encode(text, add_special_tokens=False)
    spans = token_spans(tokenizer, ids, text)
    steps = []
    for number, span in enumerate(segment(text)):
        first, last = char_to_token(spans, span.start, span.end)
        steps.append(
            Step(
                key=(question.id, index),
                index=number,
                start=span.start,
                end=span.end,
                token_start=first,
                token_end=last,
                kind=span.kind,
            )
        )
    assert len(steps) == STEPS
    setting = Setting(
        test="early_answering",
        tokenizer=tokenizer,
        sampling=Sampling(),
        seed=0,
        read=lambda *_: (None, "missing"),
        embed=lambda texts: np.zeros((len(texts), 1), np.float32),
    )
    return Case(
        setting=setting,
        question=question,
        sample_index=index,
        prompt=prompt,
        prompt_ids=encode(tokenizer, prompt),
        token_ids=tuple(ids),
        spans=spans,
        text=text,
        steps=tuple(steps),
        answer=str(question.gold),
        gold=question.gold,
        others={},
    )


Way = Callable[[Sequence[Request]], Cost]


def on_transformers(model: str, *, share: bool) -> tuple[Way, Any]:
    """One side, and the tokenizer."""
    from cot.engines.prefixes import LEAST
    from cot.engines.transformers import TransformersEngine

    engine = TransformersEngine(model)
    engine.prefixes.least = LEAST if share else sys.maxsize

    def way(requests: Sequence[Request]) -> Cost:
        prefixes = engine.prefixes
        prefixes.clear()
        before = prefixes.tokens_read, prefixes.tokens_computed
        seconds = timed(engine, requests)
        return Cost(prefixes.tokens_read - before[0], prefixes.tokens_computed - before[1], seconds)

    return way, engine.tokenizer


def on_vllm(model: str, *, share: bool) -> tuple[Way, Any]:
    """One side, and the tokenizer. What was shared is what vLLM says of each request."""
    from cot.engines.vllm import VllmEngine

    engine = VllmEngine(model, max_model_len=1024, enable_prefix_caching=share)
    inner = engine.llm.llm_engine
    step, read = inner.step, 0

    def counting() -> Any:
        nonlocal read
        outputs = step()
        for output in outputs:
            if output.finished:
                read += len(output.prompt_token_ids) - (output.num_cached_tokens or 0)
        return outputs

    inner.step = counting

    def way(requests: Sequence[Request]) -> Cost:
        nonlocal read
        read = 0
        inner.reset_prefix_cache()
        seconds = timed(engine, requests)
        return Cost(read, read, seconds)

    return way, engine.tokenizer


def timed(engine: Any, requests: Sequence[Request]) -> float:
    begin = time.perf_counter()
    assert sum(1 for _ in engine.generate(requests)) == len(requests)
    return time.perf_counter() - begin


def report(engine: str, costs: dict[str, list[Cost]]) -> None:
    """Print sums of tokens, medians of seconds, and the ratio of tokens."""
    result: dict[str, Any] = {"benchmark": "faithfulness", "engine": engine}
    for name, each in costs.items():
        result[f"{name}_tokens_read"] = sum(cost.read for cost in each)
        result[f"{name}_tokens_computed"] = sum(cost.computed for cost in each)
        result[f"{name}_seconds"] = round(statistics.median(cost.seconds for cost in each), 2)
    ratio = result["whole_tokens_computed"] / result["shared_tokens_computed"]
    faster = result["whole_seconds"] / result["shared_seconds"]
    print(
        json.dumps({**result, "faster": round(faster, 2), "ratio": round(ratio, 2), "goal": GOAL})
    )


if __name__ == "__main__":
    main()
