"""TCAV: does the answer react to a concept, more than to random concepts? (arXiv 1711.11279)

The class is the target's: of a trace with the label and one of its question without, the log-odds
of the first one's answer against the second one's (for `correct`: of a right answer against a wrong
one), read in either trace right before the two part. They have a gradient in the states of one
layer. Summed over the trace's captured states that come before the answer, its product with the
concept's vector says whether a little more of the concept makes the target's answer more likely.
The TCAV score is the share of held-out traces of which it does.

A random concept is a vector fitted to the same training traces whose labels are shuffled within
questions. p is two-sided: the share of random concepts, the concept itself among them, whose mean
derivative is as far from 0. The score itself can't be compared so: where the answer reacts to one
direction in all traces, a random vector that leans slightly to it has a score of 1 as well. (The
paper compares scores of vectors that are each refitted to several sets of counterexamples, by a
t-test; such vectors share most of their examples, so that labels that hold nothing would come out
significant.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.interventions.cases import Case, Rivals
from analysis.state_features.contract import Training
from analysis.state_features.linear import concept_vectors, trace_means
from analysis.statistics import ratio_interval
from analysis.statistics.shuffled_labels import shuffled_within

__all__ = ["Sensitivity", "answer_gradients", "sensitivity"]

Floats = NDArray[np.float64]
RANDOM_CONCEPTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What TCAV's test says."""

    score: float
    """Share of traces in which the concept makes the target's answer more likely, in [0, 1]; NaN
    without traces."""
    low: float
    """Lower end of its 95 % interval, over questions."""
    high: float
    """Upper end."""
    derivative: float
    """Mean change of the log-odds along the concept, nats a unit of the states' norm."""
    random: float
    """97.5th percentile of the random concepts' derivatives, all made positive."""
    p: float
    """Two-sided, against random concepts."""
    n_questions: int
    """Held-out questions."""
    n_traces: int
    """Their traces."""


def answer_gradients(
    forcing: HookTeacherForcing,
    cases: Sequence[Case],
    rivals: Rivals,
    layer: int,
    tokens: Mapping[tuple[str, int], NDArray[np.int64]],
    labels: Mapping[tuple[str, int], bool],
) -> pd.DataFrame:
    """One row a trace that has states before its answer, and a trace of the other label to be
    compared with: question_id, sample_index, gradient (an array [d_model]).

    Args:
        labels: the target's, by trace.
        tokens: the captured states' tokens, indices into the generated ids, by trace.
    """
    rows: list[dict[str, Any]] = []
    for case in cases:
        own = tokens.get(case.key, np.zeros(0, np.int64))
        pair = rivals.other_answer(case, labels) if case.key in labels else None
        if pair is None or not (own <= pair.read).any():
            continue
        towards = 1.0 if labels[case.key] else -1.0
        ids = [*case.prompt_ids, *case.token_ids[: pair.read + 1]]
        asked = own[own <= pair.read] + len(case.prompt_ids)
        gradient = _gradient(forcing, ids, layer, asked, (pair.own_token, pair.other_token))
        rows.append(
            {"question_id": case.question_id, "sample_index": case.sample_index}
            | {"gradient": towards * gradient}
        )
    return pd.DataFrame(rows, columns=["question_id", "sample_index", "gradient"])


def _gradient(
    forcing: HookTeacherForcing,
    ids: Sequence[int],
    layer: int,
    places: NDArray[np.int64],
    tokens: tuple[int, int],
) -> Floats:
    """Gradient of the last token's log-odds, summed over the layer's states at these places."""
    import torch

    held: list[Any] = []

    def before(module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        # what goes into a block is the layer's state; a leaf of its own cuts off all below it
        inside = arguments[0] if arguments else named["hidden_states"]
        held.append(inside.detach().requires_grad_(True))
        if arguments:
            return (held[0], *arguments[1:]), named
        return arguments, {**named, "hidden_states": held[0]}

    def after(module: Any, arguments: Any, output: Any) -> Any:
        states = output[0] if isinstance(output, tuple) else output
        held.append(states.detach().requires_grad_(True))
        return (held[0], *output[1:]) if isinstance(output, tuple) else held[0]

    if layer < len(forcing.blocks):
        handle = forcing.blocks[layer].register_forward_pre_hook(before, with_kwargs=True)
    else:
        handle = forcing.blocks[layer - 1].register_forward_hook(after)
    try:
        with torch.enable_grad():
            given = torch.tensor([list(ids)], device=forcing.model.device)
            normed = forcing.body(input_ids=given, use_cache=False)[0][0, -1:]
            logits = forcing.head.logits(normed, list(tokens))[0]
            (gradient,) = torch.autograd.grad(logits[0] - logits[1], held[0])
    finally:
        handle.remove()
    summed: Floats = gradient[0, places.tolist()].double().sum(dim=0).cpu().numpy()
    return summed


def sensitivity(
    training: Training, direction: NDArray[np.floating], gradients: pd.DataFrame, seed: int
) -> Sensitivity:
    """TCAV's test of a concept vector.

    Args:
        training: the states and labels that it was fitted on.
        direction: shape [d_model].
        gradients: see `answer_gradients`; of held-out traces.
    """
    counts = {"n_questions": gradients["question_id"].nunique(), "n_traces": len(gradients)}
    if gradients.empty:
        no = np.nan
        return Sensitivity(score=no, low=no, high=no, derivative=no, random=no, p=no, **counts)
    G = np.stack(gradients["gradient"].tolist())
    X, y = trace_means(training)
    first = np.unique(training.traces, return_index=True)[1]
    questions = training.questions[first]
    mixed = [shuffled_within(y, questions, seed + i) for i in range(RANDOM_CONCEPTS)]
    random = np.abs(concept_vectors(X, np.stack(mixed)) @ G.mean(axis=0))
    along = G @ direction.astype(np.float64)
    up = (along > 0).astype(float)
    per = pd.DataFrame({"up": up, "n": 1}).groupby(gradients["question_id"].to_numpy()).sum()
    low, high = ratio_interval(per["up"], per["n"], seed=seed)
    own = float(along.mean())
    as_far = int((random >= abs(own) - 1e-12).sum())
    return Sensitivity(
        score=float(up.mean()),
        low=low,
        high=high,
        derivative=own,
        random=float(np.quantile(random, 0.975)),
        p=(1 + as_far) / (1 + RANDOM_CONCEPTS),
        **counts,
    )
