"""Runs from samples made elsewhere: a file is checked sample by sample, then stored like any run.

The file is read twice, a record at a time where its format allows: what is wrong with it is known
before anything is written.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from cot.errors import InputError
from cot.importers.inspect_logs import read_inspect
from cot.importers.jsonl import read_jsonl
from cot.importers.layouts import detect
from cot.importers.lm_eval import read_lm_eval
from cot.importers.openai_batch import read_openai_batch
from cot.importers.record import Record, Rejected
from cot.importers.wide import read_wide
from cot.progress import track
from cot.run import Run, create_run
from cot.types import Message, Question, TraceKey

__all__ = ["FORMATS", "Imported", "import_traces"]

log = logging.getLogger("cot")
Reader = Callable[[Path], Iterator[Record | Rejected]]
READERS: dict[str, Reader] = {
    "jsonl": read_jsonl,
    "wide": read_wide,
    "lm-eval": read_lm_eval,
    "inspect": read_inspect,
    "openai-batch": partial(read_openai_batch, questions=None),
}
FORMATS = tuple(READERS)
SHOWN = 400
"""Characters of a reason that are shown: files quote themselves in it."""


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
    """Lines that were left out, or single samples of a line or log that holds several."""


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """What the first pass found."""

    questions: dict[str, Question]
    """The questions of good traces, by id."""
    prompts: dict[str, tuple[str | tuple[Message, ...], None]]
    """Their prompts, by sha256."""
    n_traces: int
    """Good traces."""
    clashing: set[int]
    """Ordinals of records that are good alone, but not after those before them."""
    rejected: list[Rejected]
    """All that is left out, those included."""


def import_traces(
    file: str | Path,
    out: str | Path,
    *,
    format: str = "auto",
    questions: str | Path | None = None,
    skip_bad: bool = False,
) -> Imported:
    """Make a run from a file of traces.

    Args:
        file: samples in one of FORMATS; each module of `cot.importers` describes its format.
        out: the run's folder; importing the same file again adds nothing.
        format: one of FORMATS, or `auto`: by the file's suffix and first records.
        questions: the input file of the batch whose output `file` is (`openai-batch` only).
        skip_bad: store the good samples although there are bad ones.

    Raises:
        InputError: a bad line without `skip_bad` (nothing is written), an unknown format or
            layout, or a folder that holds another run.
    """
    path = Path(file)
    if format not in ("auto", *FORMATS):
        raise InputError(f"unknown format {format!r}: choose from auto, {', '.join(FORMATS)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    format = detect(path) if format == "auto" else format
    identity = {"file": path.name, "sha256": _sha256(path), "format": format}
    reader = READERS[format]
    if questions is not None:
        if format != "openai-batch":
            raise InputError(f"{path}: --questions is for openai-batch; this file is {format}")
        if not Path(questions).is_file():
            raise InputError(f"{questions}: no such file")
        reader = partial(read_openai_batch, questions=Path(questions))
        identity["questions_sha256"] = _sha256(Path(questions))
    checked = _check(path, reader)
    if checked.rejected and not skip_bad:
        reasons = "; ".join(_shown(path, checked.rejected))
        raise InputError(f"{reasons}; nothing was written (--skip-bad)")
    if not checked.n_traces:
        reasons = "".join(f"; {reason}" for reason in _shown(path, checked.rejected))
        raise InputError(f"{path}: no traces in it{reasons}")
    for reason in _shown(path, checked.rejected):
        log.warning("left out: %s", reason)
    run = create_run(out, {"model": None, "imported": identity})
    with run.lock():
        run.add_questions(list(checked.questions.values()))
        run.add_prompts(checked.prompts)
        n_new = _store(run, path, reader, checked)
        n_rejected = len(checked.rejected)
        run.log_call("import", file=path.name, n_traces=checked.n_traces, n_rejected=n_rejected)
    return Imported(
        run=run,
        n_questions=len(checked.questions),
        n_traces=checked.n_traces,
        n_new=n_new,
        n_rejected=n_rejected,
    )


def _check(path: Path, reader: Reader) -> _Checked:
    """First pass: everything but the traces themselves."""
    checked = _Checked(questions={}, prompts={}, n_traces=0, clashing=set(), rejected=[])
    places: dict[TraceKey, str] = {}
    for ordinal, record in enumerate(reader(path)):
        if isinstance(record, Rejected):
            checked.rejected.append(record)
            continue
        key = record.trace.key
        known = checked.questions.get(record.question.id, record.question)
        reason = None
        if key in places:
            reason = f"sample {key[1]} of question {key[0]!r} stands in {path.name}:{places[key]}"
        elif known != record.question:
            reason = f"question {key[0]!r} has another text, gold or choices than before"
        if reason:
            checked.clashing.add(ordinal)
            checked.rejected.append(Rejected(place=record.place, reason=reason))
            continue
        places[key] = record.place
        checked.questions[record.question.id] = known
        if record.trace.prompt_sha is not None and record.prompt is not None:
            checked.prompts[record.trace.prompt_sha] = (record.prompt, None)
    return replace(checked, n_traces=len(places))


def _store(run: Run, path: Path, reader: Reader, checked: _Checked) -> int:
    """Second pass: the good traces that the run does not hold yet."""
    from cot.shards import read_shards

    table = read_shards(run.path / "traces", ["question_id", "sample_index"])
    there = set(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    n_new = 0
    progress = track("importing", total=checked.n_traces, unit="traces")
    with run.writer() as writer, progress as advance:
        for ordinal, record in enumerate(reader(path)):
            if isinstance(record, Rejected) or ordinal in checked.clashing:
                continue
            if record.trace.key not in there:
                writer.add(record.trace)
                n_new += 1
            advance(1)
    return n_new


def _shown(path: Path, rejected: list[Rejected]) -> list[str]:
    shown = [f"{path}:{bad.place}: {bad.reason[:SHOWN]}" for bad in rejected[:5]]
    if len(rejected) > len(shown):
        shown.append(f"and {len(rejected) - len(shown)} more bad lines")
    return shown


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
