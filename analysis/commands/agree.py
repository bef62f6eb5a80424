"""`cot agree`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import analysis
from analysis.agreement.kinds import KINDS
from cot.console import Output, emit, listen
from cot.store.run import open_run

__all__ = ["agree"]

SHOWN = 10


def agree(
    run: Path,
    other: Path | None = None,
    /,
    *,
    layer: int | None = None,
    position: str | None = None,
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Line up answers, reasoning and hidden states, and name the most suspicious questions.

    With a second run: the differences between the two, paired by question.

    Parameters
    ----------
    run
        The run's folder.
    other
        Another run's, of the same questions.
    layer
        Layer of the hidden states; the middle one captured by default.
    position
        Position of the hidden states; pre_answer by default.
    seed
        Of permutations and bootstrap.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        if other is not None:
            pairs = analysis.compare_agreement(opened, open_run(other), seed=seed)
            rows = pairs.to_dict("records")
            emit(output, {"differences": rows}, rows=rows)
            return
        table = analysis.agree(opened, layer=layer, position=position, seed=seed)
    findings = opened.table("findings_agree").to_dict("records")
    kinds = table["kinds"].explode().value_counts().reindex(KINDS).dropna().astype(int)
    by_chance = table["decided_control"].dropna()
    worst = table.sort_values("suspicion", ascending=False, kind="stable").head(SHOWN)
    suspicious = worst[["question_id", "suspicion", "correct", "kinds", "why"]].to_dict("records")
    result = {
        "agreement": findings,
        "raters": opened.table("agreement_raters").to_dict("records"),
        "rater_pairs": opened.table("agreement_rater_pairs").to_dict("records"),
        "kinds": kinds.to_dict(),
        "decided_by_chance": int(by_chance.sum()) if len(by_chance) else None,
        "suspicious": suspicious,
    }
    if output.json:
        emit(output, result)
        return
    columns = ("name", "estimate", "low", "high", "null_mean", "null_high", "p", "n_questions")
    emit(output, {}, rows=[{name: row[name] for name in columns} for row in findings])
    emit(output, {}, rows=[_without(row, "seed") for row in result["raters"]])
    emit(output, {}, rows=[_without(row, "seed") for row in result["rater_pairs"]])
    chance = {"decided before reasoning": result["decided_by_chance"]}
    rows = [
        {"kind": name, "questions": n, "by chance": chance.get(name)} for name, n in kinds.items()
    ]
    emit(output, {}, rows=rows)
    emit(output, {}, rows=[{**row, "kinds": list(row["kinds"])} for row in suspicious])


def _without(row: dict[Any, Any], name: str) -> dict[Any, Any]:
    return {key: value for key, value in row.items() if key != name}
