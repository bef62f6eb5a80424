"""Latent answers by question, as arrays, and how far layers agree.

An answer here is the number of a candidate; layers run from the embeddings (0) to the last block
(L), whose answer is the model's own.

    >>> latent = np.array([[2, 0, 1, 1]])
    >>> consistency(latent), commitment(latent)
    (array([0.5]), array([2]))
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.stored_states import MAX_GAP
from analysis.logit_lens.inputs import Candidates, Key, LensInputs
from cot.errors import InputError
from cot.types import TRACE_KEY

__all__ = [
    "LatentAnswers",
    "QuestionReadings",
    "agreement",
    "answer_shares",
    "answers_of",
    "by_question",
    "calibrate",
    "commitment",
    "consistency",
    "drop_beyond_gap",
    "emergence",
    "emergences",
    "probabilities",
]

# -- agreement of layers ---------------------------------------------------------------------------

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def probabilities(logits: NDArray[np.floating]) -> Floats:
    """Softmax over the last axis, the candidates."""
    from scipy.special import softmax

    # float64: near 1, float32 can't tell probabilities apart that quantiles must rank
    p: Floats = softmax(logits.astype(np.float64), axis=-1)
    return p


def calibrate(p: Sequence[Floats], tokens: Sequence[Sequence[tuple[int, ...]]]) -> list[Floats]:
    """Each probability's quantile among those of the same candidate tokens at the same layer.

    An intermediate layer may favour one token in every trace, whatever is asked. Each candidate is
    therefore ranked among its own values over the run: with p at rank r of n (ties averaged), its
    quantile is (r - 1/2)/n. What is ranked is p times the number of candidates, for 1/2 is much
    among nine and nothing among two.

    Of two candidates that all questions have, this is the paper's threshold, the layer's median:
    p(no) = 1 - p(yes) ranks the other way round, so that yes has the larger quantile if and only if
    r > n + 1 - r, that is, where p(yes) lies above the median. (arXiv 2405.18711, which for more
    labels thresholds each one's probability at its (labels - 1)/labels quantile:
    src/evaluation/calibrate.py of zhxieml/internal-consistency at c12788f. Quantiles always name
    one candidate; thresholds may name none or several.)

    Args:
        p: of each question, shape [place, layer, candidate].
        tokens: the first tokens of each question's candidates.

    Returns:
        Quantiles of the shapes of `p`. A candidate that one question alone has is ranked among
        that question's other places.
    """
    from scipy.stats import rankdata

    where: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for question, some in enumerate(tokens):
        for number, key in enumerate(some):
            where.setdefault(key, []).append((question, number))
    quantiles = [np.empty_like(each) for each in p]
    for members in where.values():
        values = [p[question][:, :, number] * p[question].shape[2] for question, number in members]
        stacked = np.concatenate(values)
        ranked = (rankdata(stacked, axis=0) - 0.5) / max(1, len(stacked))  # axis 0: layer by layer
        ends = np.cumsum([len(each) for each in values])[:-1]
        for (question, number), part in zip(members, np.split(ranked, ends), strict=True):
            quantiles[question][:, :, number] = part
    return quantiles


def consistency(latent: Ints, *, ends: bool = False) -> Floats:
    """Share of the layers whose answer is that of the last one (arXiv 2405.18711), shape [place].

    Args:
        latent: answers, shape [place, layer].
        ends: count the embeddings and the last layer too, as the paper does; NaN without them in a
            model of one block.
    """
    # the last layer agrees with itself by definition, the embeddings have read one token only
    middle = latent if ends else latent[:, 1:-1]
    if not middle.shape[1]:
        return np.full(len(latent), np.nan)
    shares: Floats = (middle == latent[:, -1:]).mean(axis=1)
    return shares


def commitment(latent: Ints) -> Ints:
    """The lowest layer from which all answers are that of the last one, shape [place]."""
    other = latent != latent[:, -1:]
    # argmax finds the first True, and so, of the layers reversed, the last that differs
    last_other = latent.shape[1] - 1 - np.argmax(other[:, ::-1], axis=1)
    return np.where(other.any(axis=1), last_other + 1, 0)


def emergence(latent: Ints, final: int, numbers: Ints, n_steps: int) -> int:
    """The first step read from whose end on all answers read are the final one; else `n_steps`.

    Args:
        latent: the last layer's answer at the end of each step before the answer that is read,
            shape [step].
        final: its answer right before the stated one.
        numbers: which steps these are, ascending, shape [step].
        n_steps: how many steps stand before the answer, read or not.
    """
    others = np.flatnonzero(latent != final)
    first = int(others[-1]) + 1 if len(others) else 0
    return int(numbers[first]) if first < len(numbers) else n_steps


def emergences(each: LatentAnswers) -> list[int]:
    """The emergence step of each trace, shape [trace]."""
    columns = (each.steps, each.latent[:, -1].tolist(), each.numbers, each.n_steps.tolist())
    return [emergence(*row) for row in zip(*columns, strict=True)]


def answer_shares(latent: Ints, n_candidates: int) -> Floats:
    """Share of latent answers that are each candidate, [..., n] -> [..., candidate]."""
    shares: Floats = (latent[..., None] == np.arange(n_candidates)).mean(axis=-2)
    return shares


def agreement(shares: Floats, final: Ints) -> tuple[float, float]:
    """How often traces' latent answers are their own final answer, and another trace's.

    The second is what the first would be if a latent answer depended on the question alone; NaN for
    a single trace.

    Args:
        shares: see `answer_shares`, of one question's traces, shape [trace, candidate].
        final: their final answers, shape [trace].
    """
    of = shares[:, final]  # [i, j]: how often trace i's latent answers are trace j's final one
    n = len(final)
    own = float(np.diag(of).mean()) if n else np.nan
    other = float((of.sum() - np.diag(of).sum()) / (n * (n - 1))) if n > 1 else np.nan
    return own, other


# -- the readings, by question ---------------------------------------------------------------------

log = logging.getLogger("cot")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class QuestionReadings:
    """The lens at all places of one question."""

    question_id: str
    """Its key."""
    candidates: Candidates
    """At least one."""
    places: pd.DataFrame
    """One row a place, the prompt's end first, then each trace's in their order: sample_index
    (Int64), position, step (Int64), token (Int64: the last one read; -1 is the prompt's last)."""
    p: Floats
    """Among the candidates, shape [place, layer, candidate]."""
    quantile: Floats
    """Calibrated, see `calibrate`; shape [place, layer, candidate]."""
    vocabulary: Floats
    """p of the token that was written, then the entropy: shape [place, 2, layer], NaN but at
    `pre_answer`."""
    control: int | None
    """The most probable of these candidates at the end of another question's prompt."""

    def rows(self, position: str) -> NDArray[np.bool_]:
        """Which places are of this position."""
        return np.asarray(self.places["position"] == position, dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentAnswers:
    """The latent answers of one question's traces, as numbers of candidates.

    Traces that state their answer in their text, in their order.
    """

    question_id: str
    """Its key."""
    n_candidates: int
    """How many there are; with one there is nothing to decide."""
    sample_index: Ints
    """Shape [trace]."""
    stated: Ints
    """The candidate of the stated answer, shape [trace]."""
    latent: Ints
    """At `pre_answer`, shape [trace, layer]."""
    calibrated: Ints
    """The same by quantiles, shape [trace, layer]."""
    steps: tuple[Ints, ...]
    """By the last layer at the end of each step before the answer that is read, one array [step] a
    trace."""
    numbers: tuple[Ints, ...]
    """Which steps these are, one array [step] a trace."""
    n_steps: Ints
    """Steps before the answer, read or not, shape [trace]."""
    prompt: int
    """By the last layer at the prompt's end."""
    control: int | None
    """The same at the end of another question's prompt; None if there is no other."""


def answers_of(
    question: QuestionReadings, stated: Mapping[Key, str], n_steps: Mapping[Key, int]
) -> LatentAnswers:
    """The most probable candidate at each place, and the stated one beside it.

    Args:
        stated: the answer class of each trace.
        n_steps: steps before the answer of each trace, read or not.
    """
    places, answers = question.places, question.p.argmax(axis=2)
    before = np.flatnonzero(question.rows("pre_answer"))
    ends = question.rows("step_end")
    index, token = (
        places[name].to_numpy(np.int64, na_value=-2) for name in ("sample_index", "token")
    )
    read = [ends & (index == index[row]) & (token <= token[row]) for row in before]
    number = places["step"].to_numpy(np.int64, na_value=-1)
    member = question.candidates.member
    keys = [(question.question_id, int(index[row])) for row in before]
    return LatentAnswers(
        question_id=question.question_id,
        n_candidates=question.p.shape[2],
        sample_index=index[before],
        stated=np.array([member[stated[key]] for key in keys], np.int64),
        latent=answers[before],
        calibrated=question.quantile.argmax(axis=2)[before],
        steps=tuple(answers[rows, -1] for rows in read),
        numbers=tuple(number[rows] for rows in read),
        n_steps=np.array([n_steps[key] for key in keys], np.int64),
        prompt=int(answers[question.rows("prompt_end"), -1][0]),
        control=question.control,
    )


def by_question(
    inputs: LensInputs, found: Mapping[Key, Mapping[str, NDArray[np.float32]]]
) -> list[QuestionReadings]:
    """One `QuestionReadings` a question that has candidates, calibrated over all of them.

    Args:
        found: the readings, see `ReadingStore.read`; each key of `inputs.digests` is there.
    """
    keys = {name: [(name, None)] for name in inputs.candidates}
    for key in zip(*(inputs.traces[name].tolist() for name in TRACE_KEY), strict=True):
        keys[key[0]].append(key)
    known = {name: some for name, some in inputs.candidates.items() if some.names}
    drafts = {name: _draft(inputs, found, keys[name], len(known[name].names)) for name in known}
    tokens = [some.tokens for some in known.values()]
    quantiles = {name: np.full_like(p, np.nan) for name, (_, p, _) in drafts.items()}
    for position in ("prompt_end", "step_end", "pre_answer"):
        here = {
            name: (places["position"] == position).to_numpy(bool)
            for name, (places, _, _) in drafts.items()
        }
        made = calibrate([p[here[name]] for name, (_, p, _) in drafts.items()], tokens)
        for name, values in zip(drafts, made, strict=True):
            quantiles[name][here[name]] = values
    return [
        QuestionReadings(
            question_id=name,
            candidates=known[name],
            places=places,
            p=p,
            quantile=quantiles[name],
            vocabulary=vocabulary,
            control=_control(inputs, found, name),
        )
        for name, (places, p, vocabulary) in drafts.items()
    ]


def _draft(
    inputs: LensInputs,
    found: Mapping[Key, Mapping[str, NDArray[np.float32]]],
    keys: Sequence[Key],
    n_candidates: int,
) -> tuple[pd.DataFrame, Floats, Floats]:
    """places, p and vocabulary of one question."""
    rows: list[tuple[Any, ...]] = []
    logits, vocabulary = [], []
    for key in keys:
        spots = [spot for spot in inputs.places[key] if spot.place.position != "mean"]
        if not spots:
            continue
        reading = found[key]
        logits.append(reading["logits"].reshape(len(spots), -1, n_candidates))
        n_layers = logits[0].shape[1]
        words = np.full((len(spots), 2, n_layers), np.nan)
        for number, spot in enumerate(spots):
            rows.append((key[1], spot.place.position, spot.place.step, spot.place.token))
            if spot.place.position == "pre_answer":
                words[number] = reading["vocabulary"].reshape(2, n_layers)
        vocabulary.append(words)
    places = pd.DataFrame(rows, columns=["sample_index", "position", "step", "token"])
    places = places.astype({"sample_index": "Int64", "step": "Int64", "token": "Int64"})
    return places, probabilities(np.concatenate(logits)), np.concatenate(vocabulary)


def _control(
    inputs: LensInputs, found: Mapping[Key, Mapping[str, NDArray[np.float32]]], question_id: str
) -> int | None:
    donor = inputs.donors.get(question_id)
    return None if donor is None else int(np.argmax(found[donor, None]["others"]))


def drop_beyond_gap(
    inputs: LensInputs, found: Mapping[Key, Mapping[str, NDArray[np.float32]]]
) -> LensInputs:
    """Less the traces beyond the log-probability gap between sampling and teacher forcing.

    The tokens that follow the places are compared, so that checking costs next to nothing. Traces
    without stored log-probabilities stay.

    Raises:
        InputError: no trace is left.
    """
    columns = (inputs.traces[name].tolist() for name in (*TRACE_KEY, "logprobs"))
    far = np.zeros(len(inputs.traces), bool)
    for row, (question_id, index, logprobs) in enumerate(zip(*columns, strict=True)):
        spots = [s for s in inputs.places[question_id, index] if s.place.position != "mean"]
        forced = found[question_id, index]["following"]
        if logprobs is not None and len(spots):
            stored = np.append(logprobs, np.nan)[[spot.end for spot in spots]]
            far[row] = bool((np.abs(forced - stored) > MAX_GAP).any())
    if far.all():
        raise InputError(
            f"teacher forcing gave no trace log-probabilities within {MAX_GAP} of the stored ones: "
            "another model, precision or prompt wrote them; give its name with --model"
        )
    if far.any():
        log.warning(
            "%d of %d traces are left out: they were sampled with log-probabilities more than %g "
            "from those of teacher forcing; another model, precision or prompt?",
            far.sum(),
            len(far),
            MAX_GAP,
        )
    return replace(inputs, traces=inputs.traces[~far].reset_index(drop=True))
