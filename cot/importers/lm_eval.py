"""Samples of lm-evaluation-harness: `lm_eval ... --log_samples`, `samples_TASK_DATE.jsonl`.

    {"doc_id": 0, "doc": {"question": "5 + 7?", "answer": "5 and 7 make 12.\\n#### 12"},
     "target": "5 and 7 make 12.\\n#### 12", "filter": "strict-match", "filtered_resps": ["12"],
     "arguments": {"gen_args_0": {"arg_0": "Q: 5 + 7?\\nA:", "arg_1": {"until": ["Q:"]}}},
     "resps": [["The answer is 12.", "13"]], "doc_hash": "99da...", "exact_match": 1.0}

Repeats are samples. A doc stands once for each filter, with the same `resps`: its traces are read
once, and the filters' names are kept in their meta. Written by `EvaluationTracker` since 0.4.3
(lm_eval/loggers/evaluation_tracker.py); until 0.4.2 the file was one JSON list, with `arguments` as
lists; `filter` came with 0.4.7, and targets are written as Python's `str` since 0.4.4. The file
does not say why a trace ended: all are `stop`.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cot.datasets import cells
from cot.datasets.columns import USUAL
from cot.datasets.presets import solution
from cot.errors import InputError
from cot.importers import fields as check
from cot.importers.chat import plain_prompt
from cot.importers.lines import read_lines
from cot.importers.record import BadRecordError, Record, Rejected
from cot.types import Completion, Message, Question

__all__ = ["read_lm_eval"]

Seen = dict[bytes, list[str]]
"""A doc with its responses to the filters under which it was seen."""


def read_lm_eval(path: Path) -> Iterator[Record | Rejected]:
    """Each repeat of each doc, checked. The file is read twice: filters first."""
    filters: Seen = {}
    for _ in _objects(path, lambda _, fields: _note(filters, fields)):
        pass
    seen: Seen = {}
    names: dict[str, list[bytes]] = {}

    def read(place: str, fields: Mapping[str, Any]) -> Iterator[Record | Rejected]:
        missing = [name for name in ("doc_id", "arguments", "resps") if name not in fields]
        if missing:
            there = check.listed(fields.keys())
            raise BadRecordError(f"no field {', '.join(missing)}; the line has: {there}")
        digest, name = _digest(fields, "resps"), fields.get("filter")
        again = digest in seen and name not in (seen[digest] if name is not None else ())
        _note(seen, fields)
        if not again:
            yield from _repeats(place, fields, _name(names, fields), filters.get(digest, []))

    return _objects(path, read)


def _objects(path: Path, read: Any) -> Iterator[Record | Rejected]:
    """The lines, or the entries of the JSON list that 0.4.2 wrote."""
    with open(path, "rb") as handle:
        if handle.read(1024).lstrip()[:1] != b"[":
            yield from read_lines(path, read, nan=None)
            return
    try:
        entries = json.loads(path.read_bytes(), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON that can be read: {error}") from None
    for number, fields in enumerate(entries, start=1):
        try:
            if not isinstance(fields, dict):
                raise BadRecordError("not a JSON object")
            yield from read(f"entry {number}", fields)
        except BadRecordError as error:
            yield Rejected(place=f"entry {number}", reason=str(error))


def _note(seen: Seen, fields: Mapping[str, Any]) -> Iterator[Record]:
    """Add a line's filter to those of its doc."""
    there = seen.setdefault(_digest(fields, "resps"), [])
    if isinstance(fields.get("filter"), str) and fields["filter"] not in there:
        there.append(fields["filter"])
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
    place: str, fields: Mapping[str, Any], name: str, filters: list[str]
) -> Iterator[Record]:
    prompt, settings = _request(fields)
    question = _question(name, prompt, fields)
    texts = fields["resps"][0]
    meta = {"filters": filters, "gen_kwargs": settings} if filters else {"gen_kwargs": settings}
    for index, text in enumerate(texts):
        yield check.make_record(
            place=place,
            question=question,
            index=index,
            prompt=prompt,
            completion=Completion(text=text, token_ids=None, logprobs=None, finish_reason="stop"),
            meta=meta,
        )


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
            "resps are log-likelihoods, which hold no text: import a task that generates"
        )
    if len(resps) != 1:
        raise BadRecordError(f"resps answer {len(resps)} prompts: only docs of one are read")
    if not resps[0]:
        raise BadRecordError("resps is empty")
    return _prompt(first[0]), first[1]


def _are_texts(resps: list[list[Any]]) -> bool:
    return all(isinstance(text, str) for repeats in resps for text in repeats)


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
    return Question(
        id=name,
        text=text.strip(),
        gold=letter or (_gold(targets[0]) if targets else None),
        choices=choices if letter else None,
        dataset="imported",
        meta={
            **columns,
            **({"targets": targets} if len(targets) > 1 else {}),
            **(solution(stated[0]) if stated else {}),
        },
    )


def _gold(target: str | int | float) -> str | None:
    return check.gold(target) if check.is_int(target) else cells.gold(target)


def _targets(target: Any) -> list[str | int | float]:
    """The target or targets; a list of strings may be written as Python's."""
    if isinstance(target, str) and target[:2] in ("['", '["') and len(target) < 100_000:
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            target = ast.literal_eval(target)
    targets = target if isinstance(target, list) else [target]
    return [each for each in targets if isinstance(each, str | int | float)]


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
