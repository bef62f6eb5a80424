"""Attention between the steps of a trace, head by head: which steps do later ones look at?

The stored token ids are run through the model again (teacher forcing) and each head's attention is
averaged by pairs of steps as it passes; the pass may be a capture's. A *receiver head* is one whose
later steps agree on few steps (arXiv 2506.19143): a high kurtosis of the *vertical scores*, the
mean attention that a step gets from later ones, beyond what place and chance give.

    >>> attention(run, nearest=0)[["layer", "head", "kurtosis", "receiver"]]      # doctest: +SKIP

Attention is not cause: `findings_attention` has the rank correlation of the vertical scores with
what knocking a step out does to the answer, where `cot intervene` was run.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from analysis.catalogue import need
from analysis.declaration import Shown, analysis
from analysis.hidden_states.planning import Work, prepare
from analysis.hidden_states.reading_store import Key, ReadingStore
from analysis.hidden_states.shared_pass import TOKENS_PER_BATCH, Settings, one_pass
from analysis.interventions.cases import reasoning_steps
from analysis.step_attention.heads import matrices_table, read_heads, steps_table, within_gap
from analysis.step_attention.reading import DRAWS, NUMBERS, AttentionReader, StepTrace
from analysis.step_attention.results import attention_findings
from analysis.step_attention.scores import LEAST, n_scored
from cot.errors import InputError
from cot.sampling.sampler import trace_seed
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["attention", "attention_reader"]

log = logging.getLogger("cot")
VERSION = 2
"""Of how the numbers are computed; another one reads again."""
MATRICES = 4
"""Traces whose matrices are kept, by default."""
SHOWN = ["layer", "head", "kurtosis", "low", "high", "position", "adjusted", "permuted", "p_holm"]
SHOWN += ["receiver", "reliability", "n_questions", "n_traces"]
ROWS = 12
"""Heads that the command prints."""


def _show(run: Run, heads: pd.DataFrame) -> Shown:
    findings = run.table("findings_attention")
    best = heads.sort_values("kurtosis", ascending=False, na_position="last")
    receivers = best[best["receiver"]]
    listed = zip(
        *(receivers[name] for name in ("layer", "head", "kurtosis", "reliability")), strict=True
    )
    count = findings.set_index("measure").loc["receiver_heads"]
    json = {
        "receiver_heads": [
            {"layer": layer, "head": head, "score": score, "reliability": reliability}
            for layer, head, score, reliability in listed
        ],
        "n_heads": len(heads),
        "n_traces": int(count["n_traces"]),
        "n_excluded": int(count["n_excluded"]),
        "findings": findings.to_dict("records"),
    }
    note = f"{len(receivers)} receiver heads of {len(heads)}; {count['method']}"
    return Shown(json=json, tables=[best[SHOWN].head(ROWS).to_dict("records")], note=note)


@contextmanager
def attention_reader(
    run: Run,
    *,
    model: str | None,
    device: str | None,
    limit: int | None,
    traces: int | None,
    nearest: int,
    trace: Sequence[str],
    tokens_per_batch: int,
    seed: int,
    workers: int | None = None,
    **_: Any,
) -> Iterator[AttentionReader]:
    """What `attention` with these parameters reads of a teacher-forced pass."""
    if nearest < 0:
        raise InputError(f"--nearest is {nearest}: give 0 or more")
    if traces is not None and traces < 1:
        raise InputError(f"--traces is {traces}: give 1 or more")
    work = prepare(
        run,
        layers=[0],
        positions=["step_end"],
        spans=None,
        model=model,
        limit=limit,
        steps_per_trace=0,
    )
    asked = _step_traces(run, work, traces, nearest, trace, seed)
    digests: dict[Key, str] = {each.key: _digest(each, work, nearest) for each in asked}
    settings = Settings(
        model=work.model, device=device, tokens_per_batch=tokens_per_batch, workers=workers
    )
    with ReadingStore(run.path / "activations" / "attention", digests, NUMBERS) as store:
        yield AttentionReader(asked, settings, store, nearest)


@analysis(
    makes={
        "attention_heads": "one row a head: do later steps agree on few steps, beside controls",
        "attention_steps": "one row a step and head: mean attention that later steps pay it",
        "attention_matrices": "one row a head and pair of steps of a few traces: mean attention",
        "findings_attention": "receiver heads, their reliability, and attention against knock-out",
    },
    show=_show,
    reader=attention_reader,
)
def attention(
    run: Run,
    model: str | None = None,
    device: str | None = None,
    limit: int | None = None,
    traces: int | None = None,
    nearest: int = 4,
    trace: Sequence[str] = (),
    tokens_per_batch: int = TOKENS_PER_BATCH,
    workers: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Read the attention between steps; writes and returns the table `attention_heads`.

    Steps are those of the reasoning that tokens wrote. Layer 1 is the first block's attention, as
    layer 1 of a capture is that block's output; heads count from 0. Whatever attention
    implementation the model loads with is kept: weights are computed a second time from its queries
    and keys, and checked against its output, so that a capture may share the pass.

    `attention_heads`, one row a head: layer, head, kurtosis (the receiver score: mean over
    questions of the excess kurtosis of a trace's vertical scores), low, high (95%, bootstrap over
    questions), position (the same of what places alone foretell), adjusted (of the scores over what
    places foretell), permuted (of the scores where each later step's attention is permuted, over
    their average), beyond_position (kurtosis less position), beyond_permuted (adjusted less
    permuted; each with _low and _high), p (one-sided t-tests over questions of both; the larger),
    p_holm (over heads), receiver (whether p_holm is at most .05), reliability (do odd and even
    later steps of a trace give its steps the same scores? Correlation, mean over questions,
    Spearman–Brown), kurtosis_odd, kurtosis_even (mean over odd and over even questions),
    to_first_token, to_prompt, to_own_step (share of the steps' attention there), n_questions,
    n_traces, n_excluded (traces with too few steps, or the same score at all).

    `attention_steps`, one row a trace, head and step with a score: question_id, sample_index,
    layer, head, step, score (the vertical score: mean attention from a token of a later step to a
    token of this one, over later steps, the nearest left out).

    `attention_matrices`, for a few traces, one row a head and pair: question_id, sample_index,
    layer, head, later, step, attention (mean from a token of `later` to a token of `step`, which
    is not after it). Of traces with more than 64 steps, so many are taken, evenly by tokens.

    Args:
        model: the model to run; by default the one that sampled the run.
        device: a torch device; by default CUDA where there is one.
        limit: number of questions, from the first; all by default.
        traces: take the first so many traces of each question.
        nearest: later steps, right after a step, that don't count in its vertical score; a receiver
            score needs so many and five steps more. Short traces need fewer.
        trace: QUESTION:INDEX of traces whose matrices are kept; by default four with many steps.
        tokens_per_batch: most tokens in a batch, prompts and padding included.
        workers: processes on a Ray cluster that share the questions; by default this one alone.
        seed: seed of the permutations and the bootstrap.

    Raises:
        InputError: no model is named for an imported run; its attention can't be read; no trace can
            be run; a trace of `trace` isn't there.
    """
    with attention_reader(
        run,
        model=model,
        device=device,
        limit=limit,
        traces=traces,
        nearest=nearest,
        trace=trace,
        tokens_per_batch=tokens_per_batch,
        workers=workers,
        seed=seed,
    ) as reader:
        one_pass(run, [reader])
        reader.store.flush()
        readings = {(str(a), int(b or 0)): each for (a, b), each in reader.store.rows()}
        asked, n_layers = reader.traces, _n_layers(reader)
    inside = set(within_gap(readings))
    usable = [each for each in asked if each.key in inside]
    if beyond := len(asked) - len(usable):
        log.warning("%d traces beyond the log-probability gap are left out", beyond)
    if not usable:
        raise InputError(f"{run.path}: every trace is beyond the log-probability gap: wrong model?")
    heads = read_heads(usable, readings, n_layers, nearest, seed)
    if heads.n_short:
        log.info(
            "%d of %d traces have too few steps for a receiver score (%d or more, with --nearest "
            "%d)",
            *(heads.n_short, heads.n_read, LEAST + nearest + 1, nearest),
        )
    steps = steps_table(usable, readings, n_layers, nearest)
    run.write_table("attention_heads", heads.table)
    run.write_table("attention_steps", steps)
    run.write_table("attention_matrices", matrices_table(usable, readings, n_layers, nearest))
    # Read last: an intervention that is made again leaves only the findings stale.
    findings = attention_findings(run, heads, steps, nearest, DRAWS, seed)
    run.write_table("findings_attention", findings)
    return heads.table


