"""Forced passes of all that is asked for, trace by trace; what is stored is not measured again."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from analysis.hidden_states.planning import Work
from analysis.hidden_states.shared_pass import Opening, Settings
from analysis.interventions.asking import Asked, digests
from analysis.interventions.lab import ModelLab
from analysis.interventions.units import Unit, UnitStore, plain
from cot.progress import track
from cot.store.atomic import replace_file
from cot.store.run import Run
from cot.workers.tasks import Do, shared

__all__ = ["FOLDER", "Measuring", "measure", "speed"]

log = logging.getLogger("cot")
FOLDER = Path("activations") / "interventions"
SPEED = "speed.json"


def measure(
    run: Run, asked: Asked, device: str | None, tokens_per_batch: int, workers: int | None = None
) -> dict[Unit, list[dict[str, Any]]]:
    """Every unit's rows; those that are stored are not measured again.

    Args:
        workers: processes that share the questions; None measures all of them here.
    """
    wanted = digests(asked)
    with UnitStore(run.path / FOLDER, wanted) as store:
        missing = [
            (place, spec)
            for place, case in enumerate(asked.cases)
            for spec in asked.methods
            if (*case.key, spec) not in store.done
        ]
        if not missing:
            return store.done
        settings = Settings(
            model=asked.work.model,
            device=device,
            tokens_per_batch=tokens_per_batch,
            workers=workers,
        )
        task = Measuring(
            opening=Opening.of(run, settings, asked.plan.layers, asked.work.longest),
            asked=asked,
            stored=_logprobs(asked.work),
        )
        # a question's unchanged states serve all that is measured of it
        questions = [tuple(some) for _, some in groupby(missing, key=task.question)]
        with (
            shared(task, settings.cluster, called=lambda some: task.question(some[0])) as do,
            track("intervening", total=len(missing), unit="traces and methods") as advance,
        ):
            began, gapped, tokens = time.monotonic(), set(), 0.0
            for _, ((place, spec), rows, own_tokens) in do(questions):
                case = asked.cases[place]
                if rows is None:
                    gapped.add(case.key)
                store.add((*case.key, spec), rows or ())
                tokens += own_tokens
                advance(1)
            if gapped:
                log.warning("%d traces beyond the log-probability gap are left out", len(gapped))
            _keep_speed(run, tokens, time.monotonic() - began)
    return store.done


Place = tuple[int, str]
"""Number of a case, and a method."""
Measured = tuple[Place, list[dict[str, Any]] | None, float]
"""What was measured, its rows (None beyond the log-probability gap), and the tokens run for it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measuring:
    """Forced passes as a task, question by question; see `cot.workers`."""

    opening: Opening
    """The model."""
    asked: Asked
    """What is asked for."""
    stored: Mapping[tuple[str, int], Sequence[float] | None]
    """Log-probabilities of the traces."""

    def question(self, place: Place) -> str:
        """Whose trace is measured."""
        return self.asked.cases[place[0]].question_id

    @contextmanager
    def open(self) -> Iterator[Do[tuple[Place, ...], Measured]]:
        """Load the model."""
        with self.opening.open() as forcing:
            lab = ModelLab(self.asked.plan, forcing, self.stored)

            def measure(
                questions: Iterable[tuple[Place, ...]],
            ) -> Iterator[tuple[tuple[Place, ...], Measured]]:
                for question in questions:
                    for place in question:
                        case, method = self.asked.cases[place[0]], self.asked.methods[place[1]]
                        rows, before = None, lab.tokens_run
                        if not lab.beyond_gap(case):
                            rows = [plain(row) for row in method.measure(case, lab)]
                        yield question, (place, rows, lab.tokens_run - before)

            yield measure


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
