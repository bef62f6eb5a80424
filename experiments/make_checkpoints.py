"""Checkpoints of one training, for `11_checkpoints.toml`: a model fine-tuned on arithmetic.

    python experiments/make_checkpoints.py --out runs/checkpoints

A plain loop of AdamW over the worked solutions of made word problems; the loss is the mean over a
solution's tokens. Checkpoints are saved as folders that `--model` loads: the last step, half of it,
a quarter, and so on, as most changes early. No question is one that the experiment asks: the whole
dataset of the experiment file is held out by its text, and that is asserted before the first step.
Sums of small numbers do recur, as there are few of them; how many is printed.

Another training's checkpoints need no script: name their folders, or revisions on the hub, in the
experiment file.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers.utils import logging

from analysis.experiments import load_experiment
from cot import datasets
from cot.errors import ConsilienceError, InputError
from cot.models import load_model, load_tokenizer, resolve
from cot.progress import track
from cot.store.atomic import new_folder
from cot.types import Question

HERE = Path(__file__).parent
PROMPT = "Question: {question}\nAnswer:"
"""The last part of the prompt `few_shot_cot` in text form."""
WARM_UP = 10
"""Steps over which the learning rate rises from 0."""
IGNORED = -100
"""The label of a token that is not learnt."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the model is trained."""

    steps: int
    """Updates of the weights."""
    batch: int
    """Questions a step."""
    rate: float
    """The learning rate after the warm-up."""
    seed: int
    """Of the questions' order."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/checkpoints"), help="new folder")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="what is trained")
    parser.add_argument(
        "--data",
        nargs="+",
        default=[f"arithmetic:level=1-2,seed={seed}" for seed in range(1, 5)],
        help="datasets of made questions to learn from",
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        default=HERE / "11_checkpoints.toml",
        help="experiment whose questions are not learnt",
    )
    parser.add_argument("--steps", type=int, default=64)
    parser.add_argument("--checkpoints", type=int, default=3, help="how many are saved")
    parser.add_argument("--batch", type=int, default=4, help="questions a step")
    parser.add_argument("--rate", type=float, default=5e-5, help="learning rate")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    logging.disable_progress_bar()  # a bar a file that is written
    try:
        _make(given)
    except ConsilienceError as error:
        sys.exit(f"error: {error}")


def _make(given: argparse.Namespace) -> None:
    if given.out.exists():
        raise InputError(f"{given.out} exists: choose another --out, or remove it")
    training = Training(steps=given.steps, batch=given.batch, rate=given.rate, seed=given.seed)
    saved = saved_steps(given.steps, given.checkpoints)
    asked = load_experiment(given.held_out).dataset
    if asked is None:
        raise InputError(f"{given.held_out}: it samples no dataset whose questions to hold out")
    held_out = datasets.load(asked)
    offered = [question for name in given.data for question in datasets.load(name)]
    learnt = held_apart(offered, held_out)
    print(
        f"{len(learnt)} questions to learn from; {len(offered) - len(learnt)} left out, as "
        f"{asked} asks them or they are offered twice"
    )
    print(
        f"{_share_of_equations(held_out, learnt):.0%} of the equations of {asked} recur among them"
    )
    source = resolve(given.model)
    model, tokenizer = load_model(source), load_tokenizer(source)
    for step, loss in train(model, tokenizer, learnt, training):
        if step not in saved:
            continue
        folder = given.out / f"step-{step:0{len(str(given.steps))}d}"
        about = {"model": source.name, "revision": source.revision, **vars(training)}
        with new_folder(folder) as unfinished:
            model.save_pretrained(unfinished)
            tokenizer.save_pretrained(unfinished)
            note = {**about, "step": step, "data": given.data, "loss": round(loss, 4)}
            (unfinished / "training.json").write_text(json.dumps(note, indent=2))
        print(f"{folder}: loss {loss:.3f}", flush=True)


def saved_steps(steps: int, checkpoints: int) -> list[int]:
    """The last step, half of it, a quarter, ...

    Raises:
        InputError: there are not as many.
    """
    found = [steps // 2**each for each in range(checkpoints)]
    if checkpoints < 1 or found[-1] < 1:
        raise InputError(f"--checkpoints is {checkpoints}: {steps} steps can't be halved so often")
    return found[::-1]


def held_apart(offered: Sequence[Question], held_out: Sequence[Question]) -> list[Question]:
    """The questions offered, each once, but for those that are held out."""
    asked = {_normal(question.text) for question in held_out}
    learnt = {_normal(question.text): question for question in offered}
    found = [question for text, question in learnt.items() if text not in asked]
    assert not {_normal(question.text) for question in found} & asked
    if not found:
        raise InputError("no question is left to learn from: give other --data")
    return found


def train(
    model: Any, tokenizer: Any, questions: Sequence[Question], training: Training
) -> Iterator[tuple[int, float]]:
    """Train the model in place; yields each step, from 1, and its loss in nats a token."""
    torch.manual_seed(training.seed)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=training.rate, weight_decay=0.0)
    warm = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1, (step + 1) / WARM_UP))
    order = _order(len(questions), training)
    with track("training", total=training.steps, unit="steps") as advance:
        for step in range(1, training.steps + 1):
            chosen = [questions[next(order)] for _ in range(training.batch)]
            loss = model(**_batch(tokenizer, chosen, model.device)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            warm.step()
            optimiser.zero_grad()
            advance(1)
            yield step, loss.item()


def _order(n: int, training: Training) -> Iterator[int]:
    """Places of questions: all of them in a random order, then again in another."""
    random = Random(training.seed)
    while True:
        yield from random.sample(range(n), n)


def _batch(tokenizer: Any, questions: Sequence[Question], device: Any) -> dict[str, torch.Tensor]:
    """Prompts and solutions, padded on the right, [question, token]; only solutions are learnt."""
    rows, labels = [], []
    for question in questions:
        solution = " " + question.meta["solution"].replace("\n", " ")
        prompt = tokenizer(PROMPT.format(question=question.text))["input_ids"]
        learnt = [*tokenizer(solution)["input_ids"], tokenizer.eos_token_id]
        rows.append(torch.tensor([*prompt, *learnt]))
        labels.append(torch.tensor([IGNORED] * len(prompt) + learnt))
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_ids": pad(rows, batch_first=True).to(device),
        "attention_mask": pad([torch.ones_like(row) for row in rows], batch_first=True).to(device),
        "labels": pad(labels, batch_first=True, padding_value=IGNORED).to(device),
    }


def _share_of_equations(held_out: Sequence[Question], learnt: Sequence[Question]) -> float:
    """How much of what the held-out solutions compute stands in a learnt one."""
    known = {each for question in learnt for each in _equations(question)}
    asked = [each for question in held_out for each in _equations(question)]
    return sum(each in known for each in asked) / max(1, len(asked))


def _equations(question: Question) -> list[str]:
    return re.findall(r"\d+ [-+*/] \d+ = \d+", question.meta["solution"])


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())


if __name__ == "__main__":
    main()
