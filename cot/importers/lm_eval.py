"""Samples of lm-evaluation-harness: `lm_eval ... --log_samples`, `samples_TASK_DATE.jsonl`.

    {"doc_id": 0, "doc": {"question": "5 + 7?", "answer": "5 and 7 make 12.\\n#### 12"},
     "target": "5 and 7 make 12.\\n#### 12", "filter": "strict-match", "filtered_resps": ["12"],
     "arguments": {"gen_args_0": {"arg_0": "Q: 5 + 7?\\nA:", "arg_1": {"until": ["Q:"]}}},
     "resps": [["The answer is 12.", "13"]], "doc_hash": "99da...", "exact_match": 1.0}

Repeats are samples; one that is null is rejected alone. A doc stands once for each filter, with the
same `resps`: its traces are read once, and their meta keeps the filters' names and what each filter
scored (`scores`: {"strict-match": {"exact_match": 1.0}}), which is the doc's score and not the
trace's. Written by `EvaluationTracker` since 0.4.3 (lm_eval/loggers/evaluation_tracker.py, read up
to 0.4.13); until 0.4.2 the file was one JSON list, with `arguments` as lists; `filter` came with
0.4.7, and targets are written as Python's `str` since 0.4.4.

Where several targets count as right, the first is gold and all are `targets` in the question's
meta: TriviaQA's "['United States', 'USA']", DROP's "[('3',), ('three',)]". An answer of several
spans is one target, its spans joined by a comma. The file does not say why a trace ended.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cot.datasets import cells
from cot.datasets.layouts import USUAL, solution
from cot.errors import InputError
from cot.importers import fields as check
from cot.importers.chat import plain_prompt
from cot.importers.fields import BadRecordError, Record, Rejected
from cot.importers.lines import read_lines
from cot.types import Completion, Message, Question

__all__ = ["read_lm_eval"]

OF_SAMPLE = frozenset(
    ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics")
    + ("doc_hash", "prompt_hash", "target_hash")
)
"""Fields of a line that are no metric."""
Scores = dict[str, dict[str, Any]]
"""Filter (or its number, where the file does not name it) to metric to value."""


def read_lm_eval(path: Path) -> Iterator[Record | Rejected]:
    """Each repeat of each doc, checked. The file is read twice: filters first."""
    scores: dict[bytes, Scores] = {}
    for _ in read_lines(path, lambda _, fields: _note(scores, fields), nan=None):
        pass
    seen: dict[bytes, list[str | None]] = {}
    names: dict[str, list[bytes]] = {}

    def read(place: str, fields: Mapping[str, Any]) -> Iterator[Record | Rejected]:
        missing = [name for name in ("doc_id", "arguments", "resps") if name not in fields]
        if missing:
            there = check.listed(fields.keys())
            raise BadRecordError(f"no field {', '.join(missing)}; the line has: {there}")
        digest, name = _digest(fields, "resps"), fields.get("filter")
        again = digest in seen and (name is None or name not in seen[digest])
        seen.setdefault(digest, []).append(name)
        if not again:
            yield from _repeats(place, fields, _name(names, fields), scores.get(digest, {}))

    return read_lines(path, read, nan=None)


def _note(scores: dict[bytes, Scores], fields: Mapping[str, Any]) -> Iterator[Record]:
    """Add what a line's filter scored to that of its doc."""
    there = scores.setdefault(_digest(fields, "resps"), {})
    name = fields["filter"] if isinstance(fields.get("filter"), str) else str(len(there) + 1)
    there[name] = {metric: fields[metric] for metric in fields if metric not in OF_SAMPLE}
    return iter(())


def _name(names: dict[str, list[bytes]], fields: Mapping[str, Any]) -> str:
    """The doc's id; `3-2` for the second doc 3 of a file that joins several tasks."""
    name = check.identifier(fields, "doc_id")
    docs, digest = names.setdefault(name, []), _digest(fields)
    if digest not in docs:
        docs.append(digest)
    number = docs.index(digest) + 1
    return name if number == 1 else f"{name}-{number}"


def _digest(fields: Mapping[str, Any], *more: str) -> bytes:
    """What makes two lines the same question; with `resps`, the same traces."""
    content = [fields.get(name) for name in ("doc_id", "doc", "target", "arguments", *more)]
    try:
        text = json.dumps(content, sort_keys=True)
    except RecursionError:
        raise BadRecordError("nested too deeply") from None
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _repeats(
    place: str, fields: Mapping[str, Any], name: str, scores: Scores
) -> Iterator[Record | Rejected]:
    prompt, settings = _request(fields)
    question = _question(name, prompt, fields)
    meta: dict[str, Any] = {"gen_kwargs": settings}
    if isinstance(fields.get("filter"), str):
        meta["filters"] = list(scores)
    if any(scores.values()):
        meta["scores"] = scores
    for index, text in enumerate(fields["resps"][0]):
        if text is None:
            yield Rejected(
                place=place, reason=f"resps[0][{index}] is null: the model returned nothing"
            )
            continue
        try:
            yield check.make_record(
                place=place,
                question=question,
                index=index,
                prompt=prompt,
                completion=Completion(
                    text=text, token_ids=None, logprobs=None, finish_reason="stop"
                ),
                meta=meta,
            )
        except BadRecordError as error:
            yield Rejected(place=place, reason=f"resps[0][{index}]: {error}")


