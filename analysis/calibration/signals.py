"""What may tell right from wrong: a number for each question, or for each trace.

A question's signals are judged by whether its majority vote is right, a trace's by whether the
trace is right. Beside the names in `SIGNALS`, `mean@W`, `tail@W`, `lowest@W` and `bottom@W` take
any window W, and any other name is a number that came with imported traces, taken to be higher
where the trace should be right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from analysis.calibration import readers
from analysis.calibration.judged import Judged
from analysis.calibration.readers import column, stored
from analysis.columns import OTHERS, WINDOWED
from cot.errors import InputError
from cot.store.run import Run

__all__ = ["SIGNALS", "Signal", "signal_named", "unasked"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A number that may predict correctness."""

    name: str
    """As typed."""
    unit: Literal["question", "trace"]
    """What has one, and what is predicted: a right majority, or a right trace."""
    read: Callable[[Judged], Floats]
    """The numbers, shape [question] or [trace]; NaN where there is none."""
    confident: Literal["high", "low"] = "high"
    """Which end should be right."""
    probability: bool = False
    """Meant as the probability of being right: Brier score and ECE are defined where all its values
    lie in [0, 1]."""
    takes: str | None = ""
    """A column of the traces, a table, or `confidence`: what a run must have for the signal to be
    read unasked; None: only where it is named."""
    reads: tuple[str, ...] = ()
    """What it is made from beside the answers, as `Run.fingerprint` names it."""
    note: str = ""
    """What to know when reading its numbers."""


PROBE = "cross-fitted: neither the probe nor its layer and position were chosen with the question"
CONTROL = (
    "a control: tokens of the trace (if named where none are stored: characters), fewer counting "
    "as confident"
)
TRACES = ("traces",)
LENS: dict[str, Literal["high", "low"]] = {
    "consistency": "high",
    "consistency_calibrated": "high",
    "commitment_layer": "low",
    "coe_r": "high",
    "coe_c": "high",
}
"""Columns of table `lens_traces`, and which end should be right."""
SIGNALS = {
    signal.name: signal
    for signal in (
        Signal(name="vote_share", unit="question", read=readers.share, probability=True),
        Signal(name="margin", unit="question", read=readers.margin),
        Signal(
            name="answer_entropy", unit="question", read=readers.answer_entropy, confident="low"
        ),
        Signal(
            name="weighted_entropy",
            unit="question",
            read=readers.weighted_entropy,
            confident="low",
            takes="logprobs",
            reads=TRACES,
        ),
        Signal(
            name="cluster_entropy",
            unit="question",
            read=readers.cluster_entropy,
            confident="low",
            takes="paths",
            reads=("paths",),
        ),
        Signal(
            name="wrong_steps",
            unit="trace",
            read=readers.wrong_steps,
            confident="low",
            takes="paths",
            reads=("paths",),
            note="share of the trace's equations that are wrong; none where none can be checked",
        ),
        *(
            Signal(name=name, unit="trace", read=column(name), takes="logprobs", reads=TRACES)
            for name in ("mean_logp", "tail_logp", "sum_logp")
        ),
        Signal(
            name="perplexity",
            unit="trace",
            read=readers.perplexity,
            confident="low",
            takes="logprobs",
            reads=TRACES,
        ),
        *(
            Signal(name=name, unit="trace", read=column(name), takes="top_means", reads=TRACES)
            for name in (f"{kind}@2048" for kind in WINDOWED)
        ),
        Signal(
            name="confidence",
            unit="trace",
            read=column("confidence"),
            probability=True,
            takes="confidence",
            reads=TRACES,
        ),
        Signal(
            name="p_true",
            unit="trace",
            read=column("p_true"),
            probability=True,
            takes=None,
            reads=("traces", "samples/p_true"),
        ),
        Signal(
            name="centroid_distance",
            unit="trace",
            read=readers.centroid_distance,
            confident="low",
            takes=None,
            reads=TRACES,
        ),
        Signal(
            name="probe",
            unit="trace",
            read=column("probe"),
            probability=True,
            takes="probe_scores",
            reads=("probe_scores",),
            note=PROBE,
        ),
        Signal(
            name="faithfulness",
            unit="trace",
            read=column("faithfulness"),
            takes="faithfulness_profile",
            reads=("faithfulness_profile",),
            note="how far the answer depends on the reasoning, by the tests that were run",
        ),
        *(
            Signal(
                name=name,
                unit="trace",
                read=column(name),
                confident=confident,
                takes="lens_traces",
                reads=("lens_traces",),
            )
            for name, confident in LENS.items()
        ),
        Signal(
            name="eigen_score",
            unit="question",
            read=readers.eigen_score,
            confident="low",
            takes="eigen_scores",
            reads=("eigen_scores",),
        ),
        Signal(
            name="length_control",
            unit="trace",
            read=readers.length,
            confident="low",
            takes="token_ids",
            reads=TRACES,
            note=CONTROL,
        ),
    )
}
"""The known signals, by name."""


def signal_named(name: str) -> Signal:
    """The signal that a name stands for; one that nothing has is refused when it is read."""
    if name in SIGNALS:
        return SIGNALS[name]
    windowed = name.partition("@")[0] in WINDOWED
    read = column(name) if windowed else partial(_imported, name=name)
    return Signal(name=name, unit="trace", read=read, reads=TRACES)


def _imported(judged: Judged, name: str) -> Floats:
    try:
        if name in judged.ballots or name in OTHERS:
            raise InputError("not a number of the trace's own")
        return judged.column(name)
    except InputError:
        known = ", ".join([*SIGNALS, *(f"{kind}@W" for kind in WINDOWED)])
        raise InputError(
            f"{judged.run.path}: unknown signal {name!r}: choose from {known}, or name a number "
            "that was imported with the traces"
        ) from None


def unasked(run: Run) -> list[Signal]:
    """The known signals whose inputs the run has and that need no model call."""
    there = {"", *run.tables(), *_in_traces(run)}
    return [signal for signal in SIGNALS.values() if signal.takes in there]


def _in_traces(run: Run) -> set[str]:
    import pyarrow.compute as pc

    traces = stored(run, ["logprobs", "top_means", "token_ids", "meta"])
    found = {name for name in traces.column_names if traces[name].null_count < len(traces)}
    imported = pc.any(pc.match_substring(traces["meta"], '"confidence":')).as_py()
    return found | ({"confidence"} if imported else set())
