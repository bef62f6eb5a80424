"""`cot show`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cot.console import Output, emit, listen
from cot.errors import InputError
from cot.store.run import Run, open_run

__all__ = ["show"]


def show(
    run: Path,
    question: str | None = None,
    /,
    *,
    compare: tuple[int, int] | None = None,
    settings: bool = False,
    numbers: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Show a run, one of its questions, or two traces of it side by side, in the terminal.

    A run's most suspicious questions come first, then its findings and counts.

    Parameters
    ----------
    run
        The run's folder.
    question
        A question's id.
    compare
        Sample indices of two traces of the question.
    settings
        Show how the run was sampled, too.
    numbers
        Show the estimates behind each finding with their controls, too.
    """
    listen()
    opened = open_run(run)
    if compare is not None and question is None:
        raise InputError("--compare needs the question: cot show RUN QUESTION --compare I J")
    if output.json:
        emit(output, _as_json(opened, question, compare))
        return
    from rich.console import Console

    from analysis.show import show_comparison, show_question, show_run

    if question is None:
        shown = show_run(opened, settings, numbers)
    elif compare is None:
        shown = show_question(opened, question)
    else:
        shown = show_comparison(opened, question, *compare)
    Console().print(shown)


def _as_json(run: Run, question: str | None, pair: tuple[int, int] | None) -> dict[str, Any]:
    """What `show` shows; texts whole, not in pieces."""
    from dataclasses import asdict

    from analysis.page.comparison import compare
    from analysis.page.evidence import gather, overview
    from analysis.page.sections.traces.questions import question_detail
    from analysis.page.sections.traces.traces import joined
    from analysis.summary import suspicious

    if question is None:
        columns = ["question_id", "suspicion", "correct", "kinds", "why"]
        ranked = suspicious(run)[columns].to_dict("records")
        return {**asdict(overview(gather(run))), "suspicious": ranked}
    if pair is None:
        detail = asdict(question_detail(gather(run), question))
        traces = [{"text": joined(trace.pop("pieces")), **trace} for trace in detail["traces"]]
        return {"question_id": question, **detail, "traces": traces}
    compared = compare(run, question, *pair)
    left_out = {"pieces", "at"}  # the steps are in the rows, the place is the map's
    traces = [
        {name: value for name, value in asdict(trace).items() if name not in left_out}
        for trace in compared.traces
    ]
    rows = [[cell and joined(cell) for cell in row] for row in compared.rows]
    return {**asdict(compared), "traces": traces, "rows": rows}
