"""Runs from samples made elsewhere: a file is checked sample by sample, then stored like any run.

The file is read twice, a record at a time where its format allows: what is wrong with it is known
before anything is written. What a file lacks, and what was left out of its samples, is said.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from cot.arguments import known_arguments
from cot.errors import InputError
from cot.importers.fields import Record, Rejected
from cot.importers.inspect_logs import read_inspect
from cot.importers.jsonl import read_jsonl
from cot.importers.layouts import LAYOUTS, OWN, UnknownLayoutError, detect
from cot.importers.lm_eval import read_lm_eval
from cot.importers.mapped import check_map, read_mapped
from cot.importers.openai_batch import read_openai_batch
from cot.importers.openai_saved import read_openai_saved
from cot.importers.wide import read_wide
from cot.progress import track
from cot.store.identity import Identity, ImportIdentity
from cot.store.run import Run, create_run
from cot.types import TRACE_KEY, Completion, Message, Question, TraceKey

__all__ = ["FORMATS", "Imported", "import_traces"]

log = logging.getLogger("cot")
Reader = Callable[[Path], Iterator[Record | Rejected]]
READERS: dict[str, Reader] = {
    "jsonl": read_jsonl,
    "wide": read_wide,
    "lm-eval": read_lm_eval,
    "inspect": read_inspect,
    "openai-batch": partial(read_openai_batch, questions=None),
    "openai": read_openai_saved,
    **{name: partial(read_mapped, layout=each, mapping={}) for name, each in LAYOUTS.items()},
}
FORMATS = tuple(READERS)
SHOWN = 600
"""Characters of a reason that are shown: files quote themselves in it."""
SHARD_ROWS = 20_000
"""Most traces that wait to be written."""
SHARD_SIZE = 2_000_000
"""Most characters, token ids and log-probabilities that wait."""
LACKS = {
    "finish reasons": "a trace without one doesn't count as truncated",
    "token ids": "a trace without them has no hidden states to capture",
    "log-probabilities": "a trace without them can't be weighted by its confidence in its tokens",
    "prompts": "a trace without one can't be put to a model again",
}
"""What a trace may lack, and what follows."""


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
    lacks: Sequence[str]
    """What the file does not say, and what follows from that."""
    left_out: Mapping[str, int]
    """What was left out of good samples, to the number of these."""


@dataclass(frozen=True, kw_only=True)
class _Checked:
    """What the first pass found."""

    questions: dict[str, Question]
    """The questions of good traces, by id."""
    prompts: dict[str, tuple[str | tuple[Message, ...], Sequence[int] | None]]
    """Their prompts and the token ids of these, by sha256."""
    n_traces: int
    """Good traces."""
    has: Counter[str] = field(default_factory=Counter)
    """What good traces have (see LACKS), to their number."""
    notes: Counter[str] = field(default_factory=Counter)
    """What was left out of good traces, to their number."""
    clashing: set[int]
    """Ordinals of records that are good alone, but not after those before them."""
    rejected: list[Rejected]
    """All that is left out, those included."""


@known_arguments
def import_traces(
    file: str | Path,
    out: str | Path,
    *,
    format: str = "auto",
    questions: str | Path | None = None,
    map: Mapping[str, str] | None = None,
    model: str | None = None,
    skip_bad: bool = False,
) -> Imported:
    """Make a run from a file of traces.

    Args:
        file: samples in one of FORMATS; each module of `cot.importers` describes its format, and
            `cot.importers.layouts` those of known tools.
        out: the run's folder; importing the same file again adds nothing.
        format: one of FORMATS, or `auto`: by the file's suffix and first records.
        questions: the input file of the batch whose output `file` is (`openai-batch` only).
        map: our field to the file's column, such as `{"text": "output.text"}`, for a file whose
            columns have other names (see `cot.importers.mapped`).
        model: the model that wrote the traces, a folder or a hub id, which later commands use.
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
    mapping = dict(map or {})
    format = _format(path, format, mapping)
    identity = ImportIdentity(file=path.name, sha256=_sha256(path), format=format)
    reader = READERS[format]
    if questions is not None:
        if format != "openai-batch":
            raise InputError(f"{path}: --questions is for openai-batch; this file is {format}")
        if not Path(questions).is_file():
            raise InputError(f"{questions}: no such file")
        reader = partial(read_openai_batch, questions=Path(questions))
        identity = replace(identity, questions_sha256=_sha256(Path(questions)))
    if mapping:
        reader = partial(read_mapped, layout=LAYOUTS.get(format, OWN), mapping=mapping)
        identity = replace(identity, map=mapping)
    checked = _check(path, reader)
    if checked.rejected and not skip_bad:
        reasons = "; ".join(_shown(path, checked.rejected))
        raise InputError(f"{reasons}; nothing was written (--skip-bad)")
    if not checked.n_traces:
        reasons = "".join(f"; {reason}" for reason in _shown(path, checked.rejected))
        raise InputError(f"{path}: no traces in it{reasons}")
    run = create_run(out, Identity(model=model, imported=identity))
    for reason in _shown(path, checked.rejected):
        log.warning("left out: %s", reason)
    lacks = _lacks(checked)
    if lacks:
        log.info("%s lacks %s", path.name, "; ".join(lacks))
    for note, n in checked.notes.items():
        log.warning("left out of %d traces: %s", n, note)
    with run.lock():
        run.add_questions(list(checked.questions.values()))
        run.add_prompts(checked.prompts)
        n_new = _store(run, path, reader, checked)
        n_rejected = len(checked.rejected)
        run.log_call(
            "import",
            file=path.name,
            n_traces=checked.n_traces,
            n_rejected=n_rejected,
            left_out=dict(checked.notes),
        )
    return Imported(
        run=run,
        n_questions=len(checked.questions),
        n_traces=checked.n_traces,
        n_new=n_new,
        n_rejected=n_rejected,
        lacks=lacks,
        left_out=dict(checked.notes),
    )


