"""Does confidence predict correctness?

Every signal (`signals.py`) is scored by every measure (`metrics.py`): pooled over the run, and
within questions, where knowing which questions are hard cannot help.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np
import pandas as pd

from analysis.calibration.scores import Score, score
from analysis.calibration.signals import Signal, default_signals, signal_named
from analysis.calibration.targets import Targets, find_targets
from analysis.catalogue import first_questions, need
from analysis.declaration import Shown, analysis
from analysis.findings import as_table, mean_finding, pick
from analysis.model_queries import ModelQueries
from cot.errors import InputError
from cot.store.run import Run
from cot.types import Finding

__all__ = ["calibrate"]

log = logging.getLogger("cot")
ENTROPY = "mean_answer_entropy"

SHOWN = ["signal", "unit", "auroc", "low", "high", "auprc", "prevalence", "brier", "ece", "prr"]
SHOWN += ["aurc", "wqd", "within_question_auroc", "n"]


def _show(run: Run, table: pd.DataFrame) -> Shown:
    found = pick(run.table("findings_calibrate"), ENTROPY)
    entropy = np.nan if found is None else found["estimate"]
    rows = table.to_dict("records")
    notes = [f"{row['signal']}: {row['note']}" for row in rows if row["note"]]
    return Shown(
        json={"signals": rows, "mean_entropy": entropy},
        tables=[table[SHOWN].to_dict("records")],
        note="\n".join([f"mean entropy of a question's answers: {entropy:.3f} nats", *notes]),
    )


@analysis(
    makes={
        "calibration": "one row a signal of confidence: AUROC, calibration, rejection",
        "calibration_curves": "points of the reliability and risk-coverage curves",
        "findings_calibrate": "AUROC of each signal, and the mean answer entropy",
    },
    show=_show,
)
def calibrate(
    run: Run,
    signal: Sequence[str] | None = None,
    bins: int = 10,
    seed: int = 0,
    limit: int | None = None,
    model: str | None = None,
    engine: str | None = None,
) -> pd.DataFrame:
    """Score signals of confidence; writes and returns the table `calibration`, one row a signal.

    Columns: see `analysis.calibration.scores.Score`; NaN is undefined, and `note` says why. A
    question's signals predict whether its majority vote is right; abstentions are left out and
    counted. A trace's predict whether the trace is right; traces without a valid answer likewise.

    Also writes `calibration_curves` (signal; kind: `reliability`, x the mean probability and y the
    share right in a bin of n items, or `risk_coverage`, x the share kept and y the share wrong
    among these n most confident) and `findings_calibrate`: the mean answer entropy of a question
    and the AUROC of each signal, with 95% intervals by bootstrap over questions.

    Args:
        signal: signals of confidence; by default all whose inputs the run has and that ask no
            model. Of a question: vote_share, margin, answer_entropy, weighted_entropy,
            cluster_entropy. Of a trace: mean_logp, tail_logp, sum_logp, perplexity, lowest@2048
            (mean, tail, bottom; any window), probe, length_control, an imported number such as
            confidence; p_true (asks the model) and centroid_distance (embeds) only where named.
        bins: number of bins of equal width, for reliability and ECE.
        seed: seed of the bootstrap.
        limit: number of questions, from the first; all by default.
        model: the model for signals that ask one; by default the one that sampled the run.
        engine: the engine that runs that model: transformers or vllm.

    Raises:
        InputError: a named signal needs what the run lacks (the message says how to get it).
    """
    if bins < 1:
        raise InputError(f"--bins is {bins}, but must be at least 1")
    answers = first_questions(need(run, "answers"), limit)
    rows: list[Score] = []
    curves: list[pd.DataFrame] = []
    with ModelQueries(run, model, engine) as queries:
        targets = find_targets(run, answers, queries)
        for each in _chosen(run, signal):
            try:
                values = each.read(targets)
            except InputError as error:
                if signal is not None:
                    raise
                log.info("signal %s is left out: %s", each.name, error)
                continue
            row, drawn = score(each, values, targets.of[each.unit], bins=bins, seed=seed)
            rows.append(row)
            curves.append(drawn)
    table = _as_frame(rows)
    run.write_table("calibration", table)
    run.write_table("calibration_curves", pd.concat(curves, ignore_index=True))
    run.write_table("findings_calibrate", _findings(rows, targets, seed))
    return table


def _chosen(run: Run, names: Sequence[str] | None) -> list[Signal]:
    if names is None:
        return default_signals(run)
    if not names:
        raise InputError("name at least one signal, such as vote_share")
    return [signal_named(name) for name in dict.fromkeys(names)]


def _as_frame(rows: Sequence[Score]) -> pd.DataFrame:
    names = [field.name for field in fields(Score)]
    optional = [field.name for field in fields(Score) if "None" in str(field.type)]
    frame = pd.DataFrame([asdict(row) for row in rows], columns=names)
    return frame.astype(dict.fromkeys(optional, float))


def _findings(rows: Sequence[Score], targets: Targets, seed: int) -> pd.DataFrame:
    entropy = targets.polls["entropy"].dropna()
    findings = [
        mean_finding(
            ENTROPY,
            entropy,
            n_traces=int(targets.polls["n_ballots"].sum()),
            n_excluded=len(targets.polls) - len(entropy),
            method="mean semantic entropy of a question's answers, nats; questions without a valid "
            "answer excluded; 95% bootstrap over questions",
            seed=seed,
        )
    ]
    findings += [
        Finding(
            measure="auroc",
            subject=row.signal,
            estimate=row.auroc,
            low=row.low,
            high=row.high,
            n_questions=row.n_questions,
            n_traces=row.n if row.unit == "trace" else len(targets.ballots),
            n_excluded=row.no_gold + row.no_answer + row.no_signal,
            method=f"AUROC over {row.unit}s, {row.confident} counting as confident; chance is "
            f"0.5; 95% bootstrap over questions; {row.unit}s without gold, valid answer or "
            "signal excluded" + (f"; {row.note}" if row.note else ""),
            seed=seed,
        )
        for row in rows
    ]
    predicted = ["majority" if row.unit == "question" else "trace" for row in rows]
    return as_table("calibrate", findings, target=["", *predicted])
