"""`cot report` and `cot show`."""

from __future__ import annotations

from pathlib import Path

import analysis
from cot.console import Output, emit, listen
from cot.run import open_run

__all__ = ["report", "show"]


def report(
    run: Path,
    /,
    *,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Write report.html: one page that opens from disk, without the network.

    Parameters
    ----------
    run
        The run's folder.
    """
    listen()
    path = analysis.write_report(open_run(run))
    emit(output, {"report": path}, note=str(path))


def show(run: Path, question: str | None = None, /) -> None:
    """Show a run, or one of its questions, in the terminal.

    Parameters
    ----------
    run
        The run's folder.
    question
        A question's id.
    """
    from rich.console import Console

    from analysis.show import show_question, show_run

    listen()
    opened = open_run(run)
    shown = show_run(opened) if question is None else show_question(opened, question)
    Console().print(shown)
