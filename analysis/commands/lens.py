"""`cot lens`."""

from __future__ import annotations

from pathlib import Path

from analysis.logit_lens import read_layers
from cot.console import Output, emit, listen
from cot.errors import InputError
from cot.store.run import open_run

__all__ = ["lens"]

NAMED = {
    "internal_consistency": "consistency",
    "internal_consistency_calibrated": "consistency_calibrated",
    "commitment_depth": "commitment_depth",
    "emergence_step": "emergence_step",
    "decided_at_prompt": "decided_at_prompt",
    "separable": "separable",
}
"""JSON keys, and the findings that they hold."""


def lens(
    run: Path,
    /,
    *,
    model: str | None = None,
    device: str | None = None,
    limit: int | None = None,
    trace: tuple[str, ...] = (),
    ends: bool = False,
    seed: int = 0,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Ask every layer which of the question's answers it would give, and where that is settled.

    Parameters
    ----------
    run
        The run's folder.
    model
        By default the one that sampled the run.
    device
        A torch device; CUDA where there is one by default.
    limit
        Only the first questions.
    trace
        QUESTION:INDEX of a trace to read token by token; may be given again. By default right and
        wrong traces of two questions.
    ends
        Count the embeddings and the last layer into internal consistency too, as its paper does.
    seed
        Of bootstrap, controls and the choice of traces.
    """
    listen()
    opened = open_run(run)
    named = [_trace_key(each) for each in trace]
    with opened.lock():
        table = read_layers(
            opened, model=model, device=device, limit=limit, traces=named, ends=ends, seed=seed
        )
    findings = opened.table("findings_lens")
    estimates = findings.set_index("name")["estimate"]
    result = {
        **{key: estimates[name] for key, name in NAMED.items()},
        "commitment_layer": table["commitment_layer"].mean(),
        "n_traces": len(table),
        "n_undecided": int(table["commitment_layer"].isna().sum()),
        "findings": findings.to_dict("records"),
    }
    columns = ["name", "estimate", "low", "high", "n_questions", "n_traces", "n_excluded"]
    layer = result["commitment_layer"]
    note = f"mean commitment layer {layer:.1f}" if layer == layer else ""
    emit(output, result, rows=findings[columns].to_dict("records"), note=note)


def _trace_key(text: str) -> tuple[str, int]:
    question_id, _, index = text.rpartition(":")
    if not question_id or not index.isdigit():
        raise InputError(f"--trace {text}: write QUESTION:INDEX, such as q17:3")
    return question_id, int(index)
