"""Planted tables of `cot agree`: answers and hidden states agree, reasoning agrees with neither.

frames = agreement(votes, answers, checks)      # tables of tests/planted.py
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from analysis.agreement.question_kinds import kinds_table

NULL = {"null_mean": 0.0, "null_low": -0.04, "null_high": 0.05}
AGREE = {
    "answers × clusters": (0.01, -0.03, 0.06, 0.31),
    "answers × dataflows": (0.9, 0.8, 1.0, 0.001),
    "answers × hidden states": (0.62, 0.48, 0.74, 0.001),
    "clusters × dataflows": (0.01, -0.03, 0.06, 0.4),
    "clusters × hidden states": (0.02, -0.02, 0.07, 0.2),
    "dataflows × hidden states": (0.6, 0.45, 0.7, 0.001),
    "answers × clusters × hidden states": (0.31, 0.24, 0.37, 0.001),
}
"""Estimate, low, high, p."""
WORTH = {"majority": 0, "cluster": -1, "checked": 1, "probe": 0, "lens": -2}
"""How many questions more than the majority a rater has right."""
COUNTS = {"n_questions": 9, "n_traces": 96, "n_excluded": 3}
RANKS = {"suspicion": (0.9, 0.75, 1.0), "vote_share": (0.6, 0.4, 0.8)}
"""AUROC of scores for wrong majorities: estimate, low, high."""
KAPPA = {"forced × latent": (0.4, 0.2, 0.6), "forced × latent of another question": (0.1, 0.0, 0.2)}
"""Cohen's kappa of answers before reasoning: estimate, low, high."""


