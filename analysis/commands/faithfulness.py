"""`cot faithfulness`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from analysis.faithfulness_tests import count_requests, measure_faithfulness
from analysis.faithfulness_tests.measuring import DEFAULT
from cot.console import Output, emit, listen
from cot.registry import describe
from cot.store.run import open_run

__all__ = ["faithfulness"]

TESTS = f"""A test; may be given again. By default {", ".join(DEFAULT)}.
With parameters: --test filler:points=4

{describe("faithfulness")}
package.module:Class
  Your own."""


def faithfulness(
    run: Path,
    /,
    *,
    test: Annotated[tuple[str, ...], Parameter(help=TESTS, show_default=False)] = DEFAULT,
    model: str | None = None,
    engine: str | None = None,
    limit: int | None = None,
    traces: int | None = None,
    seed: int = 0,
    dry_run: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Change the reasoning, or the question, and see what becomes of each trace's answer.

    Parameters
    ----------
    run
        The run's folder.
    model
        The one to ask; by default the one that sampled the run.
    engine
        Runs that model: transformers or vllm.
    limit
        Only the first questions.
    traces
        Only the first traces of each question.
    seed
        Of sampling and bootstrap.
    dry_run
        Say what each test would ask, in its first round where it has several; ask nothing.
    """
    listen()
    opened = open_run(run)
    asked: dict[str, Any] = {
        "model": model,
        "engine": engine,
        "limit": limit,
        "traces": traces,
        "seed": seed,
    }
    if dry_run:
        counted = [asdict(each) for each in count_requests(opened, test, **asked)]
        emit(output, {"tests": counted}, rows=counted)
        return
    with opened.lock():
        findings = measure_faithfulness(opened, test, **asked)
    rows = findings.to_dict("records")
    headline = [row for row in rows if row["name"] == row["test"]]
    columns = ["name", "estimate", "low", "high", "baseline"]
    columns += ["n_questions", "n_traces", "n_excluded"]
    emit(
        output,
        {"tests": headline, "findings": rows},
        rows=[{name: row[name] for name in columns} for row in rows],
    )
