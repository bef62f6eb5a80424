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
what it asked for, as if it had been alone. A reader has an *eye*, which is where the model is: in
this process, or in workers that share the questions (`Settings.workers`). What it sees goes to the
reader, which stores it: this process alone writes. An eye that needs more than states,
log-probabilities and certainty (attention, say) hooks the model itself in `begin`, and finds in
`HookTeacherForcing.chunk` which tokens are passing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.merged_jobs import Merged, merged
from analysis.hidden_states.teacher_forcing import ForcedStates, Job, TeacherForcing
from analysis.hidden_states.vllm_forcing import VllmTeacherForcing
from cot.errors import InputError
from cot.models import ResolvedModel, borrow_model
from cot.progress import track
from cot.store.run import Run
from cot.workers.cluster import Cluster, cluster_of
from cot.workers.same_model import SameModel
from cot.workers.tasks import Do, shared

__all__ = [
    "ENGINES",
    "SPARE",
    "TOKENS_PER_BATCH",
    "Eye",
    "Opening",
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
ROOM = {"transformers": 2, "vllm": 32}
"""Questions that a worker holds at a time: vLLM runs many of them together."""


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
    workers: int | None = None
    """Processes on a Ray cluster that share the questions; None runs all of them here."""

    @property
    def cluster(self) -> Cluster | None:
        """Where the workers are."""
        return cluster_of(self.workers, self.device)


class Eye(Protocol):
    """A reader's part that is where the model is; it travels there, maybe to another process, and
    holds nothing that is loaded before `begin`."""

    def begin(self, forcing: TeacherForcing) -> None:
        """The model is loaded; called once before anything is seen."""
        ...

    def see(self, number: int, done: ForcedStates) -> Any:
        """What the reader keeps of a trace of job `number` of what it asked, or of its prompt's
        end; in any order. None for nothing."""
        ...

    def close(self) -> None:
        """Nothing more is seen."""
        ...


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

    @property
    def eye(self) -> Eye:
        """What looks at the model for it."""
        ...

    def keep(self, number: int, sample_index: int | None, seen: Any) -> None:
        """Store what its eye saw of a trace of job `number`, or of the prompt's end (None)."""
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
    by_layers: dict[tuple[int, ...], list[Merged]] = {}
    for each in merged([reader.asked for reader in readers]):
        by_layers.setdefault(each.layers, []).append(each)
    jobs = [each for some in by_layers.values() for each in some]
    task = Pass(
        opening=Opening.of(
            run,
            settings,
            layers=sorted({layer for each in jobs for layer in each.layers}),
            longest=max(each.longest for each in jobs),
        ),
        eyes=[reader.eye for reader in readers],
    )
    total = sum(len(each.job.traces) for each in jobs)
    doing = " and ".join(reader.doing for reader in readers)
    with (
        shared(task, settings.cluster, called=_name, room=ROOM[settings.engine]) as look,
        track(doing, total=total, unit="traces") as advance,
    ):
        for _, (sample_index, seen) in look(jobs):
            for reader, number, found in seen:
                readers[reader].keep(number, sample_index, found)
            advance(int(sample_index is not None))


def _name(job: Merged) -> str:
    return job.job.question_id


Seen = tuple[int | None, list[tuple[int, int, Any]]]
"""The trace, or None for the prompt's end; what was seen of it: reader, number of its job, what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The pass as a task; see `cot.workers`."""

    opening: Opening
    """The model."""
    eyes: Sequence[Eye]
    """What looks at it, one a reader."""

    @contextmanager
    def open(self) -> Iterator[Do[Merged, Seen]]:
        """Load the model; what is given back runs jobs, those with the same layers together."""
        with self.opening.open() as forcing, ExitStack() as stack:
            for eye in self.eyes:
                eye.begin(forcing)
                stack.callback(eye.close)

            def look(jobs: Iterable[Merged]) -> Iterator[tuple[Merged, Seen]]:
                for layers, some in groupby(jobs, key=lambda each: each.layers):
                    yield from self._look(forcing, layers, {each.job: each for each in some})

            yield look

    def _look(
        self, forcing: TeacherForcing, layers: tuple[int, ...], jobs: Mapping[Job, Merged]
    ) -> Iterator[tuple[Merged, Seen]]:
        for done in forcing.forward(jobs, layers):
            seen = []
            for share in jobs[done.job].shares:
                if (part := share.of(done, layers)) is not None:
                    found = self.eyes[share.reader].see(share.number, part)
                    if found is not None:
                        seen.append((share.reader, share.number, found))
            yield jobs[done.job], (done.sample_index, seen)


# -- the model -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A model that is to be loaded, here or in a worker, in the precision of the run."""

    model: SameModel
    """The model."""
    settings: Settings
    """How it is run."""
    sampled: str | None
    """The precision of the run."""
    layers: Sequence[int]
    """All that will be asked for."""
    longest: int
    """Most tokens of a prompt and trace together."""

    @classmethod
    def of(cls, run: Run, settings: Settings, layers: Sequence[int], longest: int) -> Opening:
        """The run's, with these settings."""
        return cls(
            model=SameModel.of(settings.model),
            settings=settings,
            sampled=run.identity.dtype,
            layers=layers,
            longest=longest,
        )

    @contextmanager
    def open(self) -> Iterator[TeacherForcing]:
        """Load it."""
        settings = self.settings
        model = settings.model if settings.workers is None else self.model.resolve()
        dtype = _dtype(self.sampled, settings.device)
        if settings.engine == "transformers":
            with closing(borrow_model(model, dtype=dtype, device=settings.device)) as loan:
                yield HookTeacherForcing(loan.value, settings.tokens_per_batch)
            return
        with closing(
            VllmTeacherForcing(
                model,
                layers=self.layers,
                longest=self.longest,
                dtype=dtype,
                tokens_per_batch=settings.tokens_per_batch,
            )
        ) as forcing:
            yield forcing


def open_teacher_forcing(
    run: Run, settings: Settings, layers: Sequence[int], longest: int
) -> AbstractContextManager[TeacherForcing]:
    """The model, loaded here in the precision of the run.

    Args:
        layers: all that will be asked for.
        longest: most tokens of a prompt and trace together.
    """
    return Opening.of(run, settings, layers, longest).open()


def _dtype(sampled: str | None, device: str | None) -> str:
    """The run's own precision on an accelerator, float32 on a CPU."""
    import torch

    on_cpu = device == "cpu" or (device in (None, "auto") and not torch.cuda.is_available())
    return "auto" if on_cpu or sampled not in ("float32", "bfloat16", "float16") else sampled


def check_engine(engine: str, device: str | None) -> None:
    """Raise InputError for an engine that isn't known, or a device that it can't be given."""
    if engine not in ENGINES:
        raise InputError(f"unknown engine {engine!r}: choose from {', '.join(ENGINES)}")
    if engine == "vllm" and device is not None:
        raise InputError("vLLM chooses its device: leave --device out, or use transformers")
