"""Planted tables of what the layers hold: lens, hidden clusters, similarity, dimension, maps.

frames = inside(truth)      # truth: question_id, sample_index, body, steps, stated, status, right
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cot.types import TRACE_KEY

DEPTH = 30
LAYERS, POSITIONS = [0, 10, 20, 30], ["prompt_end", "step_end", "pre_answer"]
SHOWN = [("q03", 1), ("q00", 0)]
"""The traces whose lens is kept token by token."""
HOSTILE_TOP = "<img src=x onerror=window.hacked=4>"
"""What the lens reads in one cell of each shown trace."""


def inside(truth: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Every table of the lens and of geometry but their findings, by name."""
    valid = truth[truth["status"] == "ok"].reset_index(drop=True)
    return {
        "lens": _lens(valid),
        "lens_traces": _lens_traces(valid),
        "lens_layers": _lens_layers(),
        "lens_tokens": _lens_tokens(truth),
        "hidden_clusters": _clusters(truth),
        "similarity": _similarity(),
        "dimension": _dimension(),
        "eigen_scores": _eigen_scores(truth),
        "eigen_layers": _eigen_layers(),
        "state_map": _state_map(truth),
        "trajectories": _trajectories(truth),
        "trajectory_steps": _trajectory_steps(),
    }


def _commitment(sample_index: int) -> int:
    return 18 + 3 * (sample_index % 4)


