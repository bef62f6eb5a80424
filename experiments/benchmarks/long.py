"""Cost by length, from import to report: seconds and memory of each command at three lengths.

    python experiments/benchmarks/long.py [--questions 4] [--traces 8] [--lengths 2000 8000 32000]

Makes runs of seeded long reasoning (`long_text.py`) and a toy Qwen3 (4 layers, 64 wide, a context
of 40,960, random weights, the bundled model's tokenizer), and runs each command in a process of its
own. What a command costs whatever the length (start, imports, loads) is measured on traces of 50
tokens and taken off. `growth` is the processor time a token at the longest length over that at the
shortest; memory is the most that the process held. The model's attention grows with the square of
the length by itself: `forward` is the bare pass over the same tokens in chunks, and is taken off
what `capture` and `lens` cost. They need hours where the others need minutes: `--without-model`
leaves them out, so that the others can be measured on many traces.

The last line is JSON: seconds a trace and peak megabytes by length, the growth of each, the largest
of them as the ratio, and the goal.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from long_text import reasoning  # type: ignore[import-not-found]  # beside this file

GOAL = 1.3
SHORTEST = 50
"""Tokens of the traces that show what a command costs whatever the length."""
WORDS_PER_TOKEN = 0.6
"""To write text of about the length that is asked for."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--traces", type=int, default=8)
    parser.add_argument("--lengths", type=int, nargs="+", default=[2000, 8000, 32000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--embedder", default="all-minilm-l6-v2")
    parser.add_argument("--without-model", action="store_true")
    parser.add_argument("--forward", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.forward:
        forward(*asked.forward)
        return
    if asked.make:
        make(asked.make, asked.lengths, asked.questions, asked.traces)
        return
    lengths = sorted(asked.lengths)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "qwen3"
        every = [SHORTEST, *lengths]
        # In a process of its own: a child's peak memory begins at what its parent holds.
        making = [sys.executable, __file__, "--make", folder, "--lengths", *map(str, every)]
        making += ["--questions", str(asked.questions), "--traces", str(asked.traces)]
        subprocess.run(making, check=True, env=environment())
        n_tokens = dict(
            zip(every, json.loads((Path(folder) / "made.json").read_text()), strict=True)
        )
        measured: dict[int, dict[str, tuple[float, float]]] = {}
        for length in every:
            file = Path(folder) / f"{length}.jsonl"
            rounds = [
                measure(
                    Path(folder) / f"{length}-{i}", file, model, asked.embedder, asked.without_model
                )
                for i in range(asked.rounds)
            ]
            measured[length] = {
                name: (
                    statistics.median(each[name][0] for each in rounds),
                    max(each[name][1] for each in rounds),
                )
                for name in rounds[0]
            }
            print(f"{n_tokens[length]:>9,} tokens  {shown(measured[length])}", flush=True)
    print(json.dumps(summary(measured, n_tokens, lengths, asked.questions * asked.traces)))


def make(folder: Path, lengths: Sequence[int], questions: int, traces: int) -> None:
    """Write the model, the traces, and how many tokens the traces of each length have."""
    model = folder / "qwen3"
    make_model(model)
    counts = [
        write_traces(folder / f"{length}.jsonl", model, questions, traces, length)
        for length in lengths
    ]
    (folder / "made.json").write_text(json.dumps(counts))


def make_model(folder: Path) -> None:
    """A Qwen3 that is small in everything but its context."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from cot.models import load_tokenizer, resolve

    tokenizer = load_tokenizer(resolve("smollm2-135m-instruct"))
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=40_960,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_traces(file: Path, model: Path, questions: int, traces: int, length: int) -> int:
    """Write a file for `cot import`, and return how many tokens its traces have."""
    from cot.models import load_tokenizer, resolve

    tokenizer = load_tokenizer(resolve(str(model)))
    rng = random.Random(length)
    total = 0
    with file.open("w") as out:
        for question in range(questions):
            gold = ""
            for index in range(traces):
                text = reasoning(rng, int(length * WORDS_PER_TOKEN))
                if index == 0:  # one reference answer a question
                    gold = text.rsplit("{", 1)[1].split("}")[0]
                ids = tokenizer(text, add_special_tokens=False)["input_ids"]
                total += len(ids)
                row = {
                    "question_id": f"q{question}",
                    "question": f"How many are there in the end, in case {question}?",
                    "gold": gold,
                    "prompt": f"Case {question}: how many are there in the end?\nAnswer:",
                    "sample_index": index,
                    "text": text,
                    "token_ids": ids,
                    "finish_reason": "stop",
                }
                out.write(json.dumps(row) + "\n")
    return total


def measure(
    run: Path, file: Path, model: Path, embedder: str, without_model: bool
) -> dict[str, tuple[float, float]]:
    """Processor seconds and peak megabytes of each command, in order."""
    cot = [str(Path(sys.executable).parent / "cot")]
    here = [sys.executable, __file__]
    commands: dict[str, list[str]] = {
        "import": [*cot, "import", str(file), "--out", str(run), "--model", str(model)],
        "answers": [*cot, "answers", str(run)],
        "vote": [*cot, "vote", str(run)],
        "segment": [*cot, "segment", str(run)],
        "paths": [*cot, "paths", str(run), "--embedder", embedder],
        "forward": [*here, "--forward", str(run), str(model)],
        "capture": [*cot, "capture", str(run)],
        "lens": [*cot, "lens", str(run)],
        "probe": [*cot, "probe", str(run), "--target", "correct", "--embedder", embedder],
        "report": [*cot, "report", str(run)],
    }
    left_out = ("forward", "capture", "lens", "probe") if without_model else ()
    return {name: usage(line) for name, line in commands.items() if name not in left_out}


def usage(command: Sequence[str]) -> tuple[float, float]:
    """Processor seconds and peak megabytes of a process and its children."""
    done = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
    )
    assert done.stderr is not None
    errors = done.stderr.read()
    _, status, used = os.wait4(done.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{errors[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def environment() -> dict[str, str]:
    """One thread a process: waiting threads would count as work."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def forward(run: Path, model: Path) -> None:
    """A bare pass over the run's tokens: what any teacher forcing costs the model itself."""
    import torch
    from transformers import DynamicCache

    from cot.models import load_model, resolve
    from cot.store.run import open_run

    weights = load_model(resolve(str(model)))
    with torch.inference_mode():
        for ids in open_run(run).traces(["token_ids"])["token_ids"]:
            cache = DynamicCache(config=weights.config)
            tokens = torch.tensor(ids.tolist(), device=weights.device)[None]
            for at in range(0, tokens.shape[1], 2048):
                weights.base_model(tokens[:, at : at + 2048], past_key_values=cache, use_cache=True)


def shown(measured: dict[str, tuple[float, float]]) -> str:
    """One line of seconds and megabytes."""
    return "  ".join(f"{name} {s:.1f} s {mb:.0f} MB" for name, (s, mb) in measured.items())


def summary(
    measured: dict[int, dict[str, tuple[float, float]]],
    n_tokens: dict[int, int],
    lengths: Sequence[int],
    n_traces: int,
) -> dict[str, Any]:
    """What the benchmark came to."""
    fixed = {name: seconds for name, (seconds, _) in measured[SHORTEST].items()}

    def cost(name: str, length: int) -> float:
        """Processor seconds a token, the fixed cost and the model's own taken off."""
        seconds = measured[length][name][0] - fixed[name]
        if name in ("capture", "lens"):
            seconds -= measured[length]["forward"][0] - fixed["forward"]
        return seconds / n_tokens[length]

    growth: dict[str, float | None] = {}
    for name in fixed:
        short, long = cost(name, lengths[0]), cost(name, lengths[-1])
        # Under a hundredth of a second a trace, the difference of two starts is noise.
        small = long * n_tokens[lengths[-1]] < 0.01 * n_traces
        growth[name] = None if small or short <= 0 else round(long / short, 2)
    known = [value for name, value in growth.items() if value is not None and name != "forward"]
    return {
        "benchmark": "long",
        "traces": n_traces,
        "fixed_seconds": {name: round(seconds, 2) for name, seconds in fixed.items()},
        "seconds_a_trace": {
            str(length): {
                name: round((seconds - fixed[name]) / n_traces, 4)
                for name, (seconds, _) in measured[length].items()
            }
            for length in lengths
        },
        "megabytes": {
            str(length): {name: round(mb) for name, (_, mb) in measured[length].items()}
            for length in lengths
        },
        "growth": growth,
        "ratio": max(known, default=None),
        "goal": GOAL,
        "met": bool(known) and max(known) <= GOAL,
    }


if __name__ == "__main__":
    main()
