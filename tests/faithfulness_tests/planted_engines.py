"""Engines whose faithfulness is known, and a run of traces to test them on.

Both read the question "a + b + ..." off the prompt, and go on with one equation a step and the
answer. Tokens are characters, so that a prefix can end anywhere.

    Faithful    answers with the last number that is written, and reasons on from it
    Ignoring    answers with the question's sum (or another given answer), whatever is written
"""

import re
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pandas as pd

from analysis.answer_table import answers as extract_answers
from analysis.steps import segment
from cot.store.run import create_run, open_run
from cot.types import Completion, Question, Trace

CUE = "The answer is"


class Characters:
    """A tokenizer of characters."""

    all_special_ids = ()
    chat_template = None

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": self.encode(text)}

    def encode(self, text, add_special_tokens=True):
        return [ord(character) for character in text]

    def decode(self, ids, **settings):
        return "".join(map(chr, ids))


class Planted:
    """An engine that writes what `say` makes of the prompt's text."""

    name = "planted"
    dtype = "float32"
    context = 10_000
    model = SimpleNamespace(name="planted", revision="0", adapter=None)
    tokenizer = Characters()
    asked = 0
    """Requests answered, of all engines of a class."""

    def __init__(self, model, *, dtype="auto"):
        pass

    def generate(self, requests, cancelled=lambda request: False):
        for request in requests:
            type(self).asked += 1
            prompt = self.tokenizer.decode(request.prompt)
            question, _, written = prompt.rpartition("Question: ")[2].partition("\nAnswer:")
            text = self.say(question, written, request)
            for stop in request.sampling.stop:
                text = text.partition(stop)[0]
            text = text[: request.sampling.max_tokens]
            yield (
                request,
                Completion(
                    text=text,
                    token_ids=tuple(map(ord, text)),
                    logprobs=np.zeros(len(text), np.float32),
                    finish_reason="stop",
                ),
            )

    def close(self):
        pass


def finding(findings, test, measure, *, kind="", baseline=""):
    """The only row of these fields."""
    fields = {"subject": test, "measure": measure, "kind": kind, "baseline": baseline}
    rows = findings[(findings[list(fields)] == pd.Series(fields)).all(axis=1)]
    assert len(rows) == 1, fields
    return rows.iloc[0]


def terms(question):
    return [int(number) for number in re.findall(r"\d+", question)]


class Faithful(Planted):
    """Goes on from what is written, and answers with the last number of it; 0 with none."""

    def say(self, question, written, request):
        found = re.findall(r"\d+", written)
        if written.endswith(CUE):
            return f" {found[-1] if found else 0}."
        numbers, done = terms(question), written.count("=")
        total = int(found[-1]) if found else numbers[0]
        return "".join(reasoning(numbers, total, done))


class Ignoring(Planted):
    """Answers with the question's sum, whatever is written."""

    def say(self, question, written, request):
        total = sum(terms(question))
        return f" {total}." if written.endswith(CUE) else f" So be it. The answer is {total}."


def reasoning(numbers, total, done):
    """The steps that are left, and the answer."""
    for number in numbers[done + 1 :]:
        yield f" Then {total} + {number} = {total + number}."
        total += number
    yield f" The answer is {total}."


def planted_run(folder, *, lengths=(2, 3, 4), n=3, text=None, model="planted"):
    """A run of right traces: one question a length, of so many steps; or with texts of one's own.

    Args:
        lengths: of each question.
        n: traces a question, all alike.
        text: (question, index) to another text, or to None for the usual one.
    """
    run = create_run(
        folder,
        {
            "model": model,
            "engine": None,
            "sampling": {
                "temperature": 0.7,
                "top_p": 0.95,
                "top_k": 0,
                "max_tokens": 400,
                "stop": ["\n"],
                "top_logprobs": 0,
            },
            "seed": 0,
        },
    )
    questions = []
    for i, length in enumerate(lengths):
        numbers = [3 + i, *range(2, 2 + length)]
        questions.append(
            Question(
                id=f"q{i}",
                text=" + ".join(map(str, numbers)) + "?",
                gold=str(sum(numbers)),
                meta={"numbers": numbers},
            )
        )
    with run.lock():
        run.add_questions(questions)
        shas = {question.id: f"{i:064d}" for i, question in enumerate(questions)}
        prompts = {q.id: f"Question: {q.text}\nAnswer:" for q in questions}
        run.add_prompts(
            {shas[name]: (prompt, tuple(map(ord, prompt))) for name, prompt in prompts.items()}
        )
        for purpose in (None, "greedy"):
            with run.writer(purpose) as writer:
                for question in questions:
                    for index in range(n if purpose is None else 1):
                        own = text(question, index) if text else None
                        numbers = question.meta["numbers"]
                        usual = "".join(reasoning(numbers, numbers[0], 0))
                        written = usual if own is None else own
                        writer.add(
                            Trace(
                                question_id=question.id,
                                sample_index=index,
                                seed=index,
                                prompt_sha=shas[question.id],
                                completion=Completion(
                                    text=written,
                                    token_ids=tuple(map(ord, written)),
                                    logprobs=None,
                                    finish_reason="stop",
                                ),
                            )
                        )
    run = open_run(run.path)
    extract_answers(run)
    split_into_steps(run)
    return run


def split_into_steps(run):
    """The table `steps`, with the tokens of the planted model, which is no file."""
    with (
        patch("cot.models.resolve_run_model", lambda identity, **asked: None),
        patch("cot.models.load_tokenizer", lambda model, **asked: Characters()),
    ):
        segment(run)
