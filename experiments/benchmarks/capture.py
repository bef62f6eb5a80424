"""Speed and memory of `cot capture` beside bare forward passes over the same traces.

    python experiments/benchmarks/capture.py RUN [--model M] [--questions 4] [--rounds 3]

`bare` is what one writes by hand: a question's prompt once, then all of its traces from the
prompt's cache, padded on the right, with the logits that the model gives by default, keeping
nothing; its batches are there beforehand. `capture` plans, gathers eight layers at three positions,
scores every token and writes to disk. `backbone` is the bare pass without any logits, `generate`
samples as many tokens again with `output_hidden_states=True`, as those do who have not stored them
(one question, once). Rounds alternate. Memory is the most that a process of its own holds while it
captures a quarter of the questions and all of them.

The last line is JSON: tokens per second of each, the ratio of capture to bare, and the goal.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from analysis.hidden_states import capturing
from analysis.hidden_states.capturing import capture
from cot.models import encode, load_model, load_tokenizer, resolve
from cot.store.run import Run, open_run

GOAL = 0.9
Batch = tuple[torch.Tensor, torch.Tensor]
"""A question's prompt [1, token] and its traces' ids, padded on the right [trace, token]."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", action="store_true", help="capture once; print peak memory in MB")
    asked = parser.parse_args()
    if asked.peak:
        print(_peak(asked.run, asked.model, asked.questions))
        return

    resolved = resolve(asked.model)
    model = load_model(resolved)
    capturing.load_model = lambda *_, **__: model  # loading is not what is measured
    with tempfile.TemporaryDirectory() as scratch:
        run = _copy(asked.run, Path(scratch) / "run")
        capture(run, model=asked.model, limit=1)  # tables and warm-up
        batches, n_tokens = _batches(run, load_tokenizer(resolved), asked.questions, model.device)
        ways: dict[str, Callable[[], object]] = {
            "capture": lambda: _capture(run, asked.model, asked.questions),
            "bare": lambda: _forward(model, batches),
            "backbone": lambda: _forward(model.base_model, batches),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(asked.rounds):
            for name, way in ways.items():
                seconds[name].append(_timed(way))
        generated = batches[0][1].numel()
        seconds["generate"] = [_timed(lambda: _generate(model, *batches[0])) * n_tokens / generated]
    speed = {name: n_tokens / statistics.median(taken) for name, taken in seconds.items()}
    for name, taken in seconds.items():
        print(f"{name:10} {speed[name]:8.0f} tokens/s   {[round(value, 2) for value in taken]} s")
    few = max(1, asked.questions // 4)
    peaks = {n: _peak_of_process(asked.run, asked.model, n) for n in (few, asked.questions)}
    print("peak memory", ", ".join(f"{n} questions: {peak:.0f} MB" for n, peak in peaks.items()))
    rates = {f"{name}_tokens_per_second": round(value, 1) for name, value in speed.items()}
    ratio = round(speed["capture"] / speed["bare"], 3)
    memory = {"peak_megabytes": list(peaks.values()), "peak_questions": list(peaks)}
    print(json.dumps({"benchmark": "capture", **rates, **memory, "ratio": ratio, "goal": GOAL}))


def _peak(run: Path, model: str, questions: int) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        _capture(_copy(run, Path(scratch) / "run"), model, questions)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _peak_of_process(run: Path, model: str, questions: int) -> float:
    """A process's peak never falls, so that each number of questions needs its own."""
    command = [sys.executable, __file__, str(run), "--peak", f"--model={model}"]
    done = subprocess.run(
        [*command, f"--questions={questions}"], capture_output=True, text=True, check=True
    )
    return round(float(done.stdout.split()[-1]), 1)


def _generate(model: Any, prompt: torch.Tensor, ids: torch.Tensor) -> None:
    model.generate(
        prompt.expand(len(ids), -1),
        attention_mask=torch.ones_like(prompt).expand(len(ids), -1),
        do_sample=True,
        min_new_tokens=ids.shape[1],
        max_new_tokens=ids.shape[1],
        output_hidden_states=True,
        return_dict_in_generate=True,
        pad_token_id=0,
    )


def _copy(source: Path, target: Path) -> Run:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("activations"))
    return open_run(target)


def _capture(run: Run, model: str, questions: int) -> None:
    shutil.rmtree(run.path / "activations", ignore_errors=True)
    capture(run, model=model, limit=questions)


def _forward(model: Any, batches: Sequence[Batch]) -> None:
    for prompt, ids in batches:
        cache = DynamicCache(config=model.config)
        model(input_ids=prompt, past_key_values=cache, use_cache=True)
        shared = copy.deepcopy(cache)
        shared.batch_repeat_interleave(len(ids))
        model(input_ids=ids, past_key_values=shared, use_cache=True)


def _batches(run: Run, tokenizer: Any, questions: int, device: Any) -> tuple[list[Batch], int]:
    """Each question's batch, and the tokens of its prompt (once) and traces, without padding."""
    traces = run.traces(["token_ids", "prompt_sha"])
    prompts = run.prompts().set_index("prompt_sha")
    batches, n_tokens = [], 0
    for name in traces["question_id"].unique()[:questions]:
        rows = traces[traces["question_id"] == name]
        stored = prompts.loc[rows["prompt_sha"].iloc[0]]
        start = torch.tensor([list(encode(tokenizer, stored["text"] or tuple(stored["messages"])))])
        each = [torch.tensor(ids, dtype=torch.long) for ids in rows["token_ids"]]
        ids = torch.nn.utils.rnn.pad_sequence(each, batch_first=True)
        batches.append((start.to(device), ids.to(device)))
        n_tokens += start.shape[1] + sum(len(one) for one in each)
    return batches, n_tokens


def _timed(way: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    with torch.inference_mode():
        way()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
