"""What was said, question by question: the stored readings laid out for arithmetic."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.fidelity import MAX_GAP
from analysis.logit_lens.asked import Asked
from analysis.logit_lens.candidates import Candidates
from analysis.logit_lens.latent import calibrate, probabilities
from analysis.logit_lens.store import Key
from cot.errors import InputError
from cot.types import TRACE_KEY

__all__ = ["Looks", "Said", "lay_out", "look", "without_unfaithful"]

log = logging.getLogger("cot")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Said:
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
    """Calibrated, see `latent.calibrate`; shape [place, layer, candidate]."""
    vocabulary: Floats
    """p of the token that was written, then the entropy: shape [place, 2, layer], NaN but at
    `pre_answer`."""
    control: int | None
    """What another question's prompt end says of these candidates at the last layer."""

    def rows(self, position: str) -> NDArray[np.bool_]:
        """Which places are of this position."""
        return np.asarray(self.places["position"] == position, dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """What the layers of one question's traces say, as numbers of candidates.

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
    said: Ints
    """At `pre_answer`, shape [trace, layer]."""
    calibrated: Ints
    """The same by quantiles, shape [trace, layer]."""
    steps: tuple[Ints, ...]
    """By the last layer at the end of each step before the answer, one array [step] a trace."""
    prompt: int
    """By the last layer at the prompt's end."""
    control: int | None
    """The same at the end of another question's prompt; None if there is no other."""


def look(question: Said, stated: Mapping[Key, str]) -> Looks:
    """Compare what was said at each place.

    Args:
        stated: the answer class of each trace.
    """
    places, answers = question.places, question.p.argmax(axis=2)
    before = np.flatnonzero(question.rows("pre_answer"))
    ends = question.rows("step_end")
    index, token = (
        places[name].to_numpy(np.int64, na_value=-2) for name in ("sample_index", "token")
    )
    steps = [answers[ends & (index == index[row]) & (token <= token[row]), -1] for row in before]
    member = question.candidates.member
    keys = [(question.question_id, int(index[row])) for row in before]
    return Looks(
        question_id=question.question_id,
        n_candidates=question.p.shape[2],
        sample_index=index[before],
        stated=np.array([member[stated[key]] for key in keys], np.int64),
        said=answers[before],
        calibrated=question.quantile.argmax(axis=2)[before],
        steps=tuple(steps),
        prompt=int(answers[question.rows("prompt_end"), -1][0]),
        control=question.control,
    )


def lay_out(asked: Asked, found: Mapping[Key, Mapping[str, NDArray[np.float32]]]) -> list[Said]:
    """One `Said` a question that has candidates, calibrated over all of them.

    Args:
        found: the readings, see `store.LensStore.read`; each key of `asked.digests` is there.
    """
    keys = {name: [(name, None)] for name in asked.candidates}
    for key in zip(*(asked.traces[name].tolist() for name in TRACE_KEY), strict=True):
        keys[key[0]].append(key)
    known = {name: some for name, some in asked.candidates.items() if some.names}
    drafts = {name: _draft(asked, found, keys[name], len(known[name].names)) for name in known}
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
        Said(
            question_id=name,
            candidates=known[name],
            places=places,
            p=p,
            quantile=quantiles[name],
            vocabulary=vocabulary,
            control=_control(asked, found, name),
        )
        for name, (places, p, vocabulary) in drafts.items()
    ]


def _draft(
    asked: Asked,
    found: Mapping[Key, Mapping[str, NDArray[np.float32]]],
    keys: Sequence[Key],
    n_candidates: int,
) -> tuple[pd.DataFrame, Floats, Floats]:
    """places, p and vocabulary of one question."""
    rows: list[tuple[Any, ...]] = []
    logits, vocabulary = [], []
    for key in keys:
        spots = [spot for spot in asked.places[key] if spot.place.position != "mean"]
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
    asked: Asked, found: Mapping[Key, Mapping[str, NDArray[np.float32]]], question_id: str
) -> int | None:
    donor = asked.donors.get(question_id)
    return None if donor is None else int(np.argmax(found[donor, None]["others"]))


def without_unfaithful(
    asked: Asked, found: Mapping[Key, Mapping[str, NDArray[np.float32]]]
) -> Asked:
    """Less the traces that were sampled with other log-probabilities than they were replayed with.

    The tokens that follow the places are compared, so that checking costs next to nothing. Traces
    without stored log-probabilities stay.

    Raises:
        InputError: no trace is left.
    """
    columns = (asked.traces[name].tolist() for name in (*TRACE_KEY, "logprobs"))
    far = np.zeros(len(asked.traces), bool)
    for row, (question_id, index, logprobs) in enumerate(zip(*columns, strict=True)):
        spots = [s for s in asked.places[question_id, index] if s.place.position != "mean"]
        replayed = found[question_id, index]["following"]
        if logprobs is not None and len(spots):
            stored = np.append(logprobs, np.nan)[[spot.end for spot in spots]]
            far[row] = bool((np.abs(replayed - stored) > MAX_GAP).any())
    if far.all():
        raise InputError(
            f"no trace was replayed with log-probabilities within {MAX_GAP} of the stored ones: "
            "another model, precision or prompt wrote them; give its name with --model"
        )
    if far.any():
        log.warning(
            "%d of %d traces are left out: they were sampled with log-probabilities more than %g "
            "from the replayed ones; another model, precision or prompt?",
            far.sum(),
            len(far),
            MAX_GAP,
        )
    return replace(asked, traces=asked.traces[~far].reset_index(drop=True))