def _lens(valid: pd.DataFrame) -> pd.DataFrame:
    """Before its commitment layer a trace says its question's candidates in turn."""
    rows = []
    for question_id, group in valid.groupby("question_id", sort=False):
        candidates = list(dict.fromkeys(group["stated"]))
        places: list[tuple[Any, ...]] = [(pd.NA, "prompt_end", pd.NA, candidates[0], 24)]
        for row in group.to_dict("records"):
            index = row["sample_index"]
            place = (row["stated"], _commitment(index))
            places += [(index, "step_end", step, *place) for step in range(len(row["steps"]))]
            places.append((index, "pre_answer", pd.NA, *place))
        for index, position, step, answer, commitment in places:
            for layer in range(DEPTH + 1):
                turn = candidates[(layer // 3) % len(candidates)]
                latent = answer if layer >= commitment else turn
                p = max(1 / len(candidates), layer / DEPTH * 0.95)
                stated = p if latent == answer else 1 - p
                rows.append(
                    {"question_id": question_id, "sample_index": index, "position": position}
                    | {"step": step, "layer": layer, "answer": latent, "p": p}
                    | {"p_stated": np.nan if position == "prompt_end" else stated}
                    | {"entropy": 1 - p, "answer_calibrated": answer if layer > 14 else turn}
                )
    return pd.DataFrame(rows).astype({"sample_index": "Int64", "step": "Int64"})


def _lens_traces(valid: pd.DataFrame) -> pd.DataFrame:
    index = valid["sample_index"]
    candidates = valid.groupby("question_id")["stated"].transform("nunique")
    first = valid.groupby("question_id")["stated"].transform("first")
    return valid[TRACE_KEY].assign(
        answer=valid["stated"],
        n_candidates=candidates,
        separable=True,
        consistency=1 - index.map(_commitment) / DEPTH,
        consistency_calibrated=0.5,
        commitment_layer=index.map(_commitment).astype("Int64"),
        emergence_step=(index % 2).astype("Int64"),
        lens_answer=valid["stated"],
        decided_at_prompt=(first == valid["stated"]).astype("boolean"),
        decided_control=(index % 3 == 0).astype("boolean"),
        coe_r=0.1 + 0.01 * index,
        coe_c=0.2 + 0.01 * index,
    )


def _lens_layers() -> pd.DataFrame:
    """Agreement rises with depth; the share of committed traces rises from layer 18 to 27."""
    rows = []
    for layer in range(DEPTH + 1):
        share = layer / DEPTH
        committed = min(max(layer - 15, 0) // 3 / 4, 1.0)
        ends = {"pre_answer": 0.95 * share, "step_end": 0.8 * share}
        place = {"position": "pre_answer", "layer": layer}
        rows += [
            {"measure": "agreement", **place, **_around(share), **_around(0.45, "control")},
            {"measure": "agreement_calibrated", **place, **_around(min(share + 0.1, 1.0))}
            | _around(0.4, "control"),
            {"measure": "stated", **place, **_around(share), **_around(0.45, "control")},
            {"measure": "committed", **place, **_around(committed)},
        ]
        rows += [
            {"measure": "p_stated", "position": position, "layer": layer, **_around(value)}
            for position, value in ends.items()
        ]
    columns = ["measure", "position", "layer", "estimate", "low", "high"]
    columns += ["control", "control_low", "control_high"]
    return pd.DataFrame(rows, columns=columns).assign(n_questions=10, n_traces=80)


def _around(value: float, name: str = "") -> dict[str, float]:
    """An estimate with its interval, or a control with its."""
    low, high = max(value - 0.05, 0.0), min(value + 0.05, 1.0)
    ends = {"low": low, "high": high} if not name else {f"{name}_low": low, f"{name}_high": high}
    return {name or "estimate": value, **ends}


def _lens_tokens(truth: pd.DataFrame) -> pd.DataFrame:
    rows = []
    texts = truth.set_index(TRACE_KEY)["body"]
    for question_id, index in SHOWN:
        words = texts[question_id, index].split()
        for token, text in enumerate(words):
            for layer in range(DEPTH + 1):
                late = words[min(token + 1, len(words) - 1)]
                odd = HOSTILE_TOP if (token, layer) == (1, 10) else f"guess{layer // 5}"
                p = layer / DEPTH
                rows.append(
                    {"question_id": question_id, "sample_index": index, "token": token}
                    | {"text": f" {text}", "layer": layer, "top": late if layer > 20 else odd}
                    | {"p_top": p, "p_stated": p**2 * token / len(words), "entropy": 10 - 9 * p}
                )
    return pd.DataFrame(rows)


def _clusters(truth: pd.DataFrame) -> pd.DataFrame:
    wrong = (truth["right"] == False).astype(int)  # noqa: E712
    cells = [(layer, position) for layer in LAYERS for position in POSITIONS[1:]]
    frames = [
        truth[TRACE_KEY].assign(layer=layer, position=position, cluster=wrong, threshold=0.4)
        for layer, position in cells
    ]
    return pd.concat(frames, ignore_index=True)


def _similarity() -> pd.DataFrame:
    def rows() -> Iterator[dict[str, Any]]:
        for kind in ("cka", "rsa"):
            for position in POSITIONS:
                place = {"kind": kind, "position": position, "n": 88}
                for layer in LAYERS:
                    for other in LAYERS:
                        if layer < other:
                            value = 1 - abs(layer - other) / 40
                            yield place | _values("layers", layer, other, value)
                    if position != "prompt_end":
                        null = {"null_mean": 0.4, "null_high": 0.55, "shuffled_mean": 0.6}
                        null |= {"shuffled_low": 0.55, "p": 0.01 if layer < 10 else 0.3}
                        yield place | _values("right_wrong", layer, layer, 0.5 + layer / 150) | null

    return pd.DataFrame(list(rows()))


def _values(what: str, layer: int, other: int, value: float) -> dict[str, Any]:
    span = {"value": value, "low": value - 0.05, "high": value + 0.05}
    none = dict.fromkeys(("null_mean", "null_high", "shuffled_mean", "shuffled_low", "p"), np.nan)
    return {"what": what, "layer": layer, "other": other, **span, **none}


def _dimension() -> pd.DataFrame:
    rows = []
    for j, position in enumerate(POSITIONS):
        for layer in LAYERS:
            value = 4 + 6 * np.sin(layer / 10) ** 2 + j
            rows.append(
                {"layer": layer, "position": position, "dimension": value, "low": value - 1}
                | {"high": value + 1, "n": 12 if position == "prompt_end" else 96}
                | {"method": "TwoNN"}
            )
    return pd.DataFrame(rows)


def _eigen_scores(truth: pd.DataFrame) -> pd.DataFrame:
    questions = truth["question_id"].unique()
    cells = [(layer, position) for layer in LAYERS for position in POSITIONS[1:]]
    frames = [
        pd.DataFrame({"question_id": questions, "layer": layer, "position": position}).assign(
            eigen_score=-4 + layer / 20, n=8
        )
        for layer, position in cells
    ]
    return pd.concat(frames, ignore_index=True)


def _eigen_layers() -> pd.DataFrame:
    rows = [
        {"layer": layer, "position": position, "eigen_score": -4 + layer / 20}
        for layer in LAYERS
        for position in POSITIONS[1:]
    ]
    table = pd.DataFrame(rows)
    table = table.assign(low=table["eigen_score"] - 0.2, high=table["eigen_score"] + 0.2)
    return table.assign(n_questions=12, n_excluded=0)


def _places(truth: pd.DataFrame) -> tuple[pd.Series[Any], pd.Series[Any]]:
    """Right traces to the right of wrong ones; questions side by side above each other."""
    number = truth["question_id"].str[1:].astype(int)
    x = truth["right"].map({True: 2.0, False: -1.0}).fillna(0.0).astype(float)
    return x + 0.1 * truth["sample_index"], number / 3.0


def _state_map(truth: pd.DataFrame) -> pd.DataFrame:
    x, y = _places(truth)
    place = {"layer": 20, "position": "pre_answer", "x": x, "y": y}
    return truth[TRACE_KEY].assign(**place, method="pca")


def _trajectories(truth: pd.DataFrame) -> pd.DataFrame:
    """From one place a question at prompt_end to a trace's own place after its last step."""
    x, y = _places(truth)
    rows = []
    for row, to_x, to_y in zip(truth.to_dict("records"), x, y, strict=True):
        n = len(row["steps"])
        for step in range(-1, n):
            share = (step + 1) / n
            rows.append(
                {"question_id": row["question_id"], "sample_index": row["sample_index"]}
                | {"step": step, "layer": 20, "x": share * to_x, "y": to_y + share}
            )
    return pd.DataFrame(rows)


def _trajectory_steps() -> pd.DataFrame:
    """Right traces end at x = 2, wrong ones at -1; few traces have a third step."""
    rows = []
    for step, n in ((-1, 12), (0, 11), (1, 11), (2, 4)):
        share = (step + 1) / 3
        place = {"layer": 20, "step": step}
        for what, x, traces in (("right", 2 * share, 5 * n), ("wrong", -share, 2 * n)):
            rows.append(
                {**place, "what": what, "x": x, "x_spread": 0.3, "y": share, "y_spread": 0.8}
                | {"n_questions": n, "n_traces": traces}
            )
        rows.append(
            {**place, "what": "difference", "x": 3 * share, "x_low": 3 * share - 0.2}
            | {"x_high": 3 * share + 0.2, "y": 0.0, "y_low": -0.1, "y_high": 0.1}
            | {"n_questions": min(n, 8), "n_traces": 7 * min(n, 8)}
        )
    columns = ["layer", "step", "what", "x", "x_low", "x_high", "x_spread"]
    columns += ["y", "y_low", "y_high", "y_spread", "n_questions", "n_traces"]
    return pd.DataFrame(rows, columns=columns)
