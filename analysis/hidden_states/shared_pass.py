"""One teacher-forced pass that several analyses read.

An analysis that looks inside the model declares a *reader* (`@analysis(reader=...)`): a function of
the run and the analysis's parameters, used as a context manager, that says what it lacks of which
trace and stores what comes. The analysis itself enters its reader, lets `one_pass` run, and makes
its tables from what is stored. Whoever has several readers at once (`cot capture --also lens`, an
experiment with [capture] and [lens] next to each other) runs one pass for all of them; each
analysis then finds its readings stored and runs no model.

    with capture_reader(run, ...) as one, lens_reader(run, ...) as other:
        one_pass(run, [one, other])

A trace is run once, with the union of the layers and tokens that are asked of it; each reader gets
what it asked for, as if it had been alone. A reader that needs more than states, log-probabilities
and certainty (attention, say) hooks the model itself in `begin`, and finds in
`HookTeacherForcing.chunk` which tokens are passing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.teacher_forcing import ForcedStates, ForcedTrace, Job, TeacherForcing
from analysis.hidden_states.vllm_forcing import VllmTeacherForcing
from cot.errors import InputError
from cot.models import ResolvedModel, borrow_model
from cot.progress import track
from cot.store.run import Run

__all__ = [
    "ENGINES",
    "SPARE",
    "TOKENS_PER_BATCH",
    "Reader",
    "Settings",
    "check_engine",
    "one_pass",
    "open_teacher_forcing",
]

log = logging.getLogger("cot")

TOKENS_PER_BATCH = 16_384
ENGINES = ("transformers", "vllm")
SPARE = {"vllm": 1}
"""Tokens of the context that an engine needs for itself: vLLM always generates one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the model is run; readers that agree on it share a pass."""

    model: ResolvedModel
    """The model."""
    engine: str = "transformers"
    """One of ENGINES."""
    device: str | None = None
    """A torch device, `auto`, or None for CUDA where there is one."""
    tokens_per_batch: int = TOKENS_PER_BATCH
    """Most tokens in a batch, prompts and padding included."""


class Reader(Protocol):
    """What one analysis asks of the pass, and what it does with what comes."""

    doing: str
    """What the progress line says: `capturing`."""
    settings: Settings
    """How it wants the model to be run."""

    @property
    def asked(self) -> Sequence[tuple[Job, tuple[int, ...]]]:
        """What it lacks, and the layers of its vectors; nothing where all is stored."""
        ...

    def begin(self, forcing: TeacherForcing) -> None:
        """The model is loaded; called once before anything is read."""
        ...

    def read(self, done: ForcedStates) -> None:
        """What came of one of the traces of `asked`, or of a prompt; in any order."""
        ...


def one_pass(run: Run, readers: Sequence[Reader]) -> None:
    """Run what the readers lack through the model, each trace once for all readers that agree on
    the settings."""
    asking: dict[Settings, list[Reader]] = {}
    for reader in readers:
        if reader.asked:
            asking.setdefault(reader.settings, []).append(reader)
    if len(asking) > 1:
        each = "; ".join(" and ".join(one.doing for one in some) for some in asking.values())
        log.info("passes apart, as model, engine, device or batches differ: %s", each)
    for settings, some in asking.items():
        _run(run, settings, some)


def _run(run: Run, settings: Settings, readers: Sequence[Reader]) -> None:
    jobs = _merged(readers)
    layers = sorted({layer for each in jobs for layer in each.layers})
    longest = max(each.longest for each in jobs)
    by_layers: dict[tuple[int, ...], dict[Job, _Merged]] = {}
    for each in jobs:
        by_layers.setdefault(each.layers, {})[each.job] = each
    total = sum(len(each.job.traces) for each in jobs)
    doing = " and ".join(reader.doing for reader in readers)
    with (
        open_teacher_forcing(run, settings, layers, longest) as forcing,
        track(doing, total=total, unit="traces") as advance,
    ):
        for reader in readers:
            reader.begin(forcing)
        for chosen, merged in by_layers.items():
            for done in forcing.forward(merged, chosen):
                for share in merged[done.job].shares:
                    if (part := share.of(done, chosen)) is not None:
                        share.reader.read(part)
                advance(int(done.sample_index is not None))


@contextmanager
def open_teacher_forcing(
    run: Run, settings: Settings, layers: Sequence[int], longest: int
) -> Iterator[TeacherForcing]:
    """The model, loaded in the precision of the run.

    Args:
        layers: all that will be asked for.
        longest: most tokens of a prompt and trace together.
    """
    dtype = _dtype(run, settings.device)
    if settings.engine == "transformers":
        with closing(borrow_model(settings.model, dtype=dtype, device=settings.device)) as loan:
            yield HookTeacherForcing(loan.value, settings.tokens_per_batch)
        return
    with closing(
        VllmTeacherForcing(
            settings.model,
            layers=layers,
            longest=longest,
            dtype=dtype,
            tokens_per_batch=settings.tokens_per_batch,
        )
    ) as forcing:
        yield forcing


def _dtype(run: Run, device: str | None) -> str:
    """The run's own precision on an accelerator, float32 on a CPU."""
    import torch

    on_cpu = device == "cpu" or (device in (None, "auto") and not torch.cuda.is_available())
    sampled = run.identity.dtype
    return "auto" if on_cpu or sampled not in ("float32", "bfloat16", "float16") else str(sampled)


