"""`cot calibration`."""

from __future__ import annotations

from pathlib import Path

import analysis
from cot.console import Output, emit, listen
from cot.store.run import open_run

__all__ = ["calibration"]

SHOWN = (
    *("signal", "unit", "auroc", "low", "high", "auprc", "prevalence", "brier", "ece", "prr"),
    *("aurc", "wqd", "within_question_auroc", "n"),
)


def calibration(
    run: Path,
    /,
    *,
    signal: tuple[str, ...] | None = None,
    bins: int = 10,
    seed: int = 0,
    limit: int | None = None,
    model: str | None = None,
    engine: str | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Does confidence predict correctness? Every signal that the run has, by every measure.

    Parameters
    ----------
    run
        The run's folder.
    signal
        Of a question: vote_share, margin, answer_entropy, weighted_entropy, path_entropy. Of a
        trace: mean_logp, tail_logp, sum_logp, perplexity, lowest@2048 (mean, tail, bottom; any
        window), probe, length_control, an imported number such as confidence; p_true (asks the
        model) and centroid_distance (embeds) only where named. May be given again.
    bins
        Of equal width, for ECE and reliability.
    seed
        Of the bootstrap.
    limit
        Only the first questions.
    model
        Asked for p_true; by default the one that sampled the run.
    engine
        Runs that model.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        table = analysis.calibrate(
            opened,
            signals=signal,
            bins=bins,
            seed=seed,
            limit=limit,
            model=model,
            engine=engine,
        )
    findings = opened.table("findings_calibration").set_index("name")
    rows = table.to_dict("records")
    entropy = findings.loc["mean_entropy", "estimate"]
    notes = [f"{row['signal']}: {row['note']}" for row in rows if row["note"]]
    emit(
        output,
        {"signals": rows, "mean_entropy": entropy},
        rows=[{name: row[name] for name in SHOWN} for row in rows],
        note="\n".join([f"mean entropy of a question's answers: {entropy:.3f} nats", *notes]),
    )
