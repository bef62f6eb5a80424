"""Attention between the steps of a trace, summed up as the forward pass goes by.

Weights pass layer by layer and chunk by chunk; each block of them is added up by step and let go.
What is kept of a trace, layer and head is linear in its steps: no matrix, but for a few traces.
See `analysis.step_attention.scores` for what the numbers are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.places import spread
from analysis.hidden_states.reading_store import ReadingStore
from analysis.hidden_states.shared_pass import Settings
from analysis.hidden_states.stored_states import largest_gap
from analysis.hidden_states.teacher_forcing import ForcedStates, ForcedTrace, Job, TeacherForcing
from analysis.step_attention.scores import kurtosis, n_scored, split_half
from analysis.step_attention.weights import BLOCK, watch_attention
from cot.errors import InputError

__all__ = ["NUMBERS", "AttentionEye", "AttentionReader", "StepTrace", "matrix_steps"]

Floats = NDArray[np.float32]

NUMBERS = (
    *("vertical", "to_first", "by_distance", "kurtosis", "permuted", "halves"),
    *("shares", "matrix", "gap"),
)
"""What is stored of a trace, see `StepSums.take`."""
DRAWS = 20
"""Permutations of each trace's later steps; their mean is taken, and then that over traces."""
MATRIX_STEPS = 64
"""Steps of a trace whose matrix is kept: of more, so many are taken evenly by tokens."""
FIRST, PROMPT, STEPS = 0, 1, 2
"""Where attention goes: the sequence's first token, the prompt's others, the steps, and then what
is in no step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepTrace:
    """A trace whose attention is read."""

    question_id: str
    """The question."""
    sample_index: int
    """The trace's number within it."""
    prompt_ids: Sequence[int]
    """Token ids of the prompt."""
    token_ids: Sequence[int]
    """Generated ids, as they were sampled."""
    logprobs: Sequence[float] | None
    """As stored; None where they aren't."""
    steps: Mapping[int, range]
    """Reasoning steps in order, and their tokens, which follow one another."""
    seed: int
    """Of its permutations."""
    matrix: bool
    """Whether its step × step attention is kept."""

    @property
    def key(self) -> tuple[str, int]:
        """question_id and sample_index."""
        return self.question_id, self.sample_index


def matrix_steps(steps: Mapping[int, range]) -> list[int]:
    """Places, among the steps, of those whose matrix is kept."""
    ends = {place: tokens.stop for place, tokens in enumerate(steps.values())}
    return spread(ends, MATRIX_STEPS)


