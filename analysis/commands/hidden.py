"""`cot capture`."""

from __future__ import annotations

from pathlib import Path

import analysis
from cot.console import Output, emit, listen
from cot.run import open_run

__all__ = ["capture"]


def capture(
    run: Path,
    /,
    *,
    layers: str = "every 4th",
    positions: tuple[str, ...] = ("prompt_end", "step_end", "pre_answer"),
    model: str | None = None,
    device: str | None = None,
    limit: int | None = None,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Replay the stored token ids and keep hidden states; what is there is not captured again.

    Parameters
    ----------
    run
        The run's folder.
    layers
        all, every 4th, a range such as 8-16, or a list such as 0,15,30; k is the residual stream
        after k blocks.
    positions
        prompt_end, step_end, pre_answer, answer or mean; may be given again.
    model
        By default the one that sampled the run.
    device
        A torch device; CUDA where there is one by default.
    limit
        Only the first questions.
    """
    listen()
    opened = open_run(run)
    with opened.lock():
        index = analysis.capture(
            opened, layers=layers, positions=positions, model=model, device=device, limit=limit
        )
    gaps = opened.table("fidelity")["max_logprob_gap"]
    files = (opened.path / "activations").glob("*.safetensors")
    result = {
        "n_vectors": len(index),
        "bytes": sum(path.stat().st_size for path in files),
        "layers": sorted(index["layer"].unique().tolist()),
        "n_traces": len(gaps),
        "n_without_logprobs": int(gaps.isna().sum()),
        "max_logprob_gap": gaps.max(),
    }
    emit(output, result, rows=[result])
