"""Tables of `cot features` for the planted run, as that command would write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from written import write_table

from analysis.findings import as_table
from analysis.state_features.tables import FEATURES, PLACES, STEPS, VALUES
from cot.store.run import Run
from cot.types import Finding

N = 3
AUROCS = (0.82, 0.31, 0.5)
HOSTILE_TOKEN = "<script>alert(1)</script>"
STRONG = [("q03", 1, 0), ("q01", 0, 1), ("q02", 2, 0)]
"""The steps in which feature 0 is strongest, the first most."""


def write_features(run: Run) -> None:
    """Feature 0 of snmf tells right from wrong, 1 and 2 don't; cav is never off."""
    for name, frame in tables(run).items():
        inputs = ["answers"] if "answers" in run.tables() else []
        write_table(run, name, frame, command="features", parameters={"seed": 0}, inputs=inputs)


def tables(run: Run) -> dict[str, pd.DataFrame]:
    steps = run.table("steps").set_index(["question_id", "sample_index", "step"])
    strong, values, places = [], [], []
    for method, features in (("snmf", range(N)), ("cav", range(1))):
        for feature in features:
            for rank, (name, index, step) in enumerate(STRONG if feature < 2 else ()):
                span = steps.loc[(name, index, step), ["start", "end"]].to_dict()
                own = {"method": method, "layer": 20, "feature": feature, "question_id": name}
                own |= {"sample_index": index, "step": step, "token": 5, **span}
                own |= {"value": 3.0 - rank}
                strong.append({**own, "rank": rank, "held_out": rank != 1})
                values.append({**own, "place": 0.3})
            places += [
                {"method": method, "layer": 20, "feature": feature, "fifth": fifth}
                | {"label": label, "rate": np.nan if method == "cav" else 0.2 + 0.5 * label}
                | {"value": 0.5 * label, "n_states": 20}
                for fifth in range(5)
                for label in (True, False)
            ]
    tokens = [
        {"method": "snmf", "layer": 20, "feature": 0, "rank": rank, "token": rank, "text": text}
        | {"n": 5, "with_token": 1.0, "without_token": 0.1, "t": 4.0 - rank}
        for rank, text in enumerate((" total", HOSTILE_TOKEN))
    ]
    return {
        "features": pd.DataFrame(_rows()).reindex(columns=list(FEATURES)).astype(FEATURES),
        "feature_steps": pd.DataFrame(strong).reindex(columns=list(STEPS)).astype(STEPS),
        "feature_tokens": pd.DataFrame(tokens),
        "feature_values": pd.DataFrame(values).reindex(columns=list(VALUES)).astype(VALUES),
        "feature_places": pd.DataFrame(places).astype(PLACES),
        "findings_features": as_table("features", _findings()),
    }


def _rows() -> list[dict[str, Any]]:
    common: dict[str, Any] = {"layer": 20, "position": "step_end", "target": "correct"}
    common |= {"concept": "", "n_within": 6, "n_questions": 6, "n_traces": 40, "n_states": 120}
    common |= {"n_excluded": 2, "seed": 0, "p": 0.01, "control": 0.6, "control_pca": 0.58}
    rows = []
    for method in ("snmf", "cav", "pca", "random"):
        for feature in range(1 if method == "cav" else N):
            value = AUROCS[feature] if method in ("snmf", "cav") else 0.55
            fires = method == "snmf"
            rows.append(
                {**common, "method": method, "feature": feature, "within_question_auroc": value}
                | {"low": value - 0.1, "high": value + 0.1, "q": 0.01 if feature == 0 else 0.6}
                | {"baseline": method in ("pca", "random"), "chosen": feature == 0, "sign": 1}
                | {"tells": feature == 0 and method == "snmf", "token_r2": 0.4}
                | {"dead": feature == 2 if fires else pd.NA}
                | dict.fromkeys(("firing_rate", "rate_wrong"), 0.2 if fires else np.nan)
                | {"rate_right": 0.7 if fires else np.nan}
                | {"fires_injected": feature == 0 if fires else pd.NA}
            )
    return rows


def _findings() -> list[Finding]:
    common: dict[str, Any] = {"n_questions": 6, "n_traces": 40, "n_excluded": 2, "seed": 0}
    made = []
    for baseline, value in (("", 0.82), ("random", 0.22), ("pca", 0.24)):
        made.append(
            Finding(
                measure="within_question_auroc",
                subject="snmf",
                baseline=baseline,
                estimate=value,
                low=value - 0.1,
                high=value + 0.1,
                p=None if baseline else 0.01,
                method="planted",
                **common,
            )
        )
    share: dict[str, Any] = {"subject": "snmf", "estimate": 1 / 3, "low": None, "high": None}
    return [*made, Finding(measure="dead_features", method="planted", **share, **common)]