class StepSums:
    """What is kept of one trace while its weights pass.

    Attributes:
        tokens: of each layer, how many tokens' weights came.
    """

    def __init__(self, trace: StepTrace, n_layers: int, n_heads: int, nearest: int) -> None:
        self.trace, self.nearest = trace, nearest
        n_steps = self.n_steps = len(trace.steps)
        self.n = n_scored(n_steps, nearest)
        self.size = np.array([len(tokens) for tokens in trace.steps.values()])
        self.step_of = np.full(len(trace.token_ids), -1)
        for place, tokens in enumerate(trace.steps.values()):
            self.step_of[tokens.start : tokens.stop] = place
        prompt = np.full(len(trace.prompt_ids), PROMPT)
        prompt[0] = FIRST
        written = np.where(self.step_of < 0, STEPS + n_steps, STEPS + self.step_of)
        self.part_of = np.concatenate([prompt, written])
        shape = (n_layers, n_heads)
        self.tokens = np.zeros(n_layers, np.int64)
        self.vertical = np.zeros((2, *shape, self.n))  # by even and odd later steps
        self.permuted = np.zeros((*shape, DRAWS, self.n), np.float32)
        self.level = np.zeros((*shape, self.n))  # what permuted steps get on average
        self.to_first, self.by_distance = np.zeros((2, *shape, n_steps))
        self.shares = np.zeros((3, *shape))
        self.kept = np.array(matrix_steps(trace.steps) if trace.matrix else [], np.int64)
        self.matrix = np.zeros((*shape, len(self.kept), len(self.kept)))
        self._orders: dict[int, NDArray[np.int64]] = {}

    def add(self, layer: int, token: int, first_key: int, weights: Any) -> None:
        """Weights [head, query, key] of a layer (from 0).

        Args:
            token: the first query's, among the generated ones.
            first_key: the first key's, counted from the prompt's first token.
        """
        import torch

        steps = self.step_of[token : token + weights.shape[1]]
        self.tokens[layer] += len(steps)
        inside = np.flatnonzero(steps >= 0)
        if not len(inside):
            return
        lowest, highest = int(steps[inside[0]]), int(steps[inside[-1]])
        n_heads, _, n_keys = weights.shape
        device = weights.device
        # tokens of a step first, then keys: the second sum is over far fewer numbers
        rows = weights.new_zeros(n_heads, highest - lowest + 1, n_keys)
        own = torch.from_numpy(steps[inside] - lowest).to(device)
        chosen = weights if len(inside) == len(steps) else weights[:, inside[0] : inside[-1] + 1]
        rows.index_add_(1, own, chosen)
        parts = torch.zeros(n_heads, rows.shape[1], STEPS + self.n_steps + 1, dtype=torch.float64)
        # keys behind the last real token are padding, which no weight falls on
        place = np.minimum(first_key + np.arange(n_keys), len(self.part_of) - 1)
        to = torch.from_numpy(self.part_of[place])
        parts.index_add_(2, to, rows.cpu().double())
        for row, step in enumerate(range(lowest, highest + 1)):
            self._add_row(layer, step, parts[:, row].numpy())

    def _add_row(self, layer: int, step: int, sums: NDArray[np.float64]) -> None:
        """Summed weights [head, part] of some tokens of a step; all that is kept is linear in
        them."""
        own = sums[:, STEPS + step]
        prompt = sums[:, FIRST] + sums[:, PROMPT]
        self.shares[:, layer] += np.stack([sums[:, FIRST], prompt, own]) / self.size.sum()
        mean = sums[:, STEPS : STEPS + self.n_steps] / (self.size[step] * self.size)
        if step in self.kept:
            place = int(np.searchsorted(self.kept, step))
            self.matrix[layer, :, place] += mean[:, self.kept]
        n_counted = step - self.nearest
        if n_counted <= 0:
            return
        row = mean[:, :n_counted]
        self.vertical[step % 2, layer, :, :n_counted] += row
        self.to_first[layer, :, step] += row[:, 0]
        self.by_distance[layer, :, self.nearest + 1 : step] += row[:, :0:-1]
        self.level[layer, :, :n_counted] += row.mean(axis=1, keepdims=True)
        self.permuted[layer, :, :, :n_counted] += row[:, self._order(step, n_counted)]

    def _order(self, step: int, size: int) -> NDArray[np.int64]:
        """Permutations of the steps that count for a later one, shape [draw, size]: the same for
        all heads, each of which is looked at by itself."""
        if step not in self._orders:
            mixed = np.random.default_rng([self.trace.seed, step]).random((DRAWS, size))
            self._orders[step] = np.argsort(mixed, axis=1)
        return self._orders[step]

    def take(self, gap: float) -> dict[str, NDArray[np.float32]]:
        """The trace's numbers, by name, shape [layer, head, …]: `vertical` [scored step];
        `to_first`, `by_distance` (sums over pairs of steps) [distance]; `kurtosis`, `permuted`,
        `halves` []; `shares` of attention on the sequence's first token, on the prompt and on the
        own step, shape [3, layer, head]; `matrix` [later step, step]; `gap` []."""
        after = np.arange(self.n, 0, -1)  # later steps that count, of each scored one
        step = np.arange(self.n)
        last = self.n_steps - 1
        odd = (last + 1) // 2 - (step + self.nearest + 1) // 2
        halves = []
        for parity, count in ((0, after - odd), (1, odd)):
            some = np.where(count > 0, 1.0 / np.maximum(count, 1), np.nan)
            halves.append(self.vertical[parity] * some)
        vertical = self.vertical.sum(axis=0) / after
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = kurtosis(self.permuted / self.level[:, :, None])
        found = {
            "vertical": vertical,
            "to_first": self.to_first,
            "by_distance": self.by_distance,
            "kurtosis": kurtosis(vertical),
            "permuted": _mean_known(drawn),
            "halves": split_half(halves[1], halves[0]),
            "shares": self.shares,
            "matrix": self.matrix,
            "gap": np.array(gap),
        }
        return {name: np.asarray(found[name], np.float32) for name in NUMBERS}


