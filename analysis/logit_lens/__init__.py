"""What each layer already believes: the logit lens over a question's answers.

The stored token ids are replayed, and head(norm(h)) is read at every layer: at the prompt's end, at
the end of each step, and right before the answer. Vectors become scalars as they arrive; a killed
reading goes on where it was.

    >>> read_layers(run)[["consistency", "commitment_layer"]]                    # doctest: +SKIP

The lens looks one token ahead. It reads what a state would *say next*, which is the answer only
right before it; elsewhere, the candidates' odds are read among themselves, whatever else the state
is about to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.hidden_states.capturing import TOKENS_PER_BATCH, open_backend
from analysis.hidden_states.hooks import HookReplay
from analysis.hidden_states.preparing import prepare
from analysis.logit_lens.asked import KEYS, POSITIONS, ask
from analysis.logit_lens.findings import findings
from analysis.logit_lens.reading import read_traces
from analysis.logit_lens.said import lay_out, look, without_unfaithful
from analysis.logit_lens.store import LensStore
from analysis.logit_lens.tables import lens_table, traces_table
from analysis.logit_lens.tokens import choose_traces, tokens_table
from analysis.logit_lens.unembed import Unembedding
from cot.models import load_tokenizer
from cot.store.run import Run

__all__ = ["read_layers"]


def read_layers(
    run: Run,
    *,
    model: str | None = None,
    device: str | None = None,
    limit: int | None = None,
    traces: Sequence[tuple[str, int]] = (),
    ends: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Ask every layer for the answer; the table `lens_traces`.

    A question's candidates are the answers that its traces state, told apart by their first token
    (see `candidates`); an answer below is the name of one. Traces that can't be replayed, or
    without a valid answer, are left out, counted and named in a notice, and so are those whose
    replay differs from what was sampled.

    `lens_traces`, one row a trace: question_id, sample_index, answer (stated), candidate (the one
    it belongs to), n_candidates, separable (whether the question's answers all differ in their
    first token), consistency and consistency_calibrated (share of the layers between embeddings
    and last that say what the last one says; see `latent`), commitment_layer (the lowest from which
    all later ones do; Int64), emergence_step (the first step from whose end on the last layer keeps
    the answer that it gives right before the stated one; n_steps where no step's end does; Int64),
    n_steps (before the answer; Int64), lens_answer (the last layer's, right before the answer),
    decided_at_prompt (whether the trace states what the last layer says at the prompt's end),
    decided_control (the same with another question's prompt's end), coe_r, coe_c (see
    `analysis.state_geometry.chain`). Missing where the question has fewer than two candidates, or
    the
    answer no place in the text.

    `lens`, one row a place and layer: question_id, sample_index (Int64; missing for `prompt_end`),
    position, step (Int64), layer, answer, p (its probability among the candidates), p_stated (that
    of the stated one; NaN at `prompt_end`), entropy (over the candidates, nats), answer_calibrated,
    p_vocab (at `pre_answer`: the written token's probability over the whole vocabulary),
    entropy_vocab (nats).

    `lens_tokens`, for a few traces, one row a token and layer: question_id, sample_index, token
    (index of the last one read; -1 is the prompt's last), text (its), layer, top (the most probable
    next token), p_top, p_stated (of the answer's first token), entropy (over the vocabulary, nats).

    `findings_lens`: all that over questions, beside its controls.

    Args:
        model: by default the one that sampled the run.
        device: a torch device; by default CUDA where there is one.
        limit: read the first so many questions only.
        traces: (question_id, sample_index) of the traces to read token by token; by default right
            and wrong ones of two questions.
        ends: count the embeddings and the last layer into consistency too, as the paper does.
        seed: of bootstrap, controls and the choice of traces.

    Raises:
        InputError: no model is named for an imported run; the model's head can't be followed; no
            trace can be read; a trace of `traces` isn't there.
    """
    work = prepare(run, layers="all", positions=POSITIONS, spans=None, model=model, limit=limit)
    asked = ask(run, work, seed=seed)
    chosen = choose_traces(asked, traces, seed, run)
    layers = work.layers
    with (
        run.lock(),
        LensStore(run.path / "activations" / "lens", asked.digests) as store,
        open_backend(run, work, "transformers", device, TOKENS_PER_BATCH) as backend,
    ):
        assert isinstance(backend, HookReplay)
        unembedding = Unembedding(backend.model, backend.head)
        read_traces(asked, asked.tasks(store.done, layers), layers, backend, unembedding, store)
        store.flush()
        tokens = tokens_table(
            asked, chosen, layers, backend, unembedding, load_tokenizer(work.model)
        )
        found = store.read()
    asked = without_unfaithful(asked, found)
    said = lay_out(asked, found)
    stated = asked.traces.set_index(KEYS)["answer"].to_dict()
    looks = [look(each, stated) for each in said]
    table = traces_table(asked, looks, found, ends=ends)
    parameters = {
        "model": model,
        "device": device,
        "limit": limit,
        "traces": [list(key) for key in traces],
        "ends": ends,
        "seed": seed,
    }
    for name, frame in (
        ("lens", lens_table(said, asked)),
        ("lens_traces", table),
        ("lens_tokens", tokens),
        ("findings_lens", findings(looks, asked.candidates, ends=ends, seed=seed)),
    ):
        run.write_table(
            name,
            frame,
            command="lens",
            parameters=parameters,
            inputs=["traces", "answers", "steps"],
        )
    return table
