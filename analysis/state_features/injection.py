"""Injection: does a feature fire on its tokens alone? (arXiv 2601.05679)

The tokens that go with a feature are put into plain text that reasons about nothing, one at each of
some places; as many tokens drawn from the run's traces are put at the same places as a control. The
model reads both, and the feature is encoded at the text's last token, the mean of the plain texts'
states taken off as a question's is. A feature *fires* if its values are higher than the control's,
over texts: sign flips, one-sided, q ≤ 0.05 over a method's features. Their effect size is Cohen's
d, (mean − mean of the control) / √((s² + s² of the control) / 2).

    The ferry leaves the harbour early and comes back after dark.
    The ferry total leaves the = harbour early and so comes back after dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.hidden_states.teacher_forcing import ForcedTrace, Job, TeacherForcing
from analysis.state_features.contract import Dictionary
from analysis.state_features.measuring import LEVEL, false_discovery

__all__ = ["INJECTED", "TEXTS", "TOKENS", "InjectedStates", "injected_states", "injection"]

Floats = NDArray[np.float64]
TOKENS = 8
"""Tokens that are put into a text."""
FLIPS = 4000
INJECTED = ("injected", "injected_control", "injection_d", "injection_q", "fires_injected")
TEXTS = (
    "The ferry leaves the harbour early in the morning and comes back after dark.",
    "Behind the old mill there is a garden with roses, herbs and a wooden bench.",
    "My aunt likes to paint the hills in autumn when the air is clear and cold.",
    "The museum shows glass bowls and woven baskets from many coastal villages.",
    "A grey cat slept on the warm roof while the children played in the yard.",
    "In winter the lake freezes and people from the town skate there at night.",
    "The baker opens the shop at dawn and the whole street smells of fresh bread.",
    "Tall grass grows along the path that leads down to the quiet beach.",
    "She wrote a long letter to her friend about the theatre and the rain.",
    "The radio played slow music and nobody in the kitchen wanted to talk.",
    "Swallows nest under the bridge and hunt for insects above the water.",
    "The library has a reading room with green lamps and very soft chairs.",
    "A storm brought down the fence and scattered leaves over the whole lawn.",
    "He repairs violins in a small workshop near the station and sings while he works.",
    "The mountain hut serves hot soup and offers beds to tired walkers.",
    "Clouds moved over the valley and the shepherd called his dogs back home.",
    "The new curtains are blue and make the bedroom look calm and bright.",
    "Fishermen mend their nets on the pier and tell stories about the open sea.",
    "The choir practises in the church hall and drinks tea after every rehearsal.",
    "A narrow train climbs through the forest and stops at every village.",
    "The potter shaped a tall jug and left it to dry on a shelf by the window.",
    "Our neighbours keep bees and give away jars of honey at the end of summer.",
    "The market sells apples, cheese and flowers under striped canvas roofs.",
    "At the end of the street a lamp flickers and moths dance around it.",
)
"""Plain texts, written for this test."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InjectedStates:
    """States at the ends of the texts, the mean of the plain ones taken off."""

    control: NDArray[np.float32]
    """With random tokens put in, shape [text, d_model]."""
    injected: Sequence[NDArray[np.float32]]
    """For each list of tokens, with these put in, shape [text, d_model]; no rows for an empty
    list."""


def injected_states(
    forcing: TeacherForcing,
    tokenizer: Any,
    layer: int,
    lists: Sequence[NDArray[np.int64]],
    written: NDArray[np.int64],
    seed: int,
) -> InjectedStates:
    """Run the texts with each list of tokens put in.

    Args:
        lists: token ids of each feature, at most TOKENS of each are put in; all lists at the same
            places, fewer tokens at the first of them.
        written: all token ids that the run's traces have, from which the control is drawn.
    """
    random = np.random.default_rng(seed)
    jobs = []
    for number, text in enumerate(TEXTS):
        ids = list(tokenizer.encode(text, add_special_tokens=False))
        # not before the first token and not after the last, whose state is read
        places = np.sort(random.integers(1, len(ids), size=TOKENS))
        control = random.choice(written, size=TOKENS)
        plain = [np.zeros(0, np.int64), control, *(each[:TOKENS] for each in lists)]
        traces = [
            _trace(i, _put(ids, places, tokens))
            for i, tokens in enumerate(plain)
            if i < 2 or len(tokens)
        ]
        jobs.append(Job(question_id=str(number), prompt_ids=ids[:1], traces=traces))
    found: dict[tuple[int, int], NDArray[np.float32]] = {}
    for done in forcing.forward(jobs, [layer]):
        if done.sample_index is not None:
            found[done.sample_index, int(done.job.question_id)] = done.vectors[0, 0]
    width = next(iter(found.values())).shape[0]

    def states(i: int) -> NDArray[np.float32]:
        rows = [found[i, text] for text in range(len(TEXTS)) if (i, text) in found]
        return np.stack(rows) if rows else np.zeros((0, width), np.float32)

    mean = states(0).mean(axis=0)
    return InjectedStates(
        control=states(1) - mean, injected=[states(2 + i) - mean for i in range(len(lists))]
    )


def injection(
    made: Dictionary, states: InjectedStates, own: Sequence[int], seed: int
) -> pd.DataFrame:
    """`INJECTED` of each feature: mean values with its tokens and with random ones, Cohen's d, q,
    and whether it fires; missing where no token goes with it.

    Args:
        own: each feature's place among `states.injected`.
    """
    beside = made.encode(states.control)
    rows = []
    for feature, place in enumerate(own):
        vectors = states.injected[place]
        if not len(vectors):
            rows.append([np.nan] * 4)
            continue
        value, control = made.encode(vectors)[:, feature], beside[:, feature]
        spread = np.sqrt((value.var(ddof=1) + control.var(ddof=1)) / 2)
        more = value.mean() - control.mean()
        d = more / spread if spread > 0 else 0.0
        rows.append([value.mean(), control.mean(), d, _flips(value - control, seed)])
    table = pd.DataFrame(rows, columns=["injected", "injected_control", "injection_d", "p"])
    q = false_discovery(table.pop("p").to_numpy(float))
    fires = pd.array(q <= LEVEL, dtype="boolean")
    fires[np.isnan(q)] = pd.NA
    return table.assign(injection_q=q, fires_injected=fires)


def _put(ids: Sequence[int], places: NDArray[np.int64], tokens: NDArray[np.int64]) -> list[int]:
    """The ids with each token before its place."""
    made: list[int] = []
    queue = list(zip(places.tolist(), tokens.tolist(), strict=False))
    for place, token in enumerate(ids):
        while queue and queue[0][0] <= place:
            made.append(queue.pop(0)[1])
        made.append(token)
    return made


def _trace(i: int, ids: Sequence[int]) -> ForcedTrace:
    """What follows the first token, read at the last."""
    rest = ids[1:]
    spots = np.array([[len(rest) - 1, len(rest)]], np.int64)
    return ForcedTrace(sample_index=i, token_ids=rest, spots=spots, score=False)


def _flips(difference: Floats, seed: int) -> float:
    """One-sided p of a mean difference above 0: the share of random signs, those as they are among
    them, that give as large a mean."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(FLIPS, len(difference)))
    means = signs @ difference
    return float((1 + (means >= difference.sum() - 1e-12).sum()) / (1 + FLIPS))
