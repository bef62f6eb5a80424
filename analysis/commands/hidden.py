"""`cot capture`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import analysis
from analysis.hidden_states import estimate, read_spans
from analysis.hidden_states.fidelity import MAX_GAP
from cot.console import Output, emit, listen
from cot.store.run import open_run

__all__ = ["capture"]


def capture(
    run: Path,
    /,
    *,
    layers: str = "every 4th",
    positions: tuple[str, ...] = ("prompt_end", "step_end", "pre_answer"),
    spans: Path | None = None,
    model: str | None = None,
    engine: Literal["transformers", "vllm"] = "transformers",
    device: str | None = None,
    limit: int | None = None,
    max_gap: float = MAX_GAP,
    dry_run: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Replay the stored token ids and keep hidden states; what is there is not captured again.

    Parameters
    ----------
    run
        The run's folder.
    layers
        all, every 4th, a range such as 8-16, a list such as 0,15,30, or fractions of the depth
        such as 0.25,0.5,1.0; k is the residual stream after k blocks.
    positions
        prompt_end, step_end, pre_answer, answer, mean or "every 8 tokens"; may be given again.
    spans
        A .jsonl, .csv or .parquet file of characters of traces whose last token is looked at too:
        question_id, sample_index, start, end, and a name for the position where wanted.
    model
        By default the one that sampled the run.
    engine
        What runs the model.
    device
        A torch device, CUDA where there is one by default; auto spreads the model over all.
    limit
        Only the first questions.
    max_gap
        Difference of log-probability, in nats, beyond which a trace is flagged and left out of
        what reads its hidden states.
    dry_run
        Say what would be captured, and how long that would take; write nothing.
    """
    listen()
    opened = open_run(run)
    asked: dict[str, Any] = {
        "layers": layers,
        "positions": positions,
        "spans": None if spans is None else read_spans(spans),
        "model": model,
        "engine": engine,
        "device": device,
        "limit": limit,
    }
    if dry_run:
        expected = asdict(estimate(opened, **asked))
        emit(output, expected, rows=[expected])
        return
    with opened.lock():
        index = analysis.capture(opened, **asked, max_gap=max_gap)
    fidelity = opened.table("fidelity")
    gaps = fidelity["max_logprob_gap"]
    files = (opened.path / "activations").glob("*.safetensors")
    result = {
        "n_vectors": len(index),
        "bytes": sum(path.stat().st_size for path in files),
        "layers": sorted(index["layer"].unique().tolist()),
        "n_traces": len(gaps),
        "n_without_logprobs": int(gaps.isna().sum()),
        "max_logprob_gap": gaps.max(),
        "n_flagged": int(fidelity["flagged"].sum()),
    }
    emit(output, result, rows=[result])
