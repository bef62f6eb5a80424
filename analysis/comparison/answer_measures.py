"""What is measured of answers: accuracy, curves, calibration, and what sampling them cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from analysis.calibration.signals import Signal, signal_named
from analysis.calibration.targets import Targets, find_targets
from analysis.catalogue import find, first_questions
from analysis.comparison.measure import Compared, Measure, mean_of, share_of
from analysis.comparison.sums import AUROC, ECE, PRR
from analysis.curves import PASS, curves_of, expected_accuracy
from analysis.model_queries import ModelQueries
from analysis.statistics import auroc_per_question
from cot.errors import InputError

__all__ = ["accuracy", "calibration", "cost", "curve", "voting_answers"]

SHARE = "share of questions"


def voting_answers(compared: Compared) -> pd.DataFrame | None:
    """The run's answers, without those beyond a question's stop; None where they can't be read."""
    answers = compared.table("answers", "accuracy")
    if answers is None:
        return None
    return answers[~answers["surplus"]] if "surplus" in answers else answers


def accuracy(compared: Compared, k: int) -> Iterator[Measure]:
    """Accuracy of each rule of table `votes`, of a single trace, of the greedy one, and pass@k.

    Args:
        k: of pass@k; the same in all runs.
    """
    answers = voting_answers(compared)
    if answers is None:
        return
    with_gold = answers[answers["correct"].notna()]
    n_traces = with_gold.groupby("question_id", sort=False).size()
    same: dict[str, Any] = {"family": "accuracy", "unit": SHARE, "n_traces": n_traces}
    votes = compared.table("votes", "accuracy")
    for rule, rows in () if votes is None else votes.groupby("rule", sort=False):
        right = rows[rows["correct"].notna()].set_index("question_id")["correct"]
        yield Measure(
            measure="accuracy",
            subject=str(rule),
            rows=mean_of(right),
            method=f"share of questions on which the {rule} vote is right",
            **same,
        )
    single = with_gold["correct"].astype(float).groupby(with_gold["question_id"], sort=False)
    yield Measure(
        measure="accuracy",
        subject="single",
        rows=mean_of(single.mean()),
        method="mean over questions of the share of right traces",
        **same,
    )
    if k > 1:
        table = expected_accuracy(with_gold.reset_index(drop=True), PASS, [k])
        yield Measure(
            measure=PASS,
            n_samples=k,
            rows=mean_of(table[k]),
            method=f"mean over questions of the chance that one of {k} traces is right",
            **same,
        )
    if "greedy_answers" not in compared.run.tables():
        compared.lacks("accuracy", "the greedy trace", "none was sampled")
        return
    greedy = compared.table("greedy_answers", "accuracy")
    if greedy is not None:
        judged = greedy[greedy["correct"].notna()].set_index("question_id")["correct"]
        yield Measure(
            family="accuracy",
            measure="accuracy",
            subject="greedy",
            unit=SHARE,
            rows=mean_of(judged),
            n_traces=judged.groupby(level=0).size(),
            method="share of questions on which the greedy trace is right",
        )


def curve(compared: Compared) -> Iterator[Measure]:
    """Each point of the run's table `curve`, whose parameters say how it is made."""
    if compared.table("curve", "curve") is None:
        return
    run = compared.run
    asked = find("curve").bind(**run.provenance("curve").parameters)
    try:
        curves = curves_of(run, asked.pop("rule"), **asked)
    except InputError as error:
        compared.lacks("curve", "table curve", str(error), f"cot curve {run.path}")
        return
    for name in curves.rules:
        for n in curves.counts:
            random = curves.order == "random"
            measure = "expected_accuracy" if random else "accuracy_of_first"
            yield Measure(
                family="curve",
                measure=PASS if name == PASS else measure,
                subject="" if name == PASS else name,
                n_samples=n,
                unit=SHARE,
                rows=mean_of(curves.tables[name][n]),
                n_traces=curves.sizes,
                method=f"{curves.how(name, n)}, {curves.order} order",
            )


# -- calibration -----------------------------------------------------------------------------------


def calibration(compared: Compared) -> Iterator[Measure]:
    """Of each signal of table `calibration`: AUROC, PRR, Brier score and ECE, and of a trace's the
    AUROC within questions; and the mean entropy of answers."""
    table = compared.table("calibration", "calibration")
    if table is None:
        return
    run = compared.run
    asked = run.provenance("calibration").parameters
    answers = first_questions(run.table("answers"), asked.get("limit"))
    with ModelQueries(run, None, None) as queries:
        targets = find_targets(run, answers, queries)
    entropy = targets.polls.set_index("question_id")["entropy"]
    yield Measure(
        family="calibration",
        measure="mean_answer_entropy",
        unit="nats",
        rows=mean_of(entropy),
        n_traces=targets.ballots.groupby("question_id", sort=False).size(),
        method="mean semantic entropy of a question's answers",
    )
    for row in table.to_dict("records"):
        signal = signal_named(str(row["signal"]))
        if signal.takes is None:  # it asks the model, or embeds: what it was is read, not made
            yield from _stated(row)
        else:
            yield from _scored(compared, signal, targets, int(asked.get("bins", 10)))


