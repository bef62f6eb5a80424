"""A run's answers as one matrix, on which rules are simulated for all questions at once.

Rows are questions in the order of the answers table, columns their traces by sample_index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cot.stopping.codes import ENDED, MISSING, Codes
from cot.store.run import Run

__all__ = ["TraceMatrix", "trace_matrix"]

Integers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TraceMatrix:
    """The traces of every question."""

    question_ids: Any
    """Id of each row's question."""
    traces: Integers
    """Which row of the answers table each trace is, ENDED after a question's last, [row, sample]"""
    sizes: Integers
    """Traces of each question, [row]."""
    has_gold: NDArray[np.bool_]
    """[row]"""
    gold: Integers
    """Code of gold's class, MISSING where no trace gives it, [row]."""
    answers: Any
    """Answers by their number in the run; `first` says where a question's begin."""
    first: Integers
    """Number of each question's answer of code 0, [row]."""
    code: Codes
    """Answer class of each row of the answers table, MISSING without a valid one, [trace]."""
    tokens: Integers | None
    """Tokens of each row of the answers table, or None where some have no token ids, [trace]."""

    def codes_of(self, traces: Integers) -> Codes:
        """Codes of these traces, any shape."""
        return np.where(traces >= 0, self.code[traces], np.int16(ENDED))

    def tokens_of(self, traces: Integers) -> Integers | None:
        """Tokens of these traces, any shape."""
        return None if self.tokens is None else np.where(traces >= 0, self.tokens[traces], 0)

    def is_gold(self, code: Integers) -> NDArray[np.bool_]:
        """Whether these codes are gold's, one a row; rows may be stacked."""
        same: NDArray[np.bool_] = code == np.resize(self.gold, len(code))
        return same & (code >= 0)

    def judge(self, code: Integers) -> Any:
        """The same as a nullable boolean, missing where the question has no gold."""
        return pd.arrays.BooleanArray(self.is_gold(code), ~self.has_gold)

    def names_of(self, code: Integers) -> Any:
        """The answers that these codes are, one a row, None where MISSING."""
        number = np.where(code >= 0, self.first + code, -1)
        return pd.array(self.answers.take(number, allow_fill=True), dtype="str")


def trace_matrix(run: Run, answers: pd.DataFrame) -> TraceMatrix:
    """The matrix of a run's answers table."""
    row, ids = pd.factorize(answers["question_id"])
    order = np.lexsort((answers["sample_index"].to_numpy(), row))  # by question, then by index
    sizes = np.bincount(row, minlength=len(ids))
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(row)) - starts[row[order]]
    traces = np.full((len(ids), int(sizes.max(initial=0))), ENDED, dtype=np.int64)
    traces[row[order], place] = order

    label, classes = pd.factorize(answers["answer"])
    valid = ((answers["status"] == "ok") & answers["answer"].notna()).to_numpy()
    # one number for each (question, answer): sorted, a question's answers stand together
    pair, number = np.unique(
        row[valid] * np.int64(len(classes)) + label[valid], return_inverse=True
    )
    first = np.searchsorted(pair, np.arange(len(ids)) * np.int64(len(classes)))
    code = np.full(len(row), MISSING, dtype=np.int16)
    code[valid] = number - first[row[valid]]

    right = answers["correct"].fillna(False).to_numpy(dtype=bool) & valid
    gold = np.full(len(ids), MISSING, dtype=np.int64)
    gold[row[right]] = code[right]
    known = answers["correct"].notna().to_numpy()
    return TraceMatrix(
        question_ids=ids,
        traces=traces,
        sizes=sizes,
        has_gold=np.bincount(row, known, len(ids)) > 0,
        gold=gold,
        answers=pd.array(classes[pair % max(len(classes), 1)], dtype="str"),
        first=first,
        code=code,
        tokens=_tokens(run, answers, row, ids),
    )


def _tokens(run: Run, answers: pd.DataFrame, row: Integers, ids: Any) -> Integers | None:
    """Tokens of each row of the answers table, or None where some trace has no token ids."""
    import pyarrow.compute as pc

    from cot.store.shards import read_shards

    run.reads("traces")
    table = read_shards(run.path / "traces", ["question_id", "sample_index", "token_ids"])
    if not len(table) or table["token_ids"].null_count:
        return None
    lengths = pc.list_value_length(table["token_ids"]).to_numpy()
    wide = int(answers["sample_index"].max()) + 1
    where = pd.Index(ids).get_indexer(table["question_id"].to_pandas())
    keys = where * np.int64(wide) + table["sample_index"].to_numpy()
    asked = pd.Index(row * np.int64(wide) + answers["sample_index"].to_numpy())
    tokens = np.full(len(answers), -1, dtype=np.int64)
    found = asked.get_indexer(keys)
    tokens[found[found >= 0]] = lengths[found >= 0]
    return None if (tokens < 0).any() else tokens
