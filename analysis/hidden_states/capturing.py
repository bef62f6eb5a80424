"""Hidden states of the stored traces, by teacher forcing.

The stored token ids are run through the model again (teacher forcing; the text is never tokenised
anew) and the residual stream is kept where it is asked for. The forward passes are checked: the
log-probability of every sampled token is compared with the stored one.

    >>> capture(run, layers=[8, 16], positions=["prompt_end", "pre_answer"])     # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.catalogue import find
from analysis.declaration import Shown, analysis
from analysis.hidden_states.estimating import estimate
from analysis.hidden_states.places import STEPS_PER_TRACE, LayerSpec, read_spans
from analysis.hidden_states.planning import Work, places, prepare
from analysis.hidden_states.shared_pass import (
    SPARE,
    TOKENS_PER_BATCH,
    Settings,
    check_engine,
    one_pass,
)
from analysis.hidden_states.stored_states import MAX_GAP, gaps_table, largest_gap
from analysis.hidden_states.teacher_forcing import Certainty, ForcedStates, TeacherForcing
from cot.errors import InputError
from cot.store.run import Run, open_run
from cot.store.vectors import Place, VectorWriter
from cot.types import TRACE_KEY

__all__ = ["capture", "capture_reader"]

log = logging.getLogger("cot")


def _show(run: Run, captured: pd.DataFrame) -> Shown:
    gaps = run.table("logprob_gaps")
    files = (run.path / "activations").glob("*.safetensors")
    result = {
        "n_vectors": len(captured),
        "bytes": sum(file.stat().st_size for file in files),
        "layers": sorted(captured["layer"].unique().tolist()),
        "n_traces": len(gaps),
        "n_without_logprobs": int(gaps["max_logprob_gap"].isna().sum()),
        "max_logprob_gap": gaps["max_logprob_gap"].max(),
        "n_flagged": int(gaps["flagged"].sum()),
    }
    return Shown(json=result, tables=[[result]])


def _dry_run(run: Run, dry_run: bool, **asked: Any) -> Shown:
    """Say how much would be captured and how large it is, from lengths alone; write nothing."""
    planned = asdict(estimate(run, **asked))
    note = planned.pop("note")
    return Shown(json={**planned, "note": note}, tables=[[planned]], note=note)


@contextmanager
def capture_reader(
    run: Run,
    *,
    layers: LayerSpec,
    positions: Sequence[str],
    spans: str | Path | None,
    model: str | None,
    engine: str,
    device: str | None,
    tokens_per_batch: int,
    limit: int | None,
    steps_per_trace: int,
    certainty: bool,
    workers: int | None = None,
    **_: Any,
) -> Iterator[_Capture]:
    """What `capture` with these parameters reads of a teacher-forced pass."""
    check_engine(engine, device)
    if certainty and engine != "transformers":
        raise InputError("--certainty needs the whole vocabulary: use --engine transformers")
    if spans is not None:
        run.reads(f"file:{Path(spans).resolve()}")
    work = prepare(
        run,
        layers=layers,
        positions=positions,
        spans=None if spans is None else read_spans(Path(spans)),
        model=model,
        limit=limit,
        steps_per_trace=steps_per_trace,
        spare=SPARE.get(engine, 0),
    )
    settings = Settings(
        model=work.model,
        engine=engine,
        device=device,
        tokens_per_batch=tokens_per_batch,
        workers=workers,
    )
    folder = run.path / "activations"
    with VectorWriter(folder, model=work.model.name, revision=work.model.revision) as writer:
        _forget_stale(writer, work)
        yield _Capture(work, settings, writer, certainty)


class _Capture:
    """Stores vectors, log-probability gaps and certainties as they come."""

    doing = "capturing"

    def __init__(
        self, work: Work, settings: Settings, writer: VectorWriter, certainty: bool
    ) -> None:
        self.work, self.settings, self.writer = work, settings, writer
        self.tasks = work.tasks(writer.index, writer.about, writer.traces, certainty)
        self.asked = [(task.job, task.layers) for task in self.tasks]
        certain = any(trace.certainty for job, _ in self.asked for trace in job.traces)
        self.eye = CaptureEye(model=work.model.name, certainty=certain)
        keys = zip(*(work.traces[name] for name in TRACE_KEY), strict=True)
        self.stored = dict(zip(keys, work.traces["logprobs"], strict=True))

    def keep(self, number: int, sample_index: int | None, seen: Seen) -> None:
        """Store a trace's, or a prompt's end's."""
        task = self.tasks[number]
        vectors, logprobs, certainty = seen
        if (index := sample_index) is not None:
            name = task.job.question_id
            gap = largest_gap(self.stored[name, index], logprobs)
            (length,) = (len(t.token_ids) for t in task.job.traces if t.sample_index == index)
            certainty = certainty or Certainty(np.nan, np.nan)
            self.writer.add_trace(name, index, length, gap, certainty)
        if chosen := task.places.get(index):
            self.writer.add(chosen, dict(zip(task.layers, vectors, strict=True)))