def _scored(compared: Compared, signal: Signal, targets: Targets, bins: int) -> Iterator[Measure]:
    try:
        values = signal.read(targets)
    except InputError as error:
        compared.lacks("calibration", f"signal {signal.name}", str(error))
        return
    target = targets.of[signal.unit]
    there = ~np.isnan(values)
    questions = targets.votes["question_id"].to_numpy()[target.question[there]]
    value, right = values[there], target.correct[there]
    confidence = value if signal.confident == "high" else -value
    items = pd.DataFrame(
        {"question_id": questions, "right": right, "confidence": confidence, "n_bins": bins}
    )
    indexed = items.set_index("question_id")
    per_question = targets.ballots.groupby("question_id", sort=False).size()
    n_traces = items.groupby("question_id", sort=False).size()
    what: dict[str, Any] = {
        "family": "calibration",
        "subject": signal.name,
        "n_traces": n_traces if signal.unit == "trace" else per_question.reindex(n_traces.index),
    }
    of = f"over {signal.unit}s, {signal.confident} counting as confident"
    yield Measure(
        measure="auroc",
        unit="AUROC",
        rows=indexed,
        statistic=AUROC,
        method=f"AUROC {of}; chance is 0.5",
        **what,
    )
    yield Measure(
        measure="prr",
        unit="PRR",
        rows=indexed,
        statistic=PRR,
        method=f"prediction-rejection ratio {of}; chance is 0",
        **what,
    )
    if signal.probability and bool(((value >= 0) & (value <= 1)).all()):
        squares = items.assign(square=(items["confidence"] - items["right"]) ** 2)
        yield Measure(
            measure="brier",
            unit="squared error",
            rows=share_of(squares, "square"),
            method=f"mean squared difference of the signal and the outcome, over {signal.unit}s",
            **what,
        )
        yield Measure(
            measure="ece",
            unit="probability",
            rows=indexed,
            statistic=ECE,
            method=f"expected calibration error over {signal.unit}s, {bins} bins",
            **what,
        )
    if signal.unit == "trace":
        within = auroc_per_question(right, confidence, questions)
        yield Measure(
            measure="within_question_auroc",
            unit="AUROC",
            rows=mean_of(within),
            method="mean over questions with right and wrong traces; chance is 0.5",
            **what,
        )


def _stated(row: dict[Any, Any]) -> Iterator[Measure]:
    shown = {"auroc": ("low", "high"), "brier": (), "ece": (), "prr": ()}
    for name, ends in shown.items():
        if pd.isna(row[name]):
            continue
        low, high = (row[end] for end in ends) if ends else (np.nan, np.nan)
        yield Measure(
            family="calibration",
            measure=name,
            subject=str(row["signal"]),
            unit={"auroc": "AUROC", "brier": "squared error", "prr": "PRR"}.get(
                name, "probability"
            ),
            method="as table calibration has it; not paired, as the signal asks a model",
            stated={
                "estimate": row[name],
                "low": low,
                "high": high,
                "n_questions": row["n_questions"],
                "n_traces": row["n"] if row["unit"] == "trace" else None,
                "n_excluded": row["no_gold"] + row["no_answer"] + row["no_signal"],
            },
        )


# -- cost ------------------------------------------------------------------------------------------


def cost(compared: Compared) -> Iterator[Measure]:
    """Tokens a trace, and seconds a trace and tokens a second of the calls that sampled them."""
    lengths = _tokens(compared)
    if lengths is None:
        compared.lacks("cost", "tokens", "the traces have no token ids")
    else:
        yield Measure(
            family="cost",
            measure="tokens",
            unit="tokens a trace",
            rows=share_of(lengths, "tokens"),
            n_traces=lengths.groupby("question_id", sort=False).size(),
            method="mean over traces of the generated tokens",
        )
    try:
        calls = [each for each in _calls(compared) if each.get("n_new") and each.get("seconds")]
    except ValueError as error:
        compared.lacks("cost", "seconds", f"calls.jsonl can't be read: {error}")
        return
    if not calls:
        compared.lacks("cost", "seconds", "calls.jsonl has no call that sampled traces")
        return
    seconds = sum(float(each["seconds"]) for each in calls)
    n_new = sum(int(each["n_new"]) for each in calls)
    tokens = sum(int(each.get("n_tokens", 0)) for each in calls)
    for measure, unit, value in (
        ("seconds", "seconds a trace", seconds / n_new),
        ("tokens_per_second", "tokens a second", tokens / seconds),
    ):
        yield Measure(
            family="cost",
            measure=measure,
            unit=unit,
            method="of the calls that sampled traces, greedy ones among their tokens and seconds; "
            "a number of the machine and its load: no interval, not paired",
            stated={"estimate": value, "n_traces": n_new},
        )


def _tokens(compared: Compared) -> pd.DataFrame | None:
    """One row a trace with token ids: question_id, tokens; None where none has any."""
    import pyarrow.compute as pc

    from cot.store.shards import read_shards

    compared.run.reads("traces")
    traces = read_shards(compared.run.path / "traces", ["question_id", "token_ids"])
    lengths = pc.list_value_length(traces["token_ids"]).to_pandas()
    frame = traces.select(["question_id"]).to_pandas().assign(tokens=lengths)
    known = frame[frame["tokens"].notna()]
    return known if len(known) else None


def _calls(compared: Compared) -> list[dict[str, Any]]:
    path = compared.run.path / "calls.jsonl"
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    calls = (json.loads(line) for line in lines if line)
    return [each for each in calls if each.get("command") == "sample"]
