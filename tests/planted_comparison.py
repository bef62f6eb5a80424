"""Three small runs and the tables of their comparison, planted rather than computed.

The runs have the questions of `planted`. `base` is compared with `warm`, which differs in its
temperature, and with `warm-zero`, which differs in its prompt too. Of `warm`, question q00 is
wrong, q01 is tied and q02 has no valid answer; `warm-zero` was not asked q10. One difference is
shown after Holm's correction: the accuracy of `warm-zero`'s majority.

    base, warm, zero = planted_comparison(tmp_path)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from planted import IDENTITY, planted_run
from written import write_table

from analysis.comparison.tables import as_frame
from cot.store.run import Run

TABLES = ["answers", "greedy_answers", "steps", "votes", "paths", "step_checks"]
NAMES = ("base", "warm", "warm-zero")
SETTINGS = {
    "base": {"model": "planted-135m", "prompt": "few_shot_cot", "temperature": "0.7", "n": "8"},
    "warm": {"model": "planted-135m", "prompt": "few_shot_cot", "temperature": "1.0", "n": "8"},
    "warm-zero": {
        "model": "planted-135m",
        "prompt": "zero_shot_cot",
        "temperature": "1.0",
        "n": "8",
    },
}
MEASURES: list[tuple[str, str, str, int | None, str, tuple[float, ...], tuple[Any, ...]]] = [
    # family, measure, subject, n_samples, unit, a value a run, (difference, p_holm) of the others
    ("accuracy", "accuracy", "majority", None, "share of questions", (0.8, 0.7, 0.4), (0.6, 0.003)),
    ("accuracy", "accuracy", "single", None, "share of questions", (0.62, 0.6, 0.5), (0.9, 0.2)),
    ("curve", "expected_accuracy", "majority", 1, "share of questions", (0.62, 0.6, 0.5), (1, 1)),
    ("curve", "expected_accuracy", "majority", 5, "share of questions", (0.7, 0.68, 0.5), (1, 1)),
    ("calibration", "mean_answer_entropy", "", None, "nats", (0.5, 0.7, 0.9), (np.nan, np.nan)),
    ("cost", "tokens", "", None, "tokens a trace", (120.0, 150.0, 90.0), (0.3, 0.4)),
]


def planted_comparison(
    folder: Path, texts: Mapping[tuple[str, int], str] | None = None
) -> list[Run]:
    """Write the runs, and the comparison's tables into the first; return the runs.

    Args:
        texts: of the second run's traces, as `planted_run` takes them.
    """
    runs = []
    for name in NAMES:
        own = SETTINGS[name]
        sampling = {**IDENTITY["sampling"], "temperature": float(own["temperature"])}
        identity = {**IDENTITY, "prompt": own["prompt"], "sampling": sampling}
        chosen = texts if name == "warm" else None
        runs.append(planted_run(folder / name, tables=TABLES, texts=chosen, identity=identity))
    _change(runs[1])
    write_comparison_tables(runs[0], dict(zip(NAMES, runs, strict=True)))
    return runs


def _change(run: Run) -> None:
    """Question q00 is wrong, q01 tied, q02 without a valid answer."""
    votes, answers = run.table("votes").set_index("question_id"), run.table("answers")
    votes.loc["q00", ["answer", "correct"]] = ["9", False]
    votes.loc["q01", "tied"] = True
    votes.loc["q02", ["answer", "correct", "share"]] = [None, False, np.nan]
    first = answers["question_id"] == "q00"
    answers.loc[first, ["answer", "correct"]] = ["9", False]
    second = answers["question_id"] == "q02"
    answers.loc[second, ["answer", "status", "correct"]] = [None, "missing", False]
    write_table(run, "answers", answers, command="answers", inputs=["traces", "questions"])
    write_table(run, "votes", votes.reset_index(), command="vote", inputs=["answers", "questions"])
    for name in ("paths", "step_checks"):
        inputs = ["traces", "steps", *(["answers"] if name == "paths" else [])]
        write_table(run, name, run.table(name), command="paths", inputs=inputs)


def write_comparison_tables(first: Run, runs: Mapping[str, Run]) -> None:
    """The five tables of a comparison."""
    names = list(runs)
    settings = [
        {"run": run, "path": str(runs[run].path), "setting": setting, "value": value}
        | {"differs": len({SETTINGS[each][setting] for each in names}) > 1}
        for run in names
        for setting, value in SETTINGS[run].items()
    ]
    made = {
        "compared_settings": settings,
        "compared_measures": [
            _measure(run, value, *what)
            for *what, values, _ in MEASURES
            for run, value in zip(names, values, strict=True)
        ],
        "compared_differences": [
            _difference(run, value, values[0], p, *what)
            for *what, values, tested in MEASURES
            for run, value, p in zip(names[1:], values[1:], tested, strict=True)
        ],
        "compared_questions": [row for name in names for row in _questions(name, runs[name])],
        "compared_missing": [
            {"run": "warm", "family": "depth", "what": "table lens", "why": "no such table"}
            | {"command": f"cot lens {runs['warm'].path}"}
        ],
    }
    for name, rows in made.items():
        write_table(first, name, as_frame(name, rows), command="compare", parameters={"seed": 0})


def _measure(
    run: str, value: float, family: str, measure: str, subject: str, n: int | None, unit: str
) -> dict[str, Any]:
    return {
        **{"run": run, "family": family, "measure": measure, "subject": subject, "unit": unit},
        **{"n_samples": n, "estimate": value, "low": value * 0.8, "high": value * 1.1},
        **{"n_questions": 11, "n_traces": 88, "n_excluded": 1, "method": "planted", "seed": 0},
    }


def _difference(
    run: str,
    value: float,
    other: float,
    p: float,
    family: str,
    measure: str,
    subject: str,
    n: int | None,
    unit: str,
) -> dict[str, Any]:
    gap, half = value - other, 0.5 * abs(value - other) if p < 0.05 else 2 * abs(value - other)
    return {
        **{"run": run, "against": "base", "family": family, "measure": measure, "unit": unit},
        **{"subject": subject, "n_samples": n, "value": value, "other": other, "estimate": gap},
        **{"low": gap - half, "high": gap + half, "p": p / 10, "p_holm": p, "n_comparisons": 10},
        **{"n_questions": 10, "n_excluded": 2, "n_settings": 1 if run == "warm" else 2},
        **{"method": "planted", "seed": 0},
    }


def _questions(name: str, run: Run) -> list[dict[str, Any]]:
    votes = run.table("votes").set_index("question_id")
    answers = run.table("answers")
    rows = []
    for question in run.questions().to_dict("records"):
        key = question["question_id"]
        if (name, key) == ("warm-zero", "q10"):
            continue
        own, vote = answers[answers["question_id"] == key], votes.loc[key]
        rows.append(
            {
                **{"run": name, "question_id": key, "question": question["text"]},
                **{"gold": question["gold"], "answer": vote["answer"]},
                **{"correct": vote["correct"], "share": vote["share"], "n": len(own)},
                "accuracy": own["correct"]
                .astype("Float64")
                .to_numpy(float, na_value=np.nan)
                .mean(),
            }
        )
    return rows