def _request(fields: Mapping[str, Any]) -> tuple[str | tuple[Message, ...], Any]:
    """(prompt, settings) of the one request for text that a doc makes."""
    arguments = fields.get("arguments")
    if isinstance(arguments, dict):
        arguments = list(arguments.values())
    if not isinstance(arguments, list) or not arguments:
        raise BadRecordError("arguments holds no request")
    first = arguments[0]
    if isinstance(first, dict):
        first = list(first.values())
    resps = fields.get("resps")
    if not isinstance(resps, list) or not resps or not all(isinstance(r, list) for r in resps):
        raise BadRecordError("resps is not a list of lists")
    if not isinstance(first, list) or len(first) < 2 or not _are_texts(resps):
        raise BadRecordError(
            "resps are log-likelihoods, which hold no text: import a task that generates "
            "(output_type generate_until; of multiple choice, a variant of the task that asks for "
            "the answer in words)"
        )
    if len(resps) != 1:
        raise BadRecordError(f"resps answer {len(resps)} prompts: only docs of one are read")
    if not resps[0]:
        raise BadRecordError("resps is empty")
    return _prompt(first[0]), first[1]


def _are_texts(resps: list[list[Any]]) -> bool:
    return all(text is None or isinstance(text, str) for repeats in resps for text in repeats)


def _prompt(prompt: Any) -> str | tuple[Message, ...]:
    """Text, or the messages that chat models are given as JSON, alone in a list."""
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise BadRecordError("the prompt in arguments is not a string")
    if prompt.startswith('[{"role"'):
        with suppress(ValueError, RecursionError):
            return plain_prompt(json.loads(prompt)) or prompt
    return prompt


def _question(name: str, prompt: str | tuple[Message, ...], fields: Mapping[str, Any]) -> Question:
    doc = fields.get("doc")
    columns = doc if isinstance(doc, dict) else {} if doc is None else {"doc": doc}
    lower = {column.lower(): column for column in columns}
    texts = (columns[lower[usual]] for usual in USUAL["question"] if usual in lower)
    text = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    if text is None:
        text = prompt if isinstance(prompt, str) else prompt[-1]["content"]
    targets = _targets(fields.get("target"))
    choices = _choices(columns)
    letter = _letter(targets[0], choices, columns) if targets and choices else None
    stated = cells.worked(targets[0]) if targets and isinstance(targets[0], str) else None
    golds = [gold for gold in map(_gold, targets) if gold is not None]
    return Question(
        id=name,
        text=text.strip(),
        gold=letter or (golds[0] if golds else None),
        choices=choices if letter else None,
        dataset="imported",
        meta={
            **columns,
            **({"targets": golds} if len(golds) > 1 else {}),
            **(solution(stated[0]) if stated else {}),
        },
    )


def _gold(target: str | int | float) -> str | None:
    return check.gold(target) if check.is_int(target) else cells.gold(target)


def _targets(target: Any) -> list[str | int | float]:
    """The target or targets; a list of texts may be written as Python's."""
    if isinstance(target, str) and target[:1] in ("[", "(") and len(target) < 100_000:
        with (
            suppress(ValueError, SyntaxError, MemoryError, RecursionError),
            warnings.catch_warnings(action="ignore"),  # of escapes that Python doesn't know
        ):
            return _spans(ast.literal_eval(target)) or [target]
    if isinstance(target, list | tuple):
        whole = _spans(target)
        return whole or [each for each in target if isinstance(each, str | int | float)]
    return [target] if isinstance(target, str | int | float) else []


def _spans(value: Any) -> list[str | int | float]:
    """Texts of a list of texts or of lists of spans, or none where it holds anything else."""
    if not isinstance(value, list | tuple) or not value:
        return []
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        return [", ".join(value)]
    targets: list[str | int | float] = []
    for each in value:
        spans = [each] if isinstance(each, str) else each
        if not (isinstance(spans, list | tuple) and all(isinstance(span, str) for span in spans)):
            return []
        targets.append(", ".join(spans))
    return targets


def _choices(columns: Mapping[str, Any]) -> tuple[str, ...] | None:
    for name in USUAL["choices"]:
        with suppress(InputError, OverflowError):
            if found := cells.options(columns.get(name)):
                return found
    return None


def _letter(target: Any, choices: tuple[str, ...], columns: Mapping[str, Any]) -> str | None:
    """The letter of the gold choice, or None where the target is none of the choices."""
    listed = next((columns[name] for name in USUAL["choices"] if columns.get(name)), None)
    labels = listed.get("label") if isinstance(listed, dict) else None
    index = int(target) if isinstance(target, str) and re.fullmatch(r"\d{1,2}", target) else None
    for value in (target, index):
        with suppress(InputError, OverflowError):
            return cells.choice(value, choices, labels, "", "target")
    return None
