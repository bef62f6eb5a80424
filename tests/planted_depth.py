"""The planted run with what one question in depth needs: tokens of a real tokenizer with planted
log-probabilities, kinds of steps, and probe scores along each trace.

    run = planted_deep(folder, texts={("q03", 1): HOSTILE})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import planted
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from written import write_table

from cot.store.run import Run
from cot.types import Trace

KINDS = ("setup", "calculation", "answer")
UNLIKELY = -4.0
"""Log-probability of every token that is a digit; of the others -0.01."""


def byte_tokenizer(folder: Path) -> Any:
    """One token a byte, saved in the folder."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={each: i for i, each in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=backend)
    made.save_pretrained(folder)
    return made


def planted_deep(folder: Path, texts: Mapping[tuple[str, int], str] | None = None) -> Run:
    tokenizer = byte_tokenizer(folder / "model")
    plain = planted._trace

    def with_tokens(row: Mapping[str, Any], variant: str) -> Trace:
        trace = plain(row, variant)
        ids = tokenizer.encode(row["body"], add_special_tokens=False)
        digits = np.array([tokenizer.decode([token]).isdigit() for token in ids], bool)
        logprobs = np.where(digits, UNLIKELY, -0.01).astype(np.float32)
        told = replace(trace.completion, token_ids=tuple(ids), logprobs=logprobs)
        return replace(trace, completion=told)

    identity = {**planted.IDENTITY, "model": str(folder / "model")}
    with mock.patch.object(planted, "_trace", with_tokens):
        run = planted.planted_run(folder / "run", texts=texts, identity=identity)
    steps = pd.DataFrame(run.table("steps"))
    back = steps.groupby(["question_id", "sample_index"])["step"].transform("max") - steps["step"]
    steps["kind"] = back.map({2: KINDS[0], 1: KINDS[1], 0: KINDS[2]})
    write_table(run, "steps", steps, command="paths", parameters={}, inputs=["traces"])
    along = steps[["question_id", "sample_index", "step"]].assign(
        layer=20, score=0.2 + 0.25 * steps["step"]
    )
    write_table(run, "probe_steps", along, command="probe", parameters={}, inputs=["answers"])
    return run