def agreement(
    votes: pd.DataFrame, answers: pd.DataFrame, checks: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Every table that `agree` writes about one run, by name."""
    table = _questions(votes, answers, checks)
    return {
        "agreement": table,
        "agreement_coefficients": pd.DataFrame(
            [
                {"measure": measure, "subject": name}
                | _numbers(*(value / 2 if measure == "vi" else value for value in values))
                for name, values in AGREE.items()
                for measure in (("three_way",) if name.count("×") > 1 else ("ami", "ari", "vi"))
            ]
        ),
        "agreement_places": pd.DataFrame(
            [
                {"layer": layer, "position": "pre_answer", "subject": f"{one} × hidden states"}
                | {"measure": "ami"}
                | _numbers(0.03 * layer, 0.03 * layer - 0.1, 0.03 * layer + 0.1, 0.01)
                for layer in (0, 10, 20)
                for one in ("answers", "clusters")
            ]
        ),
        "agreement_raters": _raters(table),
        "agreement_rater_pairs": pd.DataFrame(
            [
                {"rater": rater, "other": other, "agreement": 0.9, "chance": 0.6, "kappa": 0.75}
                | {"low": 0.5, "high": 0.9, "n_questions": len(table), "n_same": 3, "seed": 0}
                for rater, other in combinations(WORTH, 2)
            ]
        ),
        "agreement_kinds": kinds_table(table, 0),
        "agreement_before_reasoning": _before_reasoning(table),
        "agreement_missing": pd.DataFrame(columns=["what", "why", "command"], dtype=str),
        "findings_agree": _findings(),
    }


def _numbers(value: float, low: float, high: float, p: float) -> dict[str, Any]:
    return {"estimate": value, "low": low, "high": high, **NULL, "p": p, **COUNTS, "seed": 0}


def _findings() -> pd.DataFrame:
    rows = [
        {"measure": "three_way" if name.count("×") > 1 else "ami", "subject": name}
        | {**_numbers(*values), "method": "planted; 95% bootstrap over questions"}
        for name, values in AGREE.items()
    ]
    none = {"null_high": np.nan, "p": np.nan}
    for name, (value, low, high) in RANKS.items():
        rows.append(
            {"measure": "auroc", "subject": name, **_numbers(value, low, high, 1.0)}
            | {"null_mean": 0.5, **none, "method": "AUROC over questions"}
        )
    for name, (value, low, high) in KAPPA.items():
        rows.append(
            {"measure": "cohen_kappa", "subject": name, **_numbers(value, low, high, 1.0)}
            | {**none, "method": "Cohen's kappa over sampled traces"}
        )
    return pd.DataFrame(rows).drop(columns="null_low").assign(analysis="agree", baseline="")


def _before_reasoning(table: pd.DataFrame) -> pd.DataFrame:
    """Of each question's traces one has only its forced answer, and one only its latent answer."""
    n = table["n_traces"].to_numpy()
    counts = {"n_traces": n, "n_both": n // 2, "n_forced_only": 1, "n_latent_only": 1}
    return table[["question_id"]].assign(**counts, n_neither=n - n // 2 - 2)


def _questions(votes: pd.DataFrame, answers: pd.DataFrame, checks: pd.DataFrame) -> pd.DataFrame:
    """Right for the wrong reason is as in `agree`; other kinds are made up."""
    keys = ["question_id", "sample_index"]
    checked = answers.merge(checks[[*keys, "verdict"]], on=keys, how="left")
    valid = checked[checked["status"] == "ok"].groupby("question_id")
    rows = []
    for i, vote in enumerate(votes.to_dict("records")):
        own = valid.get_group(vote["question_id"])
        several = own["answer"].nunique() > 1
        verdicts = own.loc[own["answer"] == vote["answer"], "verdict"].dropna()
        n_wrong, n_checked = int((verdicts == "wrong").sum()), len(verdicts)
        doubt = n_wrong / n_checked if n_checked else 0.0
        right = bool(pd.notna(vote["correct"]) and vote["correct"])
        kinds = {
            "right for the wrong reason": right and doubt >= 0.5,
            "probe against majority": i == 3,
            "decided before reasoning": i < 6,
            "same answer, different reasoning": True,
            "split answers": several,
        }
        ami = {"answers_clusters": 0.01, "answers_hidden": 0.62, "clusters_hidden": 0.02}
        rows.append(
            {
                "question_id": vote["question_id"],
                "kinds": [kind for kind, holds in kinds.items() if holds],
                "decided_control": i < 4,
                "suspicion": round((1 - vote["share"] + doubt) / 2 + 0.001 * i, 3),
                "why": f"share of the winner {vote['share']:.2f}, two paths lead to it",
                "answer": vote["answer"],
                "share": vote["share"],
                "correct": vote["correct"],
                "n_traces": len(own),
                "n_answers": own["answer"].nunique(),
                "n_clusters": 2,
                "n_hidden": 1 + several,
                "n_checked": n_checked,
                "n_reaching": n_wrong,
                "layer": 20,
                "position": "pre_answer",
                **{f"ami_{pair}": value if several else np.nan for pair, value in ami.items()},
                "three_way": 0.31 if several else np.nan,
                **{f"{rater}_vote": vote["answer"] for rater in WORTH},
            }
        )
    return pd.DataFrame(rows).astype(
        {"correct": "boolean", "decided_control": "boolean", "layer": "Int64"}
    )


def _raters(table: pd.DataFrame) -> pd.DataFrame:
    judged = table["correct"].dropna().astype(bool)
    n, right = len(judged), int(judged.sum())
    rows = []
    for rater, more in WORTH.items():
        value, gap = (right + more) / n, more / n
        near = 0.0 if rater == "majority" else 0.12
        rows.append(
            {"rater": rater, "accuracy": value, "low": value - 0.2, "high": min(value + 0.2, 1.0)}
            | {"difference": gap, "difference_low": gap - near, "difference_high": gap + near}
            | {"rescued": max(more, 0), "n_wrong": n - right, "lost": max(-more, 0)}
            | {"n_questions": n, "seed": 0}
        )
    return pd.DataFrame(rows)
