"""Runs from samples made elsewhere: a file is checked line by line, then stored like any run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cot.errors import InputError
from cot.importers.jsonl import read_jsonl
from cot.importers.record import Record, Rejected
from cot.progress import track
from cot.run import Run, create_run
from cot.types import Question

__all__ = ["FORMATS", "Imported", "import_traces"]

log = logging.getLogger("cot")
Reader = Callable[[Path], Iterator[Record | Rejected]]
READERS: dict[str, Reader] = {"jsonl": read_jsonl}
FORMATS = tuple(READERS)


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import did."""

    run: Run
    """The run."""
    n_questions: int
    """Questions in the file."""
    n_traces: int
    """Good traces in the file, all of them in the run now."""
    n_new: int
    """Traces that were not in the run before."""
    n_rejected: int
    """Lines that were left out."""


def import_traces(
    file: str | Path, out: str | Path, *, format: str = "auto", skip_bad: bool = False
) -> Imported:
    """Make a run from a file of traces.

    Args:
        file: one JSON object a line with question_id, question, sample_index and text; see the
            README for the optional fields.
        out: the run's folder; importing the same file again adds nothing.
        format: `auto`, or one of FORMATS.
        skip_bad: store the good lines although there are bad ones.

    Raises:
        InputError: a bad line without `skip_bad` (nothing is written), an unknown format, or a
            folder that holds another run.
    """
    path = Path(file)
    if format != "auto" and format not in FORMATS:
        raise InputError(f"unknown format {format!r}: choose from auto, {', '.join(FORMATS)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    reader = READERS["jsonl" if format == "auto" else format]
    questions, n_traces, rejected = _check(path, reader)
    if rejected and not skip_bad:
        raise InputError("; ".join(_shown(path, rejected)) + "; nothing was written (--skip-bad)")
    if not n_traces:
        raise InputError(f"{path}: no traces in it")
    for reason in _shown(path, rejected):
        log.warning("left out: %s", reason)
    identity = {"model": None, "imported": {"file": path.name, "sha256": _sha256(path)}}
    run = create_run(out, identity)
    with run.lock():
        run.add_questions(list(questions.values()))
        n_new = _store(run, path, reader, n_traces)
        run.log_call("import", file=path.name, n_traces=n_traces, n_rejected=len(rejected))
    return Imported(
        run=run,
        n_questions=len(questions),
        n_traces=n_traces,
        n_new=n_new,
        n_rejected=len(rejected),
    )


def _check(path: Path, reader: Reader) -> tuple[dict[str, Question], int, list[Rejected]]:
    """First pass: the questions, the number of good traces, and the bad lines."""
    questions: dict[str, Question] = {}
    lines: dict[tuple[str, int], int] = {}
    rejected = []
    for record in reader(path):
        if isinstance(record, Rejected):
            rejected.append(record)
            continue
        key = record.trace.key
        known = questions.setdefault(record.question.id, record.question)
        reason = None
        if key in lines:
            reason = f"sample {key[1]} of question {key[0]!r} stands in line {lines[key]} already"
        elif known != record.question:
            reason = f"question {key[0]!r} has another text, gold or choices than before"
        if reason:
            rejected.append(Rejected(line=record.line, reason=reason))
        else:
            lines[key] = record.line
    return questions, len(lines), rejected


def _store(run: Run, path: Path, reader: Reader, n_traces: int) -> int:
    """Second pass: prompts and traces that the run does not hold yet."""
    from cot.shards import read_shards

    table = read_shards(run.path / "traces", ["question_id", "sample_index"])
    there = set(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    before = len(there)
    prompts = {
        record.trace.prompt_sha: (record.prompt, None)
        for record in reader(path)
        if isinstance(record, Record) and record.trace.prompt_sha and record.prompt is not None
    }
    run.add_prompts({sha: prompt for sha, prompt in prompts.items() if sha})
    with run.writer() as writer, track("importing", total=n_traces, unit="traces") as advance:
        for record in reader(path):
            if isinstance(record, Record):
                if record.trace.key not in there:
                    writer.add(record.trace)
                    there.add(record.trace.key)
                advance(1)
    return len(there) - before


def _shown(path: Path, rejected: list[Rejected]) -> list[str]:
    shown = [f"{path}:{bad.line}: {bad.reason}" for bad in rejected[:5]]
    if len(rejected) > len(shown):
        shown.append(f"and {len(rejected) - len(shown)} more bad lines")
    return shown


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