def _mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what isn't NaN."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    count = known.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


class AttentionReader:
    """A `Reader` of a teacher-forced pass.

    Args:
        traces: all that are asked for.
        nearest: later steps that don't count.
        block: weights held at a time.
    """

    doing = "reading attention"

    def __init__(
        self,
        traces: Sequence[StepTrace],
        settings: Settings,
        store: ReadingStore,
        nearest: int,
        block: int = BLOCK,
    ) -> None:
        self.traces, self.settings, self.store = traces, settings, store
        lacking = {each.key: each for each in traces if each.key not in store.done}
        groups: dict[Any, list[StepTrace]] = {}
        for each in lacking.values():
            groups.setdefault((each.question_id, tuple(each.prompt_ids)), []).append(each)
        # the pass needs a layer to gather; the cheapest, of which nothing is kept
        self.asked = [(_job(some), (0,)) for some in groups.values()]
        self.eye = AttentionEye(lacking, nearest, block)

    def keep(self, number: int, sample_index: int | None, seen: Mapping[str, Floats]) -> None:
        """Store a trace's numbers."""
        self.store.add((self.asked[number][0].question_id, sample_index), seen)


class AttentionEye:
    """Watches the model's attention, and sums up each trace's.

    Args:
        lacking: the traces, by key.
    """

    def __init__(
        self, lacking: Mapping[tuple[str, int], StepTrace], nearest: int, block: int
    ) -> None:
        self.lacking, self.nearest, self.block = lacking, nearest, block

    def begin(self, forcing: TeacherForcing) -> None:
        """Watch until `close`."""
        if not isinstance(forcing, HookTeacherForcing):
            raise InputError("attention is read with transformers: leave --engine vllm out")
        self._forcing = forcing
        self._sums: dict[tuple[str, int], StepSums] = {}
        self._watching = ExitStack()
        watch = watch_attention(forcing.model, self._saw, self._rows, self.block)
        self._watching.enter_context(watch)

    def close(self) -> None:
        """Watch no longer."""
        self._watching.close()

    def see(self, number: int, done: ForcedStates) -> Mapping[str, Floats] | None:
        """The numbers of a trace whose pass has ended."""
        if done.sample_index is None:
            return None
        key = (done.job.question_id, done.sample_index)
        sums, trace = self._sums.pop(key, None), self.lacking[key]
        if sums is None or (sums.tokens != len(trace.token_ids)).any():
            raise InputError(
                f"{type(self._forcing.model).__name__} gives no attention weights in some layers: "
                "models whose attention goes through transformers' attention interface work"
            )
        return sums.take(largest_gap(trace.logprobs, done.logprobs))

    def _rows(self) -> dict[int, int]:
        chunk = self._forcing.chunk
        if chunk is None:
            return {}
        name = chunk.job.question_id
        found = {}
        for row, trace in enumerate(chunk.traces):
            if (name, trace.sample_index) in self.lacking:
                found[row] = max(0, min(len(trace.token_ids), chunk.end) - chunk.start)
        return found

    def _saw(self, layer: int, row: int, first: int, weights: Any) -> None:
        chunk = self._forcing.chunk
        assert chunk is not None
        key = (chunk.job.question_id, chunk.traces[row].sample_index)
        if key not in self._sums:
            n_layers = len(self._forcing.blocks)
            self._sums[key] = StepSums(self.lacking[key], n_layers, weights.shape[0], self.nearest)
        # a layer with a sliding window has let go of the first keys
        first_key = len(chunk.job.prompt_ids) + chunk.end - weights.shape[2]
        self._sums[key].add(layer - 1, chunk.start + first, first_key, weights)


def _job(traces: Sequence[StepTrace]) -> Job:
    return Job(
        question_id=traces[0].question_id,
        prompt_ids=traces[0].prompt_ids,
        traces=[
            ForcedTrace(
                sample_index=each.sample_index,
                token_ids=each.token_ids,
                spots=np.empty((0, 2), np.int64),
                score=each.logprobs is not None,
            )
            for each in traces
        ],
    )
