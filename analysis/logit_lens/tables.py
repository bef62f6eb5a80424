"""The tables `lens` (one row a place and layer) and `lens_traces` (one row a trace)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.logit_lens.asked import KEYS, Asked
from analysis.logit_lens.latent import commitment, consistency, emergence
from analysis.logit_lens.said import Looks, Said
from analysis.logit_lens.store import Key

__all__ = ["lens_table", "traces_table"]

Ints = NDArray[np.int64]
KINDS = {
    "consistency": "float64",
    "consistency_calibrated": "float64",
    "commitment_layer": "Int64",
    "emergence_step": "Int64",
    "n_steps": "Int64",
    "lens_answer": "str",
    "decided_at_prompt": "boolean",
    "decided_control": "boolean",
}
"""Columns that a trace has only where it states its answer in its text."""


def lens_table(questions: Sequence[Said], asked: Asked) -> pd.DataFrame:
    """The table `lens`; see `analysis.logit_lens.read_layers`."""
    stated = asked.traces.set_index(KEYS)["answer"].to_dict()
    parts = []
    for question in questions:
        n_places, n_layers = question.p.shape[:2]
        of = [
            None if pd.isna(index) else stated[question.question_id, int(index)]
            for index in question.places["sample_index"]
        ]
        member = question.candidates.member
        column = np.array([member.get(answer, -1) if answer else -1 for answer in of])
        own = np.take_along_axis(question.p, column[:, None, None].clip(0), axis=2)[:, :, 0]
        p = question.p
        entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=2)
        names = np.array(question.candidates.names, dtype=object)
        every = question.places[["sample_index", "position", "step"]].loc[
            np.repeat(question.places.index, n_layers)
        ]
        parts.append(
            every.assign(
                question_id=question.question_id,
                layer=np.tile(np.arange(n_layers), n_places),
                answer=names[p.argmax(axis=2).ravel()],
                p=p.max(axis=2).ravel(),
                p_stated=np.where(column[:, None] < 0, np.nan, own).ravel(),
                entropy=entropy.ravel(),
                answer_calibrated=names[question.quantile.argmax(axis=2).ravel()],
                p_vocab=question.vocabulary[:, 0].ravel(),
                entropy_vocab=question.vocabulary[:, 1].ravel(),
            )
        )
    whole = pd.concat(parts, ignore_index=True)
    return whole[["question_id", *(name for name in whole if name != "question_id")]]


def traces_table(
    asked: Asked,
    looks: Sequence[Looks],
    found: Mapping[Key, Mapping[str, NDArray[np.float32]]],
    *,
    ends: bool,
) -> pd.DataFrame:
    """The table `lens_traces`; see `analysis.logit_lens.read_layers`."""
    rows: dict[Key, dict[str, Any]] = {}
    for each in looks:
        names = asked.candidates[each.question_id].names
        open_ = each.n_candidates > 1
        raw, calibrated = (consistency(said, ends=ends) for said in (each.said, each.calibrated))
        layer = commitment(each.said)
        for row, index in enumerate(each.sample_index):
            said = int(each.said[row, -1])
            decided = {
                "consistency": raw[row],
                "consistency_calibrated": calibrated[row],
                "commitment_layer": layer[row],
                "emergence_step": emergence(each.steps[row], said),
                "decided_at_prompt": each.prompt == each.stated[row],
                "decided_control": None
                if each.control is None
                else each.control == each.stated[row],
            }
            rows[each.question_id, int(index)] = {
                "n_steps": len(each.steps[row]),
                "lens_answer": names[said],
                **(decided if open_ else {}),
            }
    keys = list(zip(*(asked.traces[name].tolist() for name in KEYS), strict=True))
    own = [asked.candidates[question_id] for question_id, _ in keys]
    answers = asked.traces["answer"].tolist()
    members = [some.member.get(answer) for some, answer in zip(own, answers, strict=True)]
    table = asked.traces[[*KEYS, "answer"]].assign(
        candidate=[
            None if member is None else some.names[member]
            for some, member in zip(own, members, strict=True)
        ],
        n_candidates=[len(some.names) for some in own],
        separable=[some.separable for some in own],
    )
    read = pd.DataFrame([rows.get(key, {}) for key in keys], columns=list(KINDS))
    table[list(KINDS)] = read.astype(KINDS)
    table[["coe_r", "coe_c"]] = np.stack([found[key]["chain"] for key in keys]).astype(np.float64)
    return table