def _format(path: Path, format: str, mapping: Mapping[str, str]) -> str:
    """The format as asked for or found."""
    check_map(mapping)
    if format == "auto":
        try:
            format = detect(path)
        except UnknownLayoutError:
            if not mapping:
                raise
            format = "jsonl"
    if mapping and format not in ("jsonl", "wide", *LAYOUTS):
        raise InputError(
            f"{path}: --map is for jsonl, wide, {', '.join(LAYOUTS)}; this file is {format}"
        )
    return format


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
            reason = (
                f"duplicate of {path.name}:{places[key]}: "
                f"sample {key[1]} of question {key[0]!r} stands in both"
            )
        elif known != record.question:
            reason = f"question {key[0]!r} has another text, gold or choices than before"
        if reason:
            checked.clashing.add(ordinal)
            checked.rejected.append(Rejected(place=record.place, reason=reason))
            continue
        places[key] = record.place
        checked.questions[record.question.id] = known
        sha, completion = record.trace.prompt_sha, record.trace.completion
        if sha is not None and record.prompt is not None and sha not in checked.prompts:
            checked.prompts[sha] = (record.prompt, record.prompt_ids)
        checked.has["finish reasons"] += record.ended is not None
        checked.has["token ids"] += completion.token_ids is not None
        checked.has["log-probabilities"] += completion.logprobs is not None
        checked.has["prompts"] += sha is not None
        checked.has["verdicts"] += record.trace.meta.get("correct") is not None
        checked.notes.update(record.notes)
    return replace(checked, n_traces=len(places))


def _lacks(checked: _Checked) -> list[str]:
    """What the file does not say, with what follows."""
    n = checked.n_traces
    counted = [(name, checked.has[name], n, "traces", why) for name, why in LACKS.items()]
    golds = sum(question.gold is not None for question in checked.questions.values())
    if checked.has["verdicts"] < n:
        scored = "a question without one is not scored"
        counted.append(("gold answers", golds, len(checked.questions), "questions", scored))
    return [
        f"{name}{f' for {total - has:,} of {total:,} {of}' if has else ''} ({why})"
        for name, has, total, of, why in counted
        if has < total
    ]


def _store(run: Run, path: Path, reader: Reader, checked: _Checked) -> int:
    """Second pass: the good traces that the run does not hold yet."""
    from cot.store.shards import read_shards

    table = read_shards(run.path / "traces", TRACE_KEY)
    there = set(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    n_new = 0
    progress = track("importing", total=checked.n_traces, unit="traces")
    size = 0
    with run.writer() as writer, progress as advance:
        writer.flush_rows = SHARD_ROWS  # whoever imports again loses nothing: few, large shards
        for ordinal, record in enumerate(reader(path)):
            if isinstance(record, Rejected) or ordinal in checked.clashing:
                continue
            if record.trace.key not in there:
                writer.add(record.trace)
                n_new += 1
                size += _size(record.trace.completion)
                if size > SHARD_SIZE:
                    writer.flush()
                    size = 0
            advance(1)
    return n_new


def _size(completion: Completion) -> int:
    """Values that a completion holds in memory until it is written."""
    lists = (completion.token_ids, completion.logprobs)
    return len(completion.text) + sum(len(each) for each in lists if each is not None)


def _shown(path: Path, rejected: list[Rejected]) -> list[str]:
    shown = [f"{path}:{bad.place}: {bad.reason[:SHOWN]}" for bad in rejected[:5]]
    if len(rejected) > len(shown):
        shown.append(f"and {len(rejected) - len(shown)} more bad lines")
    return shown


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
