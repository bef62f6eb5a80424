"""Cost of `cot capture`, `cot lens` and `cot attention` beside bare passes over the traces.

    python experiments/benchmarks/capture.py RUN [--model M] [--questions 4] [--rounds 3]
    python experiments/benchmarks/capture.py RUN --tokens 4000 --questions 2 --traces 2

`bare` is what one writes by hand: a question's prompt once, then its traces from the prompt's
cache, padded on the right, with the logits that the model gives by default, keeping nothing; its
batches are there beforehand. `capture` plans, gathers eight layers at three positions, scores every
token and writes to disk; `lens` reads every layer; `attention` scores steps by every head. In one
pass, with the tables of each: `both` is `capture --also lens`, `all` is that and `--also
attention`. `backbone` is the bare pass without any logits. Rounds alternate;
each number is the median of the processor time. With `--tokens`, a question's traces are joined to
that length. With `--generate`, as many tokens are sampled again with `output_hidden_states=True`,
as those do who have not stored them (one question, once). Memory is the most that a process of its
own holds while it captures a quarter of the questions and all of them.

The last line is JSON: tokens per second of each, `ratio` (capture to bare) with its `goal` (at
least), and `shared_ratio` (both to the dearer of capture and lens) and `all_ratio` (all to the
dearest of the three) with their `shared_goal` (at most).
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

import numpy as np
import torch
from transformers import DynamicCache

from analysis.hidden_states import capture
from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.teacher_forcing import ForcedTrace, Job
from analysis.logit_lens import lens
from analysis.step_attention import attention
from cot.kept_models import keep_models
from cot.models import encode, load_model, load_tokenizer, resolve
from cot.store.run import Run, create_run, open_run
from cot.types import Completion, Question, Trace

GOAL, SHARED_GOAL = 0.9, 1.2
BATCH = 16_384
"""Tokens of a bare batch, prompts included."""
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
    parser.add_argument("--tokens", type=int, help="join a question's traces to this length")
    parser.add_argument("--traces", type=int, default=2, help="joined traces a question")
    parser.add_argument("--generate", action="store_true", help="also sample as many tokens")
    parser.add_argument("--peak", action="store_true", help="capture once; print peak memory in MB")
    asked = parser.parse_args()
    if asked.peak:
        print(_peak(asked.run, asked.model, asked.questions))
        return

    resolved = resolve(asked.model)
    # loading is not what is measured: each way takes the model that was loaded before it
    with tempfile.TemporaryDirectory() as scratch, keep_models():
        model = load_model(resolved)
        source = asked.run
        if asked.tokens:
            source = _joined(asked, load_tokenizer(resolved), model, Path(scratch) / "long")
        run = _copy(source, Path(scratch) / "run")
        capture(run, model=asked.model, limit=1, also=["lens"])  # tables and warm-up
        batches, n_tokens = _batches(run, load_tokenizer(resolved), asked.questions, model.device)
        about: dict[str, Any] = {"model": asked.model, "limit": asked.questions}
        ways: dict[str, Callable[[], object]] = {
            "capture": lambda: _afresh(run, capture, **about),
            "bare": lambda: _forward(model, batches),
            "lens": lambda: _afresh(run, lens, **about),
            "attention": lambda: _afresh(run, attention, **about),
            "both": lambda: _afresh(run, capture, also=["lens"], **about),
            "all": lambda: _afresh(run, capture, also=["lens", "attention"], **about),
            "backbone": lambda: _forward(model.base_model, batches),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(asked.rounds):
            for name, way in ways.items():
                seconds[name].append(_timed(way))
        if asked.generate:
            once = _timed(lambda: _generate(model, *batches[0]))
            seconds["generate"] = [once * n_tokens / batches[0][1].numel()]
        few = max(1, asked.questions // 4)
        peaks = {n: _peak_of_process(source, asked.model, n) for n in (few, asked.questions)}
    cost = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, taken in seconds.items():
        rate = n_tokens / cost[name]
        print(f"{name:10} {rate:8.0f} tokens/s   {[round(value, 2) for value in taken]} s")
    print("peak memory", ", ".join(f"{n} questions: {peak:.0f} MB" for n, peak in peaks.items()))
    rates = {f"{name}_tokens_per_second": round(n_tokens / each, 1) for name, each in cost.items()}
    ratios = {"ratio": round(cost["bare"] / cost["capture"], 3), "goal": GOAL}
    shared = round(cost["both"] / max(cost["capture"], cost["lens"]), 3)
    every = round(cost["all"] / max(cost[name] for name in ("capture", "lens", "attention")), 3)
    ratios |= {"shared_ratio": shared, "all_ratio": every, "shared_goal": SHARED_GOAL}
    memory = {"peak_megabytes": list(peaks.values()), "peak_questions": list(peaks)}
    about = {"benchmark": "capture", "n_tokens": n_tokens}
    print(json.dumps({**about, **rates, **memory, **ratios}))


def _joined(asked: argparse.Namespace, tokenizer: Any, model: Any, folder: Path) -> Path:
    """A run whose traces are those of RUN, joined until they have as many tokens as asked."""
    old, forcing = open_run(asked.run), HookTeacherForcing(model)
    traces = old.traces(["token_ids", "prompt_sha"])
    prompts = old.prompts().set_index("prompt_sha")
    run = create_run(folder, {"model": asked.model})
    names = traces["question_id"].unique()[: asked.questions].tolist()
    golds = old.questions().set_index("question_id")["gold"]
    with run.lock(), run.writer() as writer:
        run.add_questions([Question(id=name, text=name, gold=golds[name]) for name in names])
        for name in names:
            rows = traces[traces["question_id"] == name]
            sha = rows["prompt_sha"].iloc[0]
            stored = prompts.loc[sha]
            text = stored["text"] or tuple(stored["messages"])
            run.add_prompts({sha: (text, list(encode(tokenizer, text)))})
            prompt = list(encode(tokenizer, text))
            parts = [list(ids) for ids in rows["token_ids"]]
            for index in range(asked.traces):
                turned = [int(token) for part in parts[index:] + parts[:index] for token in part]
                ids = (turned * (1 + asked.tokens // len(turned)))[: asked.tokens]
                spots = np.empty((0, 2), np.int64)
                job = Job(
                    question_id=name,
                    prompt_ids=prompt,
                    traces=[ForcedTrace(sample_index=index, token_ids=ids, spots=spots)],
                )
                *_, forced = forcing.forward([job], [0])
                done = Completion(
                    text=tokenizer.decode(ids, skip_special_tokens=True),
                    token_ids=tuple(ids),
                    logprobs=forced.logprobs,
                    finish_reason="stop",
                )
                key = {"question_id": name, "sample_index": index, "seed": None}
                writer.add(Trace(**key, prompt_sha=sha, completion=done))
    return folder


def _peak(run: Path, model: str, questions: int) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        _afresh(_copy(run, Path(scratch) / "run"), capture, model=model, limit=questions)
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


def _afresh(run: Run, analysis: Callable[..., object], **asked: Any) -> None:
    shutil.rmtree(run.path / "activations", ignore_errors=True)
    analysis(run, **asked)


def _forward(model: Any, batches: Sequence[Batch]) -> None:
    for prompt, ids in batches:
        cache = DynamicCache(config=model.config)
        model(input_ids=prompt, past_key_values=cache, use_cache=True)
        shared = copy.deepcopy(cache)
        shared.batch_repeat_interleave(len(ids))
        model(input_ids=ids, past_key_values=shared, use_cache=True)


def _batches(run: Run, tokenizer: Any, questions: int, device: Any) -> tuple[list[Batch], int]:
    """Each question's batches, and the tokens of its prompt (once) and traces, without padding."""
    traces = run.traces(["token_ids", "prompt_sha"])
    prompts = run.prompts().set_index("prompt_sha")
    batches, n_tokens = [], 0
    for name in traces["question_id"].unique()[:questions]:
        rows = traces[traces["question_id"] == name]
        stored = prompts.loc[rows["prompt_sha"].iloc[0]]
        start = torch.tensor([list(encode(tokenizer, stored["text"] or tuple(stored["messages"])))])
        each = [torch.tensor(ids, dtype=torch.long) for ids in rows["token_ids"]]
        most = max(1, BATCH // (start.shape[1] + max(map(len, each))))
        for first in range(0, len(each), most):
            ids = torch.nn.utils.rnn.pad_sequence(each[first : first + most], batch_first=True)
            batches.append((start.to(device), ids.to(device)))
        n_tokens += start.shape[1] + sum(len(one) for one in each)
    return batches, n_tokens


def _timed(way: Callable[[], object]) -> float:
    """Processor time on a CPU, which other work doesn't stretch; wall time on a GPU."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = clock()
    with torch.inference_mode():
        way()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - start


if __name__ == "__main__":
    main()
