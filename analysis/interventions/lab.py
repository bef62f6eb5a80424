"""The laboratory: runs a trace under changes and reads its log-odds.

Questions are gone through in the order of `Rivals.order`: the unchanged states of a question, and
of the next one, whose traces are its control, are kept, and no others. `CountingLab` has the same
shape and runs nothing: it counts what would be run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.changed_pass import Branch, ChangedPass
from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.stored_states import MAX_GAP, largest_gap
from analysis.hidden_states.teacher_forcing import ForcedTrace, Job, TeacherForcing
from analysis.interventions.cases import MOST_SHARED, Case, Pair, Rivals
from analysis.interventions.contract import Floats
from analysis.interventions.directions import Direction
from analysis.logit_lens.unembedding import Unembedding

__all__ = ["CountingLab", "ModelLab", "Plan"]

QUESTIONS = 3
"""Questions whose unchanged states are kept."""
MOST_STATES = 2**15
"""States that are held at a time where a whole trace's predictions are compared."""
MOST_LOGITS = 2**22
"""Logits, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """What was asked for."""

    layers: Sequence[int]
    """At which states are exchanged, ascending."""
    n_blocks: int
    """The model's last layer."""
    d_model: int
    """Width of a state."""
    positions: Sequence[str]
    """Where states are exchanged."""
    strengths: Sequence[float]
    """Of directions, without 0."""
    n_random: int
    """Random directions."""
    most_steps: int
    """Steps of a trace; 0 is all."""
    seed: int
    """Of all that is drawn."""
    rivals: Rivals
    """Which traces are compared."""
    directions: Sequence[Direction]
    """What tells the target's labels apart, one a layer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _States:
    """The unchanged states of one trace."""

    vectors: NDArray[np.float32]
    """Shape [layer, token, d_model]."""
    place: dict[int, int]
    """Token to its place among them."""
    gap: float
    """Largest difference from the stored log-probabilities, nats; NaN where none are stored."""


class _Lab:
    """What both laboratories share: what was asked for."""

    def __init__(self, plan: Plan) -> None:
        self.layers, self.n_blocks, self.d_model = plan.layers, plan.n_blocks, plan.d_model
        self.positions, self.strengths = plan.positions, plan.strengths
        self.n_random, self.most_steps, self.seed = plan.n_random, plan.most_steps, plan.seed
        self.rivals, self.directions = plan.rivals, plan.directions


class ModelLab(_Lab):
    """A laboratory with a model; see `analysis.interventions.contract.Lab`.

    Args:
        plan: what was asked for.
        forcing: runs unchanged traces through the model.
        logprobs: stored log-probabilities of traces, by (question_id, sample_index).

    Attributes:
        under: runs traces under changes.
    """

    def __init__(
        self,
        plan: Plan,
        forcing: TeacherForcing,
        logprobs: Mapping[tuple[str, int], Sequence[float] | None],
    ) -> None:
        super().__init__(plan)
        assert isinstance(forcing, HookTeacherForcing)
        self.under = ChangedPass(forcing.model, forcing.tokens_per_batch, forcing.chunk_tokens)
        self._forcing = forcing
        self._unembedding = Unembedding(forcing.model, forcing.head)
        self._logprobs = logprobs
        self._kept = tuple(sorted({*self.layers, self.n_blocks}))
        self._of = lru_cache(QUESTIONS)(self._question)

    @property
    def tokens_run(self) -> int:
        """Tokens forwarded under changes so far, those of all rows."""
        return self.under.tokens_run

    def beyond_gap(self, case: Case) -> bool:
        """Whether the model gives a trace other log-probabilities than are stored."""
        return bool(self._of(case.question_id)[case.sample_index].gap > MAX_GAP)

    def states(self, case: Case, layer: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        return self._read(self._of(case.question_id)[case.sample_index], layer, tokens)

    def direct_states(self, case: Case, layer: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        own = self._of(case.question_id)[_direct(case)]
        return self._read(own, layer, [token - case.cue.start for token in tokens])

    def donor_odds(self, case: Case, read: int, pair: Pair) -> float:
        state = self.states(case, self.n_blocks, [read])
        logits = self._unembedding.candidates(state, [[pair.own_token], [pair.other_token]])
        return float(logits[0, 0] - logits[0, 1])

    def log_odds(
        self, case: Case, branches: Sequence[Branch], pairs: Sequence[Pair], direct: bool = False
    ) -> tuple[Floats, Floats]:
        if not branches:
            return np.zeros(0), np.zeros(0)
        start = case.cue.start if direct else 0
        reads = sorted({pair.read for pair in pairs})
        base, rows = self.under.run(
            case.prompt_ids,
            case.token_ids[start : reads[-1] + 1],
            [_moved(branch, start) for branch in branches] if direct else branches,
            [read - start for read in reads],
        )
        return self._odds(base, rows, reads, pairs)

    def divergence(
        self, case: Case, branches: Sequence[Branch], pair: Pair, tokens: Sequence[int]
    ) -> tuple[Floats, Floats, Floats]:
        # a token is predicted at the one before it
        asked = sorted({token - 1 for token in tokens} | {pair.read})
        columns = [asked.index(token - 1) for token in tokens]
        most = max(1, MOST_STATES // len(asked))
        befores, afters, kls = [], [], []
        for first in range(0, len(branches), most):
            some = branches[first : first + most]
            ids = case.token_ids[: asked[-1] + 1]
            base, rows = self.under.run(case.prompt_ids, ids, some, asked)
            before, after = self._odds(base, rows, asked, [pair] * len(some))
            befores.append(before)
            afters.append(after)
            kls += [self._kl(base[columns], row[columns]) for row in rows]
        return np.concatenate(befores), np.concatenate(afters), np.stack(kls)

    def _odds(
        self, base: Any, rows: Sequence[Any], reads: Sequence[int], pairs: Sequence[Pair]
    ) -> tuple[Floats, Floats]:
        import torch

        before, after = np.empty(len(rows)), np.empty(len(rows))
        of: dict[tuple[int, int, int], list[int]] = {}
        for i, pair in enumerate(pairs):
            of.setdefault((pair.read, pair.own_token, pair.other_token), []).append(i)
        for (read, own, other), mine in of.items():
            place = reads.index(read)
            # the base is read beside each branch: a product of other shape would round otherwise
            states = torch.stack([base[place], *(rows[i][place] for i in mine)])
            with torch.inference_mode():
                logits = self.under.head.logits(states, [own, other]).double()
            odds = (logits[:, 0] - logits[:, 1]).cpu().numpy()
            before[mine], after[mine] = odds[0], odds[1:]
        return before, after

    def _kl(self, base: Any, row: Any) -> Floats:
        """KL of each pair of states' predictions, shape [token]."""
        import torch

        size = max(1, MOST_LOGITS // self.under.head.weight.weight.shape[0])
        parts = []
        with torch.inference_mode():
            for one, other in zip(torch.split(base, size), torch.split(row, size), strict=True):
                p = self.under.head.logits(one).log_softmax(dim=1)
                q = self.under.head.logits(other).log_softmax(dim=1)
                parts.append((p.exp() * (p - q)).sum(dim=1).clamp(min=0))
        found: Floats = torch.cat(parts).double().cpu().numpy()
        return found

    def _read(self, own: _States, layer: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        rows = [own.place[token] for token in tokens]
        found: NDArray[np.float32] = own.vectors[self._kept.index(layer)][rows]
        return found

    def _question(self, question_id: str) -> dict[int, _States]:
        """The unchanged states of a question's traces, by sample_index, and of its direct
        passes."""
        cases = self.rivals.question(question_id)
        found: dict[int, _States] = {}
        by_prompt: dict[tuple[int, ...], list[Case]] = {}
        for case in cases:
            by_prompt.setdefault(case.prompt_ids, []).append(case)
        for prompt, some in by_prompt.items():
            tokens = {case.sample_index: _tokens(case) for case in some}
            ids = {case.sample_index: case.token_ids for case in some}
            for case in some:
                end = min(len(case.token_ids), case.pre_answer + MOST_SHARED + 1)
                if case.cue and case.cue.start < end:
                    ids[_direct(case)] = case.token_ids[case.cue.start : end]
                    tokens[_direct(case)] = list(range(end - case.cue.start))
            traces = [
                ForcedTrace(
                    sample_index=number,
                    token_ids=ids[number],
                    spots=np.array([[token, token + 1] for token in tokens[number]], np.int64),
                    score=number >= 0,
                )
                for number in ids
            ]
            job = Job(question_id=question_id, prompt_ids=prompt, traces=traces)
            for done in self._forcing.forward([job], self._kept):
                number = done.sample_index
                if number is not None:
                    stored = self._logprobs.get((question_id, number))
                    found[number] = _States(
                        vectors=done.vectors,
                        place={token: i for i, token in enumerate(tokens[number])},
                        gap=largest_gap(stored, done.logprobs),
                    )
        return found


class CountingLab(_Lab):
    """A laboratory without a model: counts what would be run.

    Attributes:
        passes: changed rows.
        tokens: tokens that would be forwarded for them, unchanged traces included, each counted by
            the share of the blocks that it runs through.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.passes, self.tokens = 0, 0.0

    def states(self, case: Case, layer: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        return np.zeros((len(tokens), self.d_model), np.float32)

    direct_states = states

    def donor_odds(self, case: Case, read: int, pair: Pair) -> float:
        return 0.0

    def log_odds(
        self, case: Case, branches: Sequence[Branch], pairs: Sequence[Pair], direct: bool = False
    ) -> tuple[Floats, Floats]:
        if branches:
            start = case.cue.start if direct else 0
            self._count(branches, start, max(pair.read for pair in pairs) + 1)
        return np.zeros(len(branches)), np.zeros(len(branches))

    def divergence(
        self, case: Case, branches: Sequence[Branch], pair: Pair, tokens: Sequence[int]
    ) -> tuple[Floats, Floats, Floats]:
        self._count(branches, 0, max(*tokens, pair.read + 1))
        zero = np.zeros(len(branches))
        return zero, zero, np.zeros((len(branches), len(tokens)))

    def _count(self, branches: Sequence[Branch], start: int, end: int) -> None:
        self.passes += len(branches)
        self.tokens += end - start
        for branch in branches:
            first = branch.start if branch.start is not None else end
            self.tokens += max(0, end - first) * (1 - branch.lowest / self.n_blocks)


def _tokens(case: Case) -> list[int]:
    """Whose states may be asked for: the prompt's end, steps' ends, the cue, and the tokens with
    which answers begin alike."""
    ends = {tokens.stop - 1 for tokens in case.steps.values()}
    most = min(len(case.token_ids), case.pre_answer + MOST_SHARED + 1)
    return sorted({-1} | ends | set(range(min(case.cue.start, case.pre_answer), most)))


def _direct(case: Case) -> int:
    """A number for the direct pass of a trace: no trace has it."""
    return -1 - case.sample_index


def _moved(branch: Branch, start: int) -> Branch:
    """A branch whose tokens are counted from `start`."""
    changes = [
        replace(change, tokens=range(change.tokens.start - start, change.tokens.stop - start))
        for change in branch.changes
    ]
    return Branch(changes=changes, hidden=branch.hidden)