def check_engine(engine: str, device: str | None) -> None:
    """Raise InputError for an engine that isn't known, or a device that it can't be given."""
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}: choose from {', '.join(ENGINES)}")
    if engine == "vllm" and device is not None:
        raise InputError("vLLM chooses its device: leave --device out, or use transformers")


# -- the union of what is asked --------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Share:
    """One reader's part of a merged job."""

    reader: Reader
    job: Job
    """As the reader asked for it."""
    layers: tuple[int, ...]
    traces: dict[int, tuple[ForcedTrace, NDArray[np.int64]]]
    """sample_index to the trace as it was asked for, and which of the merged spots are its own."""

    def of(self, done: ForcedStates, layers: tuple[int, ...]) -> ForcedStates | None:
        """What the reader asked for of the merged result, whose layers are given."""
        rows = np.searchsorted(layers, self.layers)
        if done.sample_index is None:
            vectors = done.vectors[rows]
            return ForcedStates(job=self.job, sample_index=None, vectors=vectors, logprobs=None)
        if done.sample_index not in self.traces:
            return None
        trace, spots = self.traces[done.sample_index]
        return ForcedStates(
            job=self.job,
            sample_index=done.sample_index,
            vectors=done.vectors[np.ix_(rows, spots)],
            logprobs=done.logprobs if trace.score else None,
            certainty=done.certainty if trace.certainty else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Merged:
    """A question's job for all readers."""

    job: Job
    layers: tuple[int, ...]
    shares: Sequence[_Share]

    @property
    def longest(self) -> int:
        """Most tokens of the prompt and a trace."""
        traces = max((len(trace.token_ids) for trace in self.job.traces), default=0)
        return len(self.job.prompt_ids) + traces


def _merged(readers: Sequence[Reader]) -> list[_Merged]:
    """One job a question and prompt, in the order in which they are first asked for."""
    groups: dict[Any, list[tuple[Reader, Job, tuple[int, ...]]]] = {}
    for reader in readers:
        for job, layers in reader.asked:
            key = (job.question_id, np.asarray(job.prompt_ids, np.int64).tobytes())
            groups.setdefault(key, []).append((reader, job, layers))
    return [_merge(group) for group in groups.values()]


def _merge(group: Sequence[tuple[Reader, Job, tuple[int, ...]]]) -> _Merged:
    asked: dict[int, list[ForcedTrace]] = {}
    for _, job, _ in group:
        for trace in job.traces:
            asked.setdefault(trace.sample_index, []).append(trace)
    traces: list[ForcedTrace] = []
    own: dict[int, NDArray[np.int64]] = {}
    for index, some in asked.items():
        spots, back = np.unique(
            np.concatenate([trace.spots for trace in some]), axis=0, return_inverse=True
        )
        ends = np.cumsum([len(trace.spots) for trace in some])[:-1]
        own |= dict(zip(map(id, some), np.split(back.reshape(-1), ends), strict=True))
        traces.append(
            ForcedTrace(
                sample_index=index,
                token_ids=some[0].token_ids,
                spots=spots,
                score=any(trace.score for trace in some),
                certainty=any(trace.certainty for trace in some),
            )
        )
    first = group[0][1]
    shares = [
        _Share(
            reader=reader,
            job=job,
            layers=layers,
            traces={trace.sample_index: (trace, own[id(trace)]) for trace in job.traces},
        )
        for reader, job, layers in group
    ]
    return _Merged(
        job=Job(question_id=first.question_id, prompt_ids=first.prompt_ids, traces=traces),
        layers=tuple(sorted({layer for _, _, layers in group for layer in layers})),
        shares=shares,
    )
