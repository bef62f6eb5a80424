"""The logit lens: each layer's latent answer, among the answers of a question.

The stored token ids are run through the model again (teacher forcing; the pass may be a capture's),
and head(norm(h)) is read at every layer: at the prompt's end, at the end of each step (of a long
trace, of some: see `steps_per_trace`), and right before the answer. Vectors become scalars as they
arrive; a killed reading goes on where it was.

    >>> lens(run)[["consistency", "commitment_layer"]]                    # doctest: +SKIP

The lens looks one token ahead. It reads the *next token* that a state predicts, which is the answer
only right before it; elsewhere, the candidates' probabilities are compared among themselves,
whatever other token the state predicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd

from analysis.declaration import Shown, analysis
from analysis.hidden_states.places import STEPS_PER_TRACE
from analysis.hidden_states.planning import prepare
from analysis.hidden_states.reading_store import ReadingStore
from analysis.hidden_states.shared_pass import Settings, one_pass
from analysis.logit_lens.inputs import POSITIONS, lens_inputs
from analysis.logit_lens.latent_answers import answers_of, by_question, drop_beyond_gap
from analysis.logit_lens.readings import NUMBERS, LensReader
from analysis.logit_lens.tables import findings, layers_table, lens_table, traces_table
from analysis.logit_lens.tokens import TokenReader, choose_traces
from cot.errors import InputError
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["lens", "lens_reader"]


NAMED = {
    "internal_consistency": "consistency",
    "internal_consistency_calibrated": "consistency_calibrated",
    "commitment_depth": "commitment_depth",
    "emergence_step": "emergence_step",
    "decided_at_prompt": "decided_at_prompt",
    "separable": "separable",
}
"""JSON keys, and the measures that they hold."""


def _show(run: Run, table: pd.DataFrame) -> Shown:
    findings = run.table("findings_lens")
    own = findings[(findings["subject"] == "") & (findings["baseline"] == "")]
    estimates = own.set_index("measure")["estimate"]
    layer = table["commitment_layer"].mean()
    json = {
        **{key: estimates[name] for key, name in NAMED.items()},
        "commitment_layer": layer,
        "n_traces": len(table),
        "n_undecided": int(table["commitment_layer"].isna().sum()),
        "findings": findings.to_dict("records"),
    }
    columns = ["measure", "subject", "baseline", "estimate", "low", "high"]
    columns += ["n_questions", "n_traces", "n_excluded"]
    note = f"mean commitment layer {layer:.1f}" if layer == layer else ""
    return Shown(json=json, tables=[findings[columns].to_dict("records")], note=note)


@contextmanager
def lens_reader(
    run: Run,
    *,
    model: str | None,
    device: str | None,
    limit: int | None,
    trace: Sequence[str],
    seed: int,
    steps_per_trace: int,
    workers: int | None = None,
    **_: Any,
) -> Iterator[LensReader]:
    """What `lens` with these parameters reads of a teacher-forced pass."""
    work = prepare(
        run,
        layers="all",
        positions=POSITIONS,
        spans=None,
        model=model,
        limit=limit,
        steps_per_trace=steps_per_trace,
    )
    inputs = lens_inputs(run, work, seed=seed)
    chosen = choose_traces(inputs, [_trace_key(each) for each in trace], seed, run)
    folder = run.path / "activations" / "lens"
    with ReadingStore(folder, inputs.digests, NUMBERS) as store:
        tokens = TokenReader(inputs, chosen, folder, work.layers, work.model)
        settings = Settings(model=work.model, device=device, workers=workers)
        yield LensReader(inputs, work.layers, settings, store, tokens)


@analysis(
    makes={
        "lens_traces": "one row a trace: consistency of its layers, where the answer is settled",
        "lens": "one row a place and layer: the latent answer and its probability",
        "lens_layers": "one row a measure and layer: agreement of latent answers over questions",
        "lens_tokens": "one row a token and layer of a few traces: the most probable next token",
        "findings_lens": "what the layers hold of the answer, beside controls",
    },
    show=_show,
    reader=lens_reader,
)
def lens(
    run: Run,
    model: str | None = None,
    device: str | None = None,
    limit: int | None = None,
    trace: Sequence[str] = (),
    ends: bool = False,
    seed: int = 0,
    steps_per_trace: int = STEPS_PER_TRACE,
    workers: int | None = None,
) -> pd.DataFrame:
    """Read each layer's latent answer; writes and returns the table `lens_traces`.

    A question's candidates are the answers that its traces state, told apart by their first token
    (see `analysis.logit_lens.inputs`); an answer below is the name of one. Traces that can't be run
    again, without a valid answer, or beyond the log-probability gap are left out, counted and named
    in a notice.

    `lens_traces`, one row a trace: question_id, sample_index, answer (stated), candidate (the one
    it belongs to), n_candidates, separable (whether the question's answers all differ in their
    first token), consistency and consistency_calibrated (share of the layers between embeddings
    and last whose latent answer is the last one's), commitment_layer (the lowest from which
    all later ones do; Int64), emergence_step (the first step read from whose end on the last layer
    keeps the answer that it gives right before the stated one; n_steps where no step's end does;
    Int64), n_steps (before the answer; Int64), n_steps_read (of them, those at whose end it was
    read: see --steps-per-trace; Int64), lens_answer (the last layer's, right before the answer),
    decided_at_prompt (whether the trace states the last layer's latent answer at the prompt's end),
    decided_control (the same with another question's prompt's end), coe_r, coe_c (see
    `chain_of_embedding`). Missing where the question has fewer than two candidates, or the answer
    no place in the text.

    `lens`, one row a place and layer: question_id, sample_index (Int64; missing for `prompt_end`),
    position, step (Int64), layer, answer, p (its probability among the candidates), p_stated (that
    of the stated one; NaN at `prompt_end`), entropy (over the candidates, nats), answer_calibrated,
    p_vocab (at `pre_answer`: the written token's probability over the whole vocabulary),
    entropy_vocab (nats).

    `lens_layers`, one row a measure, position and layer, each a mean over the questions with two
    candidates or more (every question weighs the same, whatever its number of traces): measure,
    position, layer, estimate, low, high (95%, bootstrap over questions), control, control_low,
    control_high, n_questions, n_traces. The measures at `pre_answer` are
      - `agreement`: the share of a question's traces whose latent answer at this layer is the one
        of the last layer; 1 at the last layer by definition;
      - `agreement_calibrated`: the same with calibrated latent answers;
      - `stated`: the share whose latent answer is the stated one;
      - `committed`: the share whose commitment layer is at most this one.
    Their control is the same share with the last layer's (or the stated) answer of *another* trace
    of the question, over all ordered pairs of its traces: a layer that holds the question's usual
    answer agrees that often without having read the trace. Questions with one trace have no such
    pair and are left out of the three that have a control; `committed` and `p_stated` have none
    (NaN). `p_stated`, at each position: the mean probability of the stated answer over a question's
    places there.

    `lens_tokens`, for a few traces, one row a token and layer: question_id, sample_index, token
    (index of the last one read; -1 is the prompt's last), text (its), layer, top (the most probable
    next token), p_top, p_stated (of the answer's first token), entropy (over the vocabulary, nats).

    `findings_lens`: all that over questions, beside its controls.

    Args:
        model: the model to run; by default the one that sampled the run.
        device: a torch device; by default CUDA where there is one.
        limit: number of questions, from the first; all by default.
        trace: QUESTION:INDEX of traces to read token by token; by default right and wrong ones of
            two questions.
        ends: include the embeddings and the last layer in internal consistency, as the paper does.
        seed: seed of the bootstrap, the controls and the choice of traces.
        steps_per_trace: most steps of a trace that are read: of longer ones, they are taken evenly
            by tokens; 0 takes all.
        workers: processes on a Ray cluster that share the questions; by default this one alone.

    Raises:
        InputError: no model is named for an imported run; the model's head can't be followed; no
            trace can be read; a trace of `trace` isn't there.
    """
    with lens_reader(
        run,
        model=model,
        device=device,
        limit=limit,
        trace=trace,
        seed=seed,
        steps_per_trace=steps_per_trace,
        workers=workers,
    ) as reader:
        one_pass(run, [reader])
        reader.store.flush()
        found, tokens = reader.store.read(), reader.tokens.table()
        inputs = reader.inputs
    inputs = drop_beyond_gap(inputs, found)
    questions = by_question(inputs, found)
    stated, n_steps = (
        inputs.traces.set_index(TRACE_KEY)[name].to_dict() for name in ("answer", "n_steps")
    )
    answers = [answers_of(each, stated, n_steps) for each in questions]
    table = traces_table(inputs, answers, found, ends=ends)
    by_place = lens_table(questions, inputs)
    run.write_table("lens", by_place)
    run.write_table("lens_layers", layers_table(answers, by_place, seed=seed))
    run.write_table("lens_traces", table)
    run.write_table("lens_tokens", tokens)
    run.write_table("findings_lens", findings(answers, inputs.candidates, ends=ends, seed=seed))
    return table


def _trace_key(text: str) -> tuple[str, int]:
    question_id, _, index = text.rpartition(":")
    if not question_id or not index.isdigit():
        raise InputError(f"trace {text}: write QUESTION:INDEX, such as q17:3")
    return question_id, int(index)