Seen = tuple[NDArray[np.float32], NDArray[np.float32] | None, Certainty | None]
"""Vectors, log-probabilities and certainty of a trace; see `ForcedStates`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureEye:
    """Sees what a capture stores."""

    model: str
    """Its name."""
    certainty: bool
    """Whether certainty is asked for."""

    def begin(self, forcing: TeacherForcing) -> None:
        """Whether the model can give what is asked."""
        exact = getattr(getattr(forcing, "head", None), "exact", True)
        if self.certainty and not exact:
            raise InputError(
                f"--certainty can't be read of {self.model}: its head on its last state doesn't "
                "give its own logits"
            )

    def see(self, number: int, done: ForcedStates) -> Seen:
        """All of it."""
        return done.vectors, done.logprobs, done.certainty

    def close(self) -> None:
        """Nothing is held."""


@analysis(
    makes={
        "logprob_gaps": "one row a trace: the largest gap between stored and new log-probabilities",
        "token_certainty": "one row a trace: its self-certainty and mean entropy, over all tokens",
    },
    show=_show,
    views={"dry_run": _dry_run},
    reader=capture_reader,
)
def capture(
    run: Run,
    layers: LayerSpec = "every 4th",
    positions: Sequence[str] = ("prompt_end", "step_end", "pre_answer"),
    spans: str | Path | None = None,
    model: str | None = None,
    engine: Literal["transformers", "vllm"] = "transformers",
    device: str | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    limit: int | None = None,
    max_gap: float = MAX_GAP,
    steps_per_trace: int = STEPS_PER_TRACE,
    certainty: bool = False,
    workers: int | None = None,
    also: Sequence[str] = (),
) -> pd.DataFrame:
    """Capture what is missing into the run's activations/; also writes the table `logprob_gaps`.

    Returns one row a vector of the asked layers and positions: question_id, sample_index (Int64,
    missing for `prompt_end`), position, step (Int64, missing but for `step_end` and `section_end`),
    token (Int64 index into the generated ids, -1 for the prompt's last), layer. `run.activations`
    reads them.

    Table `logprob_gaps`, one row a trace that was run again: question_id, sample_index, n_tokens,
    max_logprob_gap (NaN where the trace has no stored log-probabilities), flagged (whether the gap
    is too large for the vectors to be trusted).

    Table `token_certainty`, with `certainty`, one row a trace: question_id, sample_index,
    self_certainty (mean over its tokens of -(1/V) Σ_j log(V p_j), over the vocabulary of V tokens:
    0 where all are equally probable, arXiv 2502.18581), mean_entropy (mean of -Σ_j p_j log p_j:
    log V there), n_tokens. Both in nats, over the model's own distribution (temperature 1), before
    each generated token.

    Traces without token ids or without a prompt, and those longer than the model's context, are
    left out, counted and named in a notice.

    Args:
        layers: layers to capture: numbers, ranges, fractions of the depth, all, or every 4th, which
            takes the last layer too.
        positions: positions to capture: prompt_end, step_end, section_end, pre_answer, answer,
            mean, every 8 tokens (or every:8).
        spans: a file of character spans to capture as well: question_id, sample_index, start, end,
            name.
        model: the model to run; by default the one that sampled the run.
        engine: the engine that runs it: transformers or vllm.
        device: a torch device, by default CUDA where there is one; `auto` spreads the model over
            all of them. vLLM chooses for itself.
        tokens_per_batch: most tokens in one batch, prompts and padding included.
        limit: number of questions to capture, from the first; all by default.
        max_gap: largest log-probability gap, in nats; traces beyond it are flagged and left out.
        steps_per_trace: most step ends, and most section ends, of a trace: of longer ones, they are
            taken evenly by tokens; 0 takes all.
        certainty: also write `token_certainty`; it reads the whole vocabulary at every token.
        workers: processes on a Ray cluster that share the questions; by default this one alone.
        also: other analyses that read the same pass, with their defaults: lens, attention.

    Raises:
        InputError: an unknown layer, position, engine or model; spans that aren't in the traces;
            no model named for an imported run; a model other than the one whose states are there,
            or one that a capture can't look into.
    """
    asked: dict[str, Any] = {"model": model, "device": device, "limit": limit, "workers": workers}
    others = [find(name) for name in also]
    if wrong := [each.name for each in others if each.reader is None or each.name == "capture"]:
        raise InputError(
            f"--also {wrong[0]}: it reads no teacher-forced pass; lens and attention do"
        )
    with ExitStack() as stack:
        own = stack.enter_context(
            capture_reader(
                run,
                layers=layers,
                positions=positions,
                spans=spans,
                engine=engine,
                tokens_per_batch=tokens_per_batch,
                steps_per_trace=steps_per_trace,
                certainty=certainty,
                **asked,
            )
        )
        # a run of their own: what they read is no input of this analysis's tables
        readers = [each.read_pass(open_run(run.path), **asked) for each in others]
        one_pass(run, [own, *map(stack.enter_context, readers)])
    work, writer = own.work, own.writer
    run.write_table("logprob_gaps", gaps_table(run, writer.traces, max_gap))
    if certainty:
        keys = work.traces[TRACE_KEY]
        named = [*TRACE_KEY, "self_certainty", "mean_entropy", "n_tokens"]
        run.write_table("token_certainty", keys.merge(writer.traces, on=TRACE_KEY)[named])
    for each in others:
        each.function(run, **{name: asked[name] for name in asked if name in each.parameters})
    index = pd.DataFrame([spot.place for spot in work.spots], columns=list(Place._fields))
    index = index.astype({"sample_index": "Int64", "step": "Int64", "token": "Int64"})
    return index.merge(pd.DataFrame({"layer": work.layers}), how="cross")


def _forget_stale(writer: VectorWriter, work: Work) -> None:
    """Drop places that are no more: an answer that is read differently now, a step that went."""
    current = {spot.place for spot in work.spots}
    looked_at = writer.index["position"].isin(work.positions)
    looked_at &= writer.index["question_id"].isin(work.traces["question_id"])
    gone = [place not in current for place in places(writer.index)]
    stale = looked_at.to_numpy(bool) & np.array(gone, bool)
    if stale.any():
        log.info("%d hidden states stood at tokens that are not asked for any more", stale.sum())
        writer.forget(stale)
