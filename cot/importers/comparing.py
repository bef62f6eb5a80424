"""What is wrong with samples that are good alone: doubles, and questions that changed.

Samples are compared as numbers, a few bytes each, so that a file of millions fits into memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cot.importers.batches import HAS, Asked, Shared, Summary
from cot.importers.fields import Rejected
from cot.types import Question

__all__ = ["Compared", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A file's samples."""

    questions: Sequence[Question]
    """Those of good samples, in the order of the file."""
    prompts: Sequence[Shared]
    """Theirs, one a sha256, in that order."""
    good: Sequence[NDArray[np.bool_]]
    """Which samples of each batch are good, also beside the others, [sample]."""
    n_traces: int
    """How many these are."""
    has: Counter[str]
    """What they have (see HAS), to their number."""
    notes: Counter[str]
    """What was left out of them, to their number."""
    rejected: Sequence[Rejected]
    """All that is left out, in the order of the file."""


def compare(batches: Sequence[Summary], file: str) -> Compared:
    """Compare the samples of all batches.

    A sample is a double of the first good one of its key. A question's first good sample says what
    the question is.

    Args:
        file: the file's name, for messages.
    """
    asked: dict[Asked, int] = {}
    shared: list[Shared] = []
    of, prompts = [], []
    for batch in batches:
        codes = [asked.setdefault(contents, len(asked)) for contents in batch.questions]
        of.append(np.array(codes, dtype=np.int64)[batch.question_of])
        prompts.append(np.where(batch.prompt_of < 0, -1, batch.prompt_of + len(shared)))
        shared += batch.prompts
    question, prompt = _joined(of), _joined(prompts)
    index = _joined([batch.index for batch in batches])
    flags = _joined([batch.flags for batch in batches])
    begins = np.cumsum([0, *(len(batch.index) for batch in batches)])
    named = [_question(contents) for contents in asked]
    clashes = _clashes(named, question, index, batches, begins, file)
    good = np.ones(len(question), dtype=np.bool_)
    good[list(clashes)] = False
    first: dict[str, Question] = {}
    for code in pd.unique(question[good]):
        first.setdefault(named[code].id, named[code])
    once: dict[str, Shared] = {}
    for place in pd.unique(prompt[good & (prompt >= 0)]):
        once.setdefault(shared[place][0], shared[place])
    rejected = [(sample, 1, bad) for sample, bad in clashes.items()]
    notes: Counter[str] = Counter()
    for begin, batch in zip(begins, batches, strict=False):
        rejected += [(int(begin) + before, 0, bad) for before, bad in batch.rejected]
        notes.update(note for sample, note in batch.notes if good[begin + sample])
    rejected.sort(key=lambda each: each[:2])
    return Compared(
        questions=list(first.values()),
        prompts=list(once.values()),
        good=np.split(good, begins[1:-1]),
        n_traces=int(good.sum()),
        has=Counter({name: int((flags[good] >> n & 1).sum()) for n, name in enumerate(HAS)}),
        notes=notes,
        rejected=[bad for _, _, bad in rejected],
    )


def _clashes(
    named: Sequence[Question],
    question: NDArray[np.int64],
    index: NDArray[np.int64],
    batches: Sequence[Summary],
    begins: NDArray[np.int64],
    file: str,
) -> dict[int, Rejected]:
    """Samples that are not good beside those before them, and why.

    What happens to a sample depends on those of its question alone, so that only questions are
    looked at that have a double or two contents.
    """
    ids: dict[str, int] = {}
    id_of = np.array([ids.setdefault(each.id, len(ids)) for each in named], dtype=np.int64)
    asked = id_of[question] if len(named) else question
    key = asked << 32 | index
    suspicious = np.bincount(id_of, minlength=1) > 1
    suspicious[asked[pd.Series(key).duplicated().to_numpy()]] = True
    known: dict[int, Question] = {}
    first: dict[int, int] = {}
    found: dict[int, Rejected] = {}
    for sample in np.flatnonzero(suspicious[asked]).tolist() if len(asked) else ():
        one = known.get(asked[sample], named[question[sample]])
        reason = None
        if key[sample] in first:
            double = _place(first[key[sample]], batches, begins)
            reason = (
                f"duplicate of {file}:{double}: "
                f"sample {index[sample]} of question {one.id!r} stands in both"
            )
        elif one != named[question[sample]]:
            reason = f"question {one.id!r} has another text, gold or choices than before"
        if reason:
            found[sample] = Rejected(place=_place(sample, batches, begins), reason=reason)
        else:
            first[key[sample]] = sample
            known[asked[sample]] = one
    return found


def _place(sample: int, batches: Sequence[Summary], begins: NDArray[np.int64]) -> str:
    """Where a sample stands in the file."""
    batch = int(np.searchsorted(begins, sample, side="right")) - 1
    return str(batches[batch].places[sample - int(begins[batch])])


def _question(contents: Asked) -> Question:
    name, text, gold, choices, meta = contents
    return Question(
        id=name,
        text=text,
        gold=gold,
        choices=choices,
        dataset="imported",
        meta=json.loads(meta) if meta else {},
    )


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)
