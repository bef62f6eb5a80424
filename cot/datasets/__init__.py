"""Where questions come from: made (`arithmetic`), a file, or the Hugging Face hub.

load("arithmetic:level=1-3,seed=7")
load("questions.jsonl", question_column="problem")
load("openai/gsm8k", split="test")
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random

from cot import registry
from cot.datasets.cells import plain
from cot.datasets.dataset_hub import read_hub
from cot.datasets.layouts import HUB_PRESETS, PRESETS, SUBSETS, Columns, Parsed, reader, recognise
from cot.datasets.rows import SUFFIXES, Row, read_file
from cot.errors import InputError
from cot.types import Question

__all__ = ["fingerprint", "load", "select"]


def load(
    name: str,
    *,
    subset: str | None = None,
    split: str | None = None,
    preset: str | None = None,
    question_column: str | None = None,
    answer_column: str | None = None,
    choices_column: str | None = None,
    id_column: str | None = None,
) -> list[Question]:
    """All questions of a dataset, in its order.

    Args:
        name: a registered dataset, with parameters after a colon; a file; or a hub id.
        subset: configuration of a hub dataset.
        split: split of a hub dataset; test, else validation, else train.
        preset: one of `PRESETS`; known hub ids and layouts pick theirs.
        question_column: column of the question; found by its usual names if None.
        answer_column: column of the gold answer.
        choices_column: column of the options.
        id_column: column of the id; a question without one is named by a hash of its text.

    Raises:
        InputError: no such dataset, or something in it cannot be read; names the place.
    """
    columns = Columns(
        question=question_column, answer=answer_column, choices=choices_column, id=id_column
    )
    if preset is not None and preset not in PRESETS:
        raise InputError(f"unknown preset {preset!r}: choose from {', '.join(PRESETS)}")
    if preset is not None and columns != Columns():
        raise InputError(f"preset {preset!r} names its columns: leave out the --...-column options")
    is_file = Path(name).is_file() or Path(name).suffix in SUFFIXES
    if not is_file and (name.partition(":")[0] in registry.names("datasets") or ":" in name):
        if (subset, split, preset) != (None, None, None) or columns != Columns():
            raise InputError(f"{name}: takes no subset, split, preset or columns")
        return _unique(
            ((f"{name}: question {q.id}", q) for q in registry.build("datasets", name)()), name
        )
    if is_file:
        if (subset, split) != (None, None):
            raise InputError(f"{name}: a file has no subset and no split: leave them out")
        rows = list(read_file(Path(name)))
        known = recognise(rows[0]) if rows and columns == Columns() else None
    else:
        rows = list(read_hub(name, subset or SUBSETS.get(name), split))
        known = HUB_PRESETS.get(name) if columns == Columns() else None
    if not rows:
        raise InputError(f"{name}: holds no question")
    layout = preset or known
    read = PRESETS[layout] if layout else reader(rows, columns)
    dataset = Path(name).name if is_file else name
    ids = _Ids()
    return _unique(((row.place, ids.question(row, read(row), dataset)) for row in rows), name)


def fingerprint(questions: Iterable[Question]) -> str:
    """sha256 over id, text, gold and choices of the questions, in order."""
    digest = sha256()
    for question in questions:
        asked = [question.id, question.text, question.gold, question.choices]
        digest.update(json.dumps(asked).encode() + b"\n")
    return digest.hexdigest()


def select(
    questions: Sequence[Question], *, limit: int | None = None, shuffle: int | None = None
) -> list[Question]:
    """The first `limit` questions, after shuffling them with the seed `shuffle` if given."""
    if limit is not None and limit < 1:
        raise InputError(f"--limit is {limit}, but must be at least 1")
    chosen = list(questions)
    if shuffle is not None:
        Random(shuffle).shuffle(chosen)
    return chosen[:limit]


class _Ids:
    """Names questions; a text that comes again gets `-2`, `-3` ...

    Public datasets do repeat questions, sometimes with other choices: both are kept and counted.
    """

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def question(self, row: Row, parsed: Parsed, dataset: str) -> Question:
        rest = {key: plain(value) for key, value in row.values.items() if key not in parsed.used}
        given = "" if parsed.id is None else str(parsed.id).strip()
        return Question(
            id=given or self._hash(parsed.text),
            text=parsed.text,
            gold=parsed.gold,
            choices=parsed.choices,
            dataset=dataset,
            meta={**rest, **parsed.meta},
        )

    def _hash(self, text: str) -> str:
        digest = sha256(text.encode()).hexdigest()[:16]
        self.seen[digest] = self.seen.get(digest, 0) + 1
        return digest if self.seen[digest] == 1 else f"{digest}-{self.seen[digest]}"


def _unique(placed: Iterable[tuple[str, Question]], name: str) -> list[Question]:
    places: dict[str, str] = {}
    questions = []
    for place, question in placed:
        if question.id in places:
            raise InputError(
                f"{place}: duplicate question id {question.id!r}: {places[question.id]} has it "
                "already; give each question its own"
            )
        places[question.id] = place
        questions.append(question)
    if not questions:
        raise InputError(f"{name}: holds no question")
    return questions
