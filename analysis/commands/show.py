"""`cot show`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from analysis.run_listing import ListedRun, list_runs, varied
from cot.console import Output, emit, listen, printable
from cot.errors import InputError
from cot.store.run import Run, open_run

__all__ = ["show"]


def show(
    run: Path,
    question: str | None = None,
    /,
    *,
    compare: tuple[int, int] | None = None,
    trace: int | None = None,
    section: int | None = None,
    find: str | None = None,
    settings: bool = False,
    numbers: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Show a run, one of its questions, or two traces of it side by side, in the terminal.

    A folder of runs, such as a sweep's, is listed: what is in each and how they differ. A run's
    most suspicious questions come first, then its findings and counts. Of a long trace, a question
    shows how it is made up of sections (cot segment makes them); --trace outlines it.

    Parameters
    ----------
    run
        The run's folder, or a folder of runs.
    question
        A question's id.
    compare
        Sample indices of two traces of the question.
    trace
        Sample index of the one trace of the question to show: its text, or its outline.
    section
        Number of the section of that trace to read.
    find
        Words to look for in the question's traces, or in that trace.
    settings
        Show how the run was sampled, too.
    numbers
        Show the estimates behind each finding with their controls, too.
    """
    listen()
    if question is None and not (run / "run.json").exists() and (below := list_runs(run)):
        _print_list(run, below, output)
        return
    opened = open_run(run)
    if compare is not None and question is None:
        raise InputError("--compare needs the question: cot show RUN QUESTION --compare I J")
    asked = {"trace": trace, "section": section, "find": find}
    given = ", ".join(f"--{name}" for name, value in asked.items() if value is not None)
    if given and (question is None or compare is not None):
        raise InputError(f"{given}: name a question, and no --compare: cot show RUN QUESTION")
    if section is not None and (trace is None or find is not None):
        raise InputError("--section needs --trace, and no --find: --trace 0 --section 3")
    if output.json:
        emit(output, _as_json(opened, question, compare, trace, section, find))
        return
    from rich.console import Console

    from analysis.show import show_comparison, show_found, show_question, show_run

    if question is None:
        shown = show_run(opened, settings, numbers)
    elif find is not None:
        shown = show_found(opened, question, find, trace)
    elif compare is None:
        shown = show_question(opened, question, trace, section)
    else:
        shown = show_comparison(opened, question, *compare)
    Console().print(shown)


def _print_list(folder: Path, runs: Sequence[ListedRun], output: Output) -> None:
    readable = [each for each in runs if each.problem is None]
    names = varied(runs)
    rows = [
        {
            "run": each.name,
            "questions": each.n_questions,
            "traces": each.n_traces,
            **{name: each.settings.get(name, "none") for name in names},
        }
        for each in readable
    ]
    always = ("model", "prompt", "dataset")
    same = {
        name: readable[0].settings.get(name, "none")
        for name in always
        if readable and name not in names
    }
    said = [f"{len(runs)} runs; the same in all: {_listed(same)}"] if same else []
    said += [f"left out: {each.name}: {each.problem}" for each in runs if each.problem]
    said += [f"One of them: cot show {runs[0].path}"]
    result = {
        "folder": folder,
        "runs": [asdict(each) for each in runs],
        "differ": names,
        "same": same,
    }
    emit(output, result, rows=rows, note=printable("\n".join(said)))


def _listed(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _as_json(
    run: Run,
    question: str | None,
    pair: tuple[int, int] | None,
    trace: int | None,
    section: int | None,
    find: str | None,
) -> dict[str, Any]:
    """What `show` shows; texts whole, not in pieces."""
    from analysis.page.comparison import compare
    from analysis.page.evidence import gather, overview
    from analysis.page.outline import find_words, outline, read_section
    from analysis.page.sections.traces.questions import question_detail
    from analysis.page.sections.traces.traces import joined
    from analysis.show import pick_traces
    from analysis.summary import suspicious

    if question is None:
        columns = ["question_id", "suspicion", "correct", "kinds", "why"]
        ranked = suspicious(run)[columns].to_dict("records")
        return {**asdict(overview(gather(run))), "suspicious": ranked}
    if pair is None:
        detail = question_detail(gather(run), question)
        chosen = pick_traces(detail, trace, f"{run.path} question {question!r}")
        if find is not None:
            hits = [asdict(hit) for hit in find_words(chosen, find)]
            return {"question_id": question, "found": hits}
        if section is not None:
            text = joined(read_section(chosen[0], section))
            row = asdict(outline(chosen[0])[section])
            return {"question_id": question, "trace": trace, **row, "text": text}
        traces = [{"text": joined(each.pieces), **asdict(each)} for each in chosen]
        for each in traces:
            del each["pieces"]
        return {"question_id": question, **asdict(detail), "traces": traces}
    compared = compare(run, question, *pair)
    left_out = {"pieces", "at"}  # the steps are in the rows, the place is the map's
    traces = [
        {name: value for name, value in asdict(trace).items() if name not in left_out}
        for trace in compared.traces
    ]
    rows = [[cell and joined(cell) for cell in row] for row in compared.rows]
    return {**asdict(compared), "traces": traces, "rows": rows}
