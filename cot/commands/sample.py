"""`cot sample`."""

from __future__ import annotations

from pathlib import Path

from cot.console import Output, emit, listen
from cot.sampling.plan import plan
from cot.sampling.sampler import draw
from cot.sampling.settings import SampleSettings

__all__ = ["sample"]


def sample(
    dataset: str,
    /,
    *,
    out: Path,
    settings: SampleSettings = SampleSettings(),  # noqa: B008 - frozen
    dry_run: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> int:
    """Sample chains of thought into a run; what the run already holds is not sampled again.

    Parameters
    ----------
    dataset
        A hub id (openai/gsm8k), a file (.jsonl, .json, .csv, .parquet) or arithmetic.
    out
        The run's folder.
    dry_run
        Say what would be sampled, and write nothing.
    """
    listen()
    planned = plan(dataset, out, settings)
    if dry_run:
        result = {
            "run": out,
            "n_questions": len(planned.questions),
            "n_missing": len(planned.missing),
            **({"n_needed": planned.adaptive.n_needed} if planned.adaptive else {}),
            "n_missing_greedy": len(planned.missing_greedy),
        }
        taken = planned.identity.generation_config or {}
        said = ", ".join(f"{name} {value}" for name, value in taken.items())
        note = f"from generation_config.json: {said}" if said else ""
        emit(output, result | {"generation_config": dict(taken)}, rows=[result], note=note)
        return 0
    done = draw(planned, out)
    result = {
        "run": done.run.path,
        "n_questions": len(planned.questions),
        "n_traces": done.n_traces,
        "n_new": done.n_new,
        "tokens_per_second": done.tokens_per_second,
        "failed": list(done.failed),
    }
    row = {**result, "failed": len(done.failed)}
    saved = {
        "saved_samples": done.saved.samples if done.saved else None,
        "saved_tokens": done.saved.tokens if done.saved else None,
        "n_surplus": done.saved.surplus if done.saved else None,
    }
    note = f"saved against {settings.n} samples of every question; tokens are estimated"
    if done.saved:
        emit(output, result | saved, rows=[row | saved], note=note)
    else:
        emit(output, result | saved, rows=[row])
    return 1 if done.failed else 0