def _step_traces(
    run: Run, work: Work, traces: int | None, nearest: int, named: Sequence[str], seed: int
) -> list[StepTrace]:
    """The traces that are read, in the run's order."""
    steps = reasoning_steps(need(run, "steps"), work)
    rows = work.traces
    if traces is not None:
        rows = rows[rows.groupby("question_id").cumcount() < traces]
    known = [(name, int(index)) for name, index in rows[TRACE_KEY].itertuples(index=False)]
    lengths = {key: len(steps.get(key, ())) for key in known}
    chosen = {_trace_key(each) for each in named}
    if wrong := sorted(chosen - {key for key, length in lengths.items() if length}):
        raise InputError(
            f"{run.path} has no trace {wrong[0][0]}:{wrong[0][1]} whose attention can be read: it "
            "must have token ids and steps, and lie within --limit and --traces"
        )
    most = sorted(known, key=lambda key: -lengths[key])
    chosen = chosen or {key for key in most[:MATRICES] if lengths[key]}
    columns = [rows[name] for name in ("prompt_sha", "token_ids", "logprobs")]
    found = [
        StepTrace(
            question_id=key[0],
            sample_index=key[1],
            prompt_ids=work.prompts[sha],
            token_ids=ids,
            logprobs=logprobs,
            steps=dict(steps[key]),
            seed=trace_seed(seed, key[0], key[1], "attention"),
            matrix=key in chosen,
        )
        for key, sha, ids, logprobs in zip(known, *columns, strict=True)
        if lengths[key]
    ]
    if left := len(known) - len(found):
        log.info("%d traces without a step are left out", left)
    if not found:
        raise InputError(f"{run.path}: no trace has a step of reasoning")
    if not any(n_scored(length, nearest) for length in lengths.values()):
        log.warning(
            "no trace has a step with a later one beyond the nearest %d: give --nearest 0", nearest
        )
    return found


def _trace_key(text: str) -> tuple[str, int]:
    question_id, _, index = text.rpartition(":")
    if not question_id or not index.isdigit():
        raise InputError(f"trace {text}: write QUESTION:INDEX, such as q17:3")
    return question_id, int(index)


def _digest(trace: StepTrace, work: Work, nearest: int) -> str:
    """Of all that a trace's numbers follow from."""
    made = hashlib.sha256()
    for ids in (trace.prompt_ids, trace.token_ids):
        made.update(np.asarray(ids, np.int64).tobytes() + b"|")
    spans = [[step, tokens.start, tokens.stop] for step, tokens in trace.steps.items()]
    basis = [VERSION, work.model.revision, spans, nearest, trace.seed, trace.matrix, DRAWS]
    made.update(json.dumps(basis).encode())
    return made.hexdigest()[:16]


def _n_layers(reader: AttentionReader) -> int:
    from transformers import AutoConfig

    from cot.models import fetch

    config = AutoConfig.from_pretrained(fetch(reader.settings.model))
    return int(config.get_text_config(decoder=True).num_hidden_layers)
