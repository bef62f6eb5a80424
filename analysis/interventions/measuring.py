"""Forced passes of all that is asked for, trace by trace; what is stored is not measured again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.hidden_states.planning import Work
from analysis.hidden_states.shared_pass import Settings, open_teacher_forcing
from analysis.interventions.asking import Asked, digests
from analysis.interventions.lab import ModelLab
from analysis.interventions.units import Unit, UnitStore, plain
from cot.progress import track
from cot.store.atomic import replace_file
from cot.store.run import Run

__all__ = ["FOLDER", "measure", "speed"]

log = logging.getLogger("cot")
FOLDER = Path("activations") / "interventions"
SPEED = "speed.json"


def measure(
    run: Run, asked: Asked, device: str | None, tokens_per_batch: int
) -> dict[Unit, list[dict[str, Any]]]:
    """Every unit's rows; those that are stored are not measured again."""
    wanted = digests(asked)
    with UnitStore(run.path / FOLDER, wanted) as store:
        missing = [
            (case, spec)
            for case in asked.cases
            for spec in asked.methods
            if (*case.key, spec) not in store.done
        ]
        if not missing:
            return store.done
        settings = Settings(
            model=asked.work.model, device=device, tokens_per_batch=tokens_per_batch
        )
        stored = _logprobs(asked.work)
        with (
            open_teacher_forcing(run, settings, asked.plan.layers, asked.work.longest) as forcing,
            track("intervening", total=len(missing), unit="traces and methods") as advance,
        ):
            lab = ModelLab(asked.plan, forcing, stored)
            began, gapped = time.monotonic(), set()
            for case, spec in missing:
                if lab.beyond_gap(case):
                    gapped.add(case.key)
                    store.add((*case.key, spec), ())
                else:
                    measured = asked.methods[spec].measure(case, lab)
                    store.add((*case.key, spec), map(plain, measured))
                advance(1)
            if gapped:
                log.warning("%d traces beyond the log-probability gap are left out", len(gapped))
            _keep_speed(run, lab.tokens_run, time.monotonic() - began)
    return store.done


def _logprobs(work: Work) -> Mapping[tuple[str, int], Sequence[float] | None]:
    columns = (work.traces[name] for name in ("question_id", "sample_index", "logprobs"))
    return {(name, int(index)): values for name, index, values in zip(*columns, strict=True)}


def _keep_speed(run: Run, tokens: float, seconds: float) -> None:
    """For the next dry run's estimate."""
    if seconds > 0 and tokens:
        with replace_file(run.path / FOLDER / SPEED) as handle:
            handle.write(json.dumps({"tokens_per_second": tokens / seconds}).encode())


def speed(run: Run) -> float | None:
    """Tokens a second of the last call on this run; None before the first."""
    path = run.path / FOLDER / SPEED
    if not path.is_file():
        return None
    return float(json.loads(path.read_text(encoding="utf-8"))["tokens_per_second"])
