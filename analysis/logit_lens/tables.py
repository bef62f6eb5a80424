"""The tables `lens` (one row a place and layer), `lens_traces` (one row a trace) and `lens_layers`
(means over questions, one row a measure, position and layer)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.logit_lens.asked import Asked
from analysis.logit_lens.latent import agreement, commitment, consistency, emergence, says
from analysis.logit_lens.said import Looks, Said
from analysis.logit_lens.store import Key
from analysis.statistics import mean_interval
from cot.types import TRACE_KEY

__all__ = ["layers_table", "lens_table", "traces_table"]

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
LAYERS = {
    **{"measure": "str", "position": "str", "layer": "int64"},
    **dict.fromkeys(("estimate", "low", "high"), "float64"),
    **dict.fromkeys(("control", "control_low", "control_high"), "float64"),
    **{"n_questions": "int64", "n_traces": "int64"},
}


def lens_table(questions: Sequence[Said], asked: Asked) -> pd.DataFrame:
    """The table `lens`; see `analysis.logit_lens.read_layers`."""
    stated = asked.traces.set_index(TRACE_KEY)["answer"].to_dict()
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
    keys = list(zip(*(asked.traces[name].tolist() for name in TRACE_KEY), strict=True))
    own = [asked.candidates[question_id] for question_id, _ in keys]
    answers = asked.traces["answer"].tolist()
    members = [some.member.get(answer) for some, answer in zip(own, answers, strict=True)]
    table = asked.traces[[*TRACE_KEY, "answer"]].assign(
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


def layers_table(looks: Sequence[Looks], places: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """The table `lens_layers`; see `analysis.logit_lens.lens`.

    Args:
        looks: one a question.
        places: the table `lens`.
        seed: of the bootstrap.
    """
    open_ = [each for each in looks if each.n_candidates > 1]
    rows = [
        *_compared("agreement", open_, lambda each: (each.said, each.said[:, -1]), seed),
        *_compared(
            "agreement_calibrated",
            open_,
            lambda each: (each.calibrated, each.calibrated[:, -1]),
            seed,
        ),
        *_compared("stated", open_, lambda each: (each.said, each.stated), seed),
        *_committed([each for each in open_ if len(each.stated)], seed),
    ]
    known = places[places["p_stated"].notna()]
    known = known[known["question_id"].isin({each.question_id for each in open_})]
    for (position, layer), here in known.groupby(["position", "layer"], sort=False):
        means = here.groupby("question_id", sort=False)["p_stated"].mean()
        n_traces = len(here[TRACE_KEY].drop_duplicates())
        place = {"measure": "p_stated", "position": position, "layer": int(layer)}
        rows.append(place | _mean(means.to_numpy(), seed) | {"n_traces": n_traces})
    return pd.DataFrame(rows, columns=list(LAYERS)).astype(LAYERS)


def _compared(
    measure: str, looks: Sequence[Looks], pair: Callable[[Looks], tuple[Ints, Ints]], seed: int
) -> list[dict[str, Any]]:
    """Rows of a share beside its control, over the questions with two traces.

    Args:
        pair: gives a question's latent answers [trace, layer], and the answers [trace] that they
            are held against.
    """
    several = [each for each in looks if len(each.stated) > 1]
    if not several:
        return []
    # own and control, each [question, layer]: one layer is one look of every trace
    rates = np.array(
        [
            [
                agreement(says(said[:, [layer]], each.n_candidates), final)
                for layer in range(said.shape[1])
            ]
            for each in several
            for said, final in [pair(each)]
        ]
    )
    n_traces = sum(len(each.stated) for each in several)
    rows = []
    for layer, (own, other) in enumerate(np.moveaxis(rates, 0, -1)):
        control = {f"control_{name}": value for name, value in _mean(other, seed).items()}
        control["control"] = control.pop("control_estimate")
        place = {"measure": measure, "position": "pre_answer", "layer": layer}
        rows.append(place | control | _mean(own, seed) | {"n_traces": n_traces})
    return rows


def _committed(looks: Sequence[Looks], seed: int) -> list[dict[str, Any]]:
    """Rows of the share of a question's traces whose commitment layer is at most this one."""
    if not looks:
        return []
    depth = looks[0].said.shape[1]
    shares = np.array(
        [(commitment(each.said)[:, None] <= np.arange(depth)).mean(axis=0) for each in looks]
    )
    place = {"measure": "committed", "position": "pre_answer"}
    n_traces = sum(len(each.stated) for each in looks)
    return [
        place | {"layer": layer, "n_traces": n_traces} | _mean(own, seed)
        for layer, own in enumerate(shares.T)
    ]


def _mean(values: NDArray[np.float64], seed: int) -> dict[str, Any]:
    low, high = mean_interval(values, seed=seed)
    return {"estimate": values.mean(), "low": low, "high": high, "n_questions": len(values)}
