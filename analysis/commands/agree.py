"""`cot agree`."""

from __future__ import annotations

from pathlib import Path

import analysis
from cot.console import Output, emit, listen
from cot.run import open_run

__all__ = ["agree"]

SHOWN = 10


def agree(
    run: Path,
    /,
    *,
    layer: int | None = None,
    position: str | None = None,
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Line up answers, reasoning paths and hidden states, and name the most suspicious questions.

    Parameters
    ----------
    run
        The run's folder.
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
        table = analysis.agree(opened, layer=layer, position=position, seed=seed)
    findings = opened.table("findings_agree").to_dict("records")
    kinds = table["kinds"].explode().value_counts()
    worst = table.sort_values("suspicion", ascending=False).head(SHOWN)
    suspicious = worst[["question_id", "suspicion", "correct", "kinds", "why"]].to_dict("records")
    result = {
        "agreement": findings,
        "kinds": {str(name): int(count) for name, count in kinds.items()},
        "suspicious": suspicious,
    }
    if output.json:
        emit(output, result)
        return
    columns = ("name", "estimate", "low", "high", "null_mean", "null_high", "p", "n_questions")
    emit(output, {}, rows=[{name: row[name] for name in columns} for row in findings])
    emit(output, {}, rows=[{"kind": name, "questions": n} for name, n in result["kinds"].items()])
    emit(output, {}, rows=[{**row, "kinds": list(row["kinds"])} for row in suspicious])
