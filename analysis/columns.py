"""Columns of traces beside the answer, which vote rules and signals read.

    columns(run, answers, ["mean_logp", "lowest@2048"])

- `sum_logp`, `mean_logp`: of the sampled tokens, nats, under the raw distribution;
  `tail_logp`: the mean over the last tenth of the tokens (at least one).
- `mean@W`, `tail@W`, `lowest@W`, `bottom@W`: DeepConf (arXiv 2508.15260). With a token's
  confidence = -(mean of the k largest log-probabilities): the mean over all tokens, over the last
  W, over the lowest sliding window of W (stride 1), over the lowest tenth of the windows. A trace
  shorter than W is one window.
- `self_certainty`, `mean_entropy`: see table `token_certainty`, which `cot capture --certainty`
  makes. Without it, they are approximated, and a warning says so. self_certainty by -(mean over
  the tokens of the mean of the k largest log-probabilities): -(1/V) Σ_j log(V p_j) with the
  largest k in place of the vocabulary, without the constant log V. mean_entropy by -mean_logp:
  the sampled tokens' surprisal has the entropy as its expectation, where tokens were drawn at
  temperature 1 from the whole distribution.
- `text_id`: a number for the trace's text; equal texts of a question have one number.
- `cluster`: the trace's cluster in table `paths`; `n_checked`, `n_wrong`, `n_reaching`: its
  equations that can be checked, that are wrong, and that are wrong and lead to its answer;
  `embedding`: the text's, answer masked; where traces are long, the square roots of their weights
  by cluster of sections, of table `path_sections`.
- `p_true`: the model's own rating of the trace (asks the model); `chosen`: whether the model finds
  the trace the most consistent of its question's (asks the model).
- `probe`: a cross-fitted probe's P(correct), layer and position chosen without the question;
  `consistency`, `consistency_calibrated`, `commitment_layer`, `coe_r`, `coe_c`: see table
  `lens_traces`; `state@LAYER@POSITION`: a captured hidden state (LAYER a number, or `middle`: the
  one nearest half of the deepest), None where the trace has none.
- `faithfulness`: how far the answer depends on the reasoning, see table `faithfulness_profile`.
- any other name: a number that came with imported traces, such as `confidence`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.catalogue import need
from analysis.clusters.comparing import by_sections, stored_vectors
from analysis.clusters.embedding import embed, mask_traces
from analysis.hidden_states.stored_states import captured, read_cell, within_gap
from analysis.model_queries import ModelQueries
from analysis.model_queries.most_consistent import most_consistent
from analysis.model_queries.p_true import p_true
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["ASKING", "columns", "group_confidence", "made_from"]

log = logging.getLogger("cot")
Floats = NDArray[np.float64]
CERTAINTY = "token_certainty"
WINDOWED = ("mean", "tail", "lowest", "bottom")


def columns(
    run: Run, answers: pd.DataFrame, names: Sequence[str], queries: ModelQueries | None = None
) -> pd.DataFrame:
    """The answers with further columns; NaN where a trace lacks what it takes.

    Args:
        answers: rows of the answers table.
        names: see the module; one that `answers` has is left as it is.
        queries: to the model, where a column needs them.

    Raises:
        InputError: the run lacks what a column is made from; says how to get it.
    """
    wanted = [name for name in dict.fromkeys(names) if name not in answers]
    if not wanted:
        return answers
    made: dict[str, Any] = {}
    for name in wanted:
        kind, _, window = name.partition("@")
        if kind in LOGPROBS:
            made[name] = _per_token(run, answers, "logprobs", LOGPROBS[kind])
        elif kind in WINDOWED and window.isdigit() and int(window):
            made[name] = _confidence(run, answers, kind, int(window))
        elif kind == "state":
            made[name] = _states(run, answers, *window.split("@"))
        elif name in OTHERS:
            made[name] = OTHERS[name](run, answers, queries or ModelQueries(run))
        else:
            made[name] = _imported(run, answers, name)
    return answers.assign(**made)


def made_from(names: Sequence[str]) -> list[str]:
    """What columns are made from beside the answers, as `Run.fingerprint` names it."""
    found = {
        "activations" if name.startswith("state@") else SOURCES[name]
        for name in names
        if name.startswith("state@") or name in SOURCES
    }
    return sorted(found)


def group_confidence(top_means: Floats, kind: str, window: int) -> float:
    """A trace's confidence from the means of its k largest log-probabilities, shape [token]."""
    tokens = -np.asarray(top_means, dtype=float)
    if kind == "mean":
        return float(tokens.mean())
    if kind == "tail":
        return float(tokens[-window:].mean())
    windows = window_means(tokens, window)
    if kind == "lowest":
        return float(windows.min())
    lowest = max(1, len(windows) // 10)
    return float(np.partition(windows, lowest - 1)[:lowest].mean())


def window_means(values: Floats, window: int) -> Floats:
    """Means of all windows of this length, stride 1; of the whole where it is shorter."""
    width = min(window, len(values))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means: Floats = (sums[width:] - sums[:-width]) / width
    return means


def _tail(values: Floats) -> float:
    return float(values[-max(1, len(values) // 10) :].mean())


ASKING = frozenset(("p_true", "chosen"))
"""Columns that ask the model."""
LOGPROBS: Mapping[str, Callable[[Floats], float]] = {
    "sum_logp": lambda values: float(values.sum()),
    "mean_logp": lambda values: float(values.mean()),
    "tail_logp": _tail,
}


def _confidence(run: Run, answers: pd.DataFrame, kind: str, window: int) -> Floats:
    return _per_token(
        run, answers, "top_means", lambda values: group_confidence(values, kind, window)
    )


LACKING = {
    "logprobs": "no log-probabilities: sample with an engine, or import traces with `logprobs`",
    "top_means": "no means of the largest log-probabilities, and with the sampled token's alone "
    "the confidence would be inverted: sample with --top-logprobs 20",
}


def _per_token(
    run: Run, answers: pd.DataFrame, source: str, summary: Callable[[Floats], float]
) -> Floats:
    """A summary of each trace's token series; NaN for a trace without one."""
    series = _aligned(run.traces([source]), answers)[source]
    values = np.array(
        [
            np.nan if each is None or not len(each) else summary(np.asarray(each, dtype=float))
            for each in series
        ],
        dtype=float,
    )
    if len(values) and np.isnan(values).all():
        raise InputError(f"{run.path}: its traces have {LACKING[source]}")
    return values


def _imported(run: Run, answers: pd.DataFrame, name: str) -> Floats:
    metas = _aligned(run.traces(["meta"]), answers)["meta"]
    values = [meta.get(name) if isinstance(meta, Mapping) else None for meta in metas]
    numbers = [
        float(value) if isinstance(value, int | float) and np.isfinite(value) else np.nan
        for value in values
    ]
    if len(numbers) and np.isnan(numbers).all():
        there = sorted({key for meta in metas if isinstance(meta, Mapping) for key in meta})
        own = [*LOGPROBS, *(f"{kind}@2048" for kind in WINDOWED), *OTHERS]
        raise InputError(
            f"{run.path}: no trace has a number called {name!r}; choose from {', '.join(own)}"
            + (f", or what was imported: {', '.join(there)}" if there else "")
        )
    return np.array(numbers, dtype=float)


def _of_table(table: str, name: str) -> Callable[[Run, pd.DataFrame, ModelQueries], Any]:
    return lambda run, answers, queries: _aligned(need(run, table), answers)[name].to_numpy()


def _probe(run: Run, answers: pd.DataFrame, queries: ModelQueries) -> Any:
    scores = need(run, "probe_scores")
    chosen = scores[(scores["target"] == "correct") & scores["chosen"].astype(bool)]
    if chosen.empty:
        raise InputError(f"{run.path} has no probe of correctness: `cot probe` makes it")
    chosen = chosen.astype({"sample_index": answers["sample_index"].dtype})
    return _aligned(chosen, answers)["score"].to_numpy(dtype=float)


def _states(run: Run, answers: pd.DataFrame, layer: str, position: str) -> list[Any]:
    layers = [each for each, name in captured(run, None, None) if name == position]
    if layer == "middle" and layers:
        place = min(layers, key=lambda each: abs(each - max(layers) / 2))
    elif layer.isdigit() and int(layer) in layers:
        place = int(layer)
    else:
        there = f"layers {', '.join(map(str, layers))}" if layers else "nothing"
        raise InputError(
            f"{run.path} has {there} at {position!r}, not layer {layer}: `cot capture` adds more"
        )
    cell = read_cell(run, answers[TRACE_KEY].merge(within_gap(run), on=TRACE_KEY), place, position)
    states = cell.traces[TRACE_KEY].assign(state=list(cell.vectors[cell.row]))
    found = _aligned(states, answers)["state"]
    return [each if isinstance(each, np.ndarray) else None for each in found]


APPROXIMATE: Mapping[str, tuple[str, Callable[[Floats], float], str]] = {
    "self_certainty": (
        "top_means",
        lambda values: -float(values.mean()),
        "the means of the largest log-probabilities",
    ),
    "mean_entropy": (
        "logprobs",
        lambda values: -float(values.mean()),
        "the sampled tokens' mean surprisal, which is an entropy at temperature 1 only",
    ),
}
"""Columns of `token_certainty`: what stands in for them, and its name."""


def _certainty(name: str) -> Callable[[Run, pd.DataFrame, ModelQueries], Any]:
    """The exact column, or its stand-in for all traces: the two are never mixed."""

    def make(run: Run, answers: pd.DataFrame, queries: ModelQueries) -> Any:
        if CERTAINTY in run.tables():
            return _aligned(need(run, CERTAINTY), answers)[name].to_numpy(dtype=float)
        source, summary, what = APPROXIMATE[name]
        remedy = "`cot capture --certainty` computes it exactly"
        try:
            found = _per_token(run, answers, source, summary)
        except InputError as error:
            raise InputError(f"{error}; or, for {name}, {remedy}") from None
        log.warning("%s is approximated by %s: %s", name, what, remedy)
        return found

    return make


def _text_id(run: Run, answers: pd.DataFrame, queries: ModelQueries) -> Any:
    texts = _aligned(run.traces(["text"]), answers)["text"]
    codes: Any = pd.factorize(texts.to_numpy())[0]
    return codes


def _embedding(run: Run, answers: pd.DataFrame, queries: ModelQueries) -> list[Any]:
    if by_sections("auto", need(run, "sections")):
        sections = need(run, "path_sections")
        if len(sections):  # none where paths was told to compare whole traces
            return list(stored_vectors(sections, answers))
    texts = _aligned(run.traces(["text"]), answers)["text"]
    return list(embed(mask_traces(texts, answers), cache=run.path / "cache"))


IN_TABLES = {
    "cluster": "paths",
    "n_wrong": "paths",
    "n_reaching": "paths",
    "n_checked": "paths",
    "consistency": "lens_traces",
    "consistency_calibrated": "lens_traces",
    "commitment_layer": "lens_traces",
    "coe_r": "lens_traces",
    "coe_c": "lens_traces",
    "faithfulness": "faithfulness_profile",
}
"""Columns that stand in a table of traces."""
OTHERS: Mapping[str, Callable[[Run, pd.DataFrame, ModelQueries], Any]] = {
    **{name: _of_table(table, name) for name, table in IN_TABLES.items()},
    **{name: _certainty(name) for name in APPROXIMATE},
    "text_id": _text_id,
    "embedding": _embedding,
    "probe": _probe,
    "p_true": p_true,
    "chosen": most_consistent,
}
SOURCES = {**IN_TABLES, "probe": "probe_scores"}


def _aligned(frame: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """The frame's rows in the order of the answers'."""
    index = pd.MultiIndex.from_frame(answers[TRACE_KEY])
    return frame.set_index(TRACE_KEY).reindex(index)
