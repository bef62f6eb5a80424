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
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.calibration.entropy import class_entropy, normalised_probabilities
from analysis.calibration.targets import Targets
from analysis.catalogue import need
from analysis.columns import OTHERS, WINDOWED, columns
from analysis.hidden_states.stored_states import choose_place
from analysis.voting.centroid import centroid
from analysis.voting.cluster import NOISE
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["SIGNALS", "Signal", "default_signals", "signal_named"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A number that may predict correctness."""

    name: str
    """As typed."""
    unit: Literal["question", "trace"]
    """What has one, and what is predicted: a right majority, or a right trace."""
    read: Callable[[Targets], Floats]
    """The numbers, shape [question] or [trace]; NaN where there is none."""
    confident: Literal["high", "low"] = "high"
    """Which end should be right."""
    probability: bool = False
    """Meant as the probability of being right: Brier score and ECE are defined where all its values
    lie in [0, 1]."""
    takes: str | None = ""
    """A column of the traces, a table, or `confidence`: what a run must have for the signal to be
    read by default; None: only where it is named."""
    note: str = ""
    """What to know when reading its numbers."""


def _share(targets: Targets) -> Floats:
    """The winner's share of the valid traces."""
    return np.asarray(targets.votes["share"], dtype=float)


def _margin(targets: Targets) -> Floats:
    """The winner's share less the runner-up's."""
    return np.asarray(targets.votes["margin"], dtype=float)


def _answer_entropy(targets: Targets) -> Floats:
    """Discrete semantic entropy of the answers, nats."""
    return np.asarray(targets.votes["entropy"], dtype=float)


def _weighted_entropy(targets: Targets) -> Floats:
    """Semantic entropy of the answers, nats, weighted by length-normalised probability."""
    n = len(targets.votes)
    weights = normalised_probabilities(targets.question, targets.column("mean_logp"), n)
    return class_entropy(targets.question, targets.ballots["answer"], n, weights)


def _cluster_entropy(targets: Targets) -> Floats:
    """Entropy of the clusters, nats; a trace that no cluster took is one of its own."""
    cluster = targets.column("cluster")
    alone = -1.0 - np.arange(len(cluster))
    labels = np.where(cluster == NOISE, alone, cluster)
    return class_entropy(targets.question, labels, len(targets.votes))


def _wrong_equations(targets: Targets) -> Floats:
    """Share of the trace's checkable equations that are wrong; NaN where there is none."""
    wrong, checked = targets.column("n_wrong"), targets.column("n_checked")
    shares: Floats = np.divide(wrong, checked, out=np.full(len(wrong), np.nan), where=checked > 0)
    return shares


def _perplexity(targets: Targets) -> Floats:
    """exp(-mean logp), cut at e^700."""
    surprise = np.minimum(-targets.column("mean_logp"), 700.0)  # exp overflows at 710
    return np.asarray(np.exp(surprise))


def _centroid_distance(targets: Targets) -> Floats:
    """1 - cosine to the mean embedding of the question's ballots, answers masked; at most 1."""
    embedded = columns(targets.run, targets.ballots, ["embedding"], targets.queries)
    distances: Floats = 1.0 - centroid(embedded)
    return distances


def _eigen_score(targets: Targets) -> Floats:
    """EigenScore of the question's states at the place nearest the middle of what was captured."""
    scores = need(targets.run, "eigen_scores")
    layer, position = choose_place(targets.run, None, None)
    here = scores[(scores["layer"] == layer) & (scores["position"] == position)]
    found = here.set_index("question_id")["eigen_score"].reindex(targets.votes["question_id"])
    return np.asarray(found, dtype=float)


def _length(targets: Targets) -> Floats:
    """Tokens of each trace; characters where no trace has tokens stored."""
    import pyarrow.compute as pc

    for source, measure in (("token_ids", pc.list_value_length), ("text", pc.utf8_length)):
        traces = _stored(targets.run, [*TRACE_KEY, source])
        if traces[source].null_count < len(traces):
            lengths = measure(traces[source])
            break
    return _beside(targets, traces.select(TRACE_KEY).to_pandas().assign(length=lengths.to_pandas()))


def _beside(targets: Targets, frame: pd.DataFrame) -> Floats:
    """The frame's third column for each ballot; NaN where it lacks the trace."""
    joined = targets.ballots[TRACE_KEY].merge(frame, on=TRACE_KEY, how="left")
    numbers: Floats = joined[frame.columns[2]].to_numpy(dtype=float)
    return numbers


def _column(name: str) -> Callable[[Targets], Floats]:
    """A reader of a column of `analysis.columns`."""
    return lambda targets: targets.column(name)


def _stored(run: Run, names: list[str]) -> Any:
    """Columns of the stored traces as a pyarrow table, without a Python object a trace."""
    from cot.store.shards import read_shards

    run.reads("traces")
    return read_shards(run.path / "traces", names)


PROBE = "cross-fitted: neither the probe nor its layer and position were chosen with the question"
CONTROL = (
    "a control: tokens of the trace (if named where none are stored: characters), fewer counting "
    "as confident"
)
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
        Signal(name="vote_share", unit="question", read=_share, probability=True),
        Signal(name="margin", unit="question", read=_margin),
        Signal(name="answer_entropy", unit="question", read=_answer_entropy, confident="low"),
        Signal(
            name="weighted_entropy",
            unit="question",
            read=_weighted_entropy,
            confident="low",
            takes="logprobs",
        ),
        Signal(
            name="cluster_entropy",
            unit="question",
            read=_cluster_entropy,
            confident="low",
            takes="paths",
        ),
        Signal(
            name="wrong_equations",
            unit="trace",
            read=_wrong_equations,
            confident="low",
            takes="paths",
            note="share of the trace's equations that are wrong; none where none can be checked",
        ),
        *(
            Signal(name=name, unit="trace", read=_column(name), takes="logprobs")
            for name in ("mean_logp", "tail_logp", "sum_logp")
        ),
        Signal(
            name="perplexity",
            unit="trace",
            read=_perplexity,
            confident="low",
            takes="logprobs",
        ),
        *(
            Signal(name=name, unit="trace", read=_column(name), takes="top_means")
            for name in (f"{kind}@2048" for kind in WINDOWED)
        ),
        Signal(
            name="confidence",
            unit="trace",
            read=_column("confidence"),
            probability=True,
            takes="confidence",
        ),
        Signal(
            name="p_true",
            unit="trace",
            read=_column("p_true"),
            probability=True,
            takes=None,
        ),
        Signal(
            name="centroid_distance",
            unit="trace",
            read=_centroid_distance,
            confident="low",
            takes=None,
        ),
        Signal(
            name="probe",
            unit="trace",
            read=_column("probe"),
            probability=True,
            takes="probe_scores",
            note=PROBE,
        ),
        Signal(
            name="faithfulness",
            unit="trace",
            read=_column("faithfulness"),
            takes="faithfulness_profile",
            note="how far the answer depends on the reasoning, by the tests that were run",
        ),
        *(
            Signal(
                name=name,
                unit="trace",
                read=_column(name),
                confident=confident,
                takes="lens_traces",
            )
            for name, confident in LENS.items()
        ),
        Signal(
            name="eigen_score",
            unit="question",
            read=_eigen_score,
            confident="low",
            takes="eigen_scores",
        ),
        Signal(
            name="length_control",
            unit="trace",
            read=_length,
            confident="low",
            takes="token_ids",
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
    read = _column(name) if windowed else partial(_imported, name=name)
    return Signal(name=name, unit="trace", read=read)


def _imported(targets: Targets, name: str) -> Floats:
    try:
        if name in targets.ballots or name in OTHERS:
            raise InputError("not a number of the trace's own")
        return targets.column(name)
    except InputError:
        known = ", ".join([*SIGNALS, *(f"{kind}@W" for kind in WINDOWED)])
        raise InputError(
            f"{targets.run.path}: unknown signal {name!r}: choose from {known}, or name a number "
            "that was imported with the traces"
        ) from None


def default_signals(run: Run) -> list[Signal]:
    """The known signals whose inputs the run has and that need no model call."""
    there = {"", *run.tables(), *_in_traces(run)}
    return [signal for signal in SIGNALS.values() if signal.takes in there]


def _in_traces(run: Run) -> set[str]:
    import pyarrow.compute as pc

    traces = _stored(run, ["logprobs", "top_means", "token_ids", "meta"])
    found = {name for name in traces.column_names if traces[name].null_count < len(traces)}
    imported = pc.any(pc.match_substring(traces["meta"], '"confidence":')).as_py()
    return found | ({"confidence"} if imported else set())
