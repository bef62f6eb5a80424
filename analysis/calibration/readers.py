"""How each signal is read: functions of the judged questions and traces to one number each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.calibration.entropy import class_entropy, normalised_probabilities
from analysis.calibration.judged import Judged
from analysis.catalogue import need
from analysis.columns import columns
from analysis.hidden_states.stored_states import choose_place
from analysis.voting.centroid import centroid
from analysis.voting.cluster import NOISE
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = [
    "answer_entropy",
    "centroid_distance",
    "cluster_entropy",
    "column",
    "eigen_score",
    "length",
    "margin",
    "perplexity",
    "share",
    "stored",
    "weighted_entropy",
    "wrong_steps",
]

Floats = NDArray[np.float64]


def share(judged: Judged) -> Floats:
    """The winner's share of the valid traces."""
    return np.asarray(judged.votes["share"], dtype=float)


def margin(judged: Judged) -> Floats:
    """The winner's share less the runner-up's."""
    return np.asarray(judged.votes["margin"], dtype=float)


def answer_entropy(judged: Judged) -> Floats:
    """Discrete semantic entropy of the answers, nats."""
    return np.asarray(judged.votes["entropy"], dtype=float)


def weighted_entropy(judged: Judged) -> Floats:
    """Semantic entropy of the answers, nats, weighted by length-normalised probability."""
    n = len(judged.votes)
    weights = normalised_probabilities(judged.question, judged.column("mean_logp"), n)
    return class_entropy(judged.question, judged.ballots["answer"], n, weights)


def cluster_entropy(judged: Judged) -> Floats:
    """Entropy of the reasoning paths, nats; a trace that no cluster took is a path of its own."""
    path = judged.column("cluster")
    alone = -1.0 - np.arange(len(path))
    return class_entropy(judged.question, np.where(path == NOISE, alone, path), len(judged.votes))


def wrong_steps(judged: Judged) -> Floats:
    """Share of the trace's checkable equations that are wrong; NaN where there is none."""
    wrong, checked = judged.column("n_wrong"), judged.column("n_checked")
    shares: Floats = np.divide(wrong, checked, out=np.full(len(wrong), np.nan), where=checked > 0)
    return shares


def perplexity(judged: Judged) -> Floats:
    """exp(-mean logp), cut at e^700."""
    surprise = np.minimum(-judged.column("mean_logp"), 700.0)
    return np.asarray(np.exp(surprise))


def centroid_distance(judged: Judged) -> Floats:
    """1 - cosine to the mean embedding of the question's ballots, answers masked; at most 1."""
    embedded = columns(judged.run, judged.ballots, ["embedding"], judged.asker)
    distances: Floats = 1.0 - centroid(embedded)
    return distances


def eigen_score(judged: Judged) -> Floats:
    """EigenScore of the question's states at the place nearest the middle of what was captured."""
    scores = need(judged.run, "eigen_scores")
    layer, position = choose_place(judged.run, None, None)
    here = scores[(scores["layer"] == layer) & (scores["position"] == position)]
    found = here.set_index("question_id")["eigen_score"].reindex(judged.votes["question_id"])
    return np.asarray(found, dtype=float)


def length(judged: Judged) -> Floats:
    """Tokens of each trace; characters where no trace has tokens stored."""
    import pyarrow.compute as pc

    for source, measure in (("token_ids", pc.list_value_length), ("text", pc.utf8_length)):
        traces = stored(judged.run, [*TRACE_KEY, source])
        if traces[source].null_count < len(traces):
            lengths = measure(traces[source])
            break
    return _beside(judged, traces.select(TRACE_KEY).to_pandas().assign(length=lengths.to_pandas()))


def _beside(judged: Judged, frame: pd.DataFrame) -> Floats:
    """The frame's third column for each ballot; NaN where it lacks the trace."""
    joined = judged.ballots[TRACE_KEY].merge(frame, on=TRACE_KEY, how="left")
    numbers: Floats = joined[frame.columns[2]].to_numpy(dtype=float)
    return numbers


def column(name: str) -> Callable[[Judged], Floats]:
    """A reader of a column of `analysis.columns`."""
    return lambda judged: judged.column(name)


def stored(run: Run, names: list[str]) -> Any:
    """Columns of the stored traces as a pyarrow table, without a Python object a trace."""
    from cot.store.shards import read_shards

    run.reads("traces")
    return read_shards(run.path / "traces", names)
