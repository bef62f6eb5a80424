"""Runs from samples made elsewhere: a file is checked sample by sample, then stored like any run.

The file is read once, a block or a record at a time. Its traces wait in a folder of the run's until
all of it is known to be good, and only then become part of the run. What a file lacks, and what was
left out of its samples, is said.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cot.arguments import known_arguments
from cot.errors import InputError
from cot.importers.batches import Batch, Summary
from cot.importers.comparing import Compared, compare
from cot.importers.fields import Record, Rejected
from cot.importers.inspect_logs import read_inspect
from cot.importers.jsonl import read_jsonl
from cot.importers.layouts import LAYOUTS, OWN, UnknownLayoutError, detect
from cot.importers.lm_eval import read_lm_eval
from cot.importers.mapped import check_map, read_mapped
from cot.importers.openai_batch import read_openai_batch
from cot.importers.openai_saved import read_openai_saved
from cot.importers.trace_lines import is_lines, read_blocks
from cot.importers.wide import read_wide
from cot.progress import track
from cot.store.atomic import move_file
from cot.store.identity import Identity, ImportIdentity
from cot.store.manifest import STAGING, check_free
from cot.store.run import Run, create_run
from cot.store.shards import next_shard, read_shards, write_parquet
from cot.types import TRACE_KEY

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
SHARD_SIZE = 16_000_000
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
    run = Run(Path(out), Identity(model=model, imported=identity))
    check_free(run.path)
    with _staging(run) as folder:
        lines = reader is read_jsonl and is_lines(path)
        batches = list(_tracked(path, read_blocks(path, folder) if lines else
                                _batches(reader(path), folder)))  # fmt: skip
        compared = compare(batches, path.name)
        if compared.rejected and not skip_bad:
            reasons = "; ".join(_shown(path, compared.rejected))
            raise InputError(f"{reasons}; nothing was written (--skip-bad)")
        if not compared.n_traces:
            reasons = "".join(f"; {reason}" for reason in _shown(path, compared.rejected))
            raise InputError(f"{path}: no traces in it{reasons}")
        create_run(out, run.identity)
        for reason in _shown(path, compared.rejected):
            log.warning("left out: %s", reason)
        lacks = _lacks(compared)
        if lacks:
            log.info("%s lacks %s", path.name, "; ".join(lacks))
        for note, n in compared.notes.items():
            log.warning("left out of %d traces: %s", n, note)
        run.add_questions(compared.questions)
        run.add_prompts({sha: (prompt, ids) for sha, prompt, ids in compared.prompts})
        n_new = _store(run, batches, compared)
        n_rejected = len(compared.rejected)
        run.log_call(
            "import",
            file=path.name,
            n_traces=compared.n_traces,
            n_rejected=n_rejected,
            left_out=dict(compared.notes),
        )
    return Imported(
        run=run,
        n_questions=len(compared.questions),
        n_traces=compared.n_traces,
        n_new=n_new,
        n_rejected=n_rejected,
        lacks=lacks,
        left_out=dict(compared.notes),
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


@contextmanager
def _staging(run: Run) -> Iterator[Path]:
    """A folder for traces that are not yet known to be good; the run is locked meanwhile.

    A run that did not come to be leaves nothing behind.
    """
    made = [folder for folder in (run.path, *run.path.parents) if not folder.exists()]
    staging = run.path / STAGING
    run.path.mkdir(parents=True, exist_ok=True)
    with run.lock():
        try:
            shutil.rmtree(staging, ignore_errors=True)  # what a killed import left
            staging.mkdir()
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            if made and not (run.path / "run.json").exists():
                (run.path / "run.lock").unlink(missing_ok=True)
                with suppress(OSError):  # somebody put something there
                    for folder in made:
                        folder.rmdir()


def _batches(records: Iterable[Record | Rejected], folder: Path) -> Iterator[Summary]:
    """Records of any format in batches, each written as a shard."""
    batch, n = Batch(), 0
    for record in records:
        batch.add(record)
        if len(batch.rows) >= SHARD_ROWS or batch.size > SHARD_SIZE:
            yield batch.write(folder / f"part-{n:06d}.parquet")
            batch, n = Batch(), n + 1
    yield batch.write(folder / f"part-{n:06d}.parquet")


def _tracked(path: Path, batches: Iterable[Summary]) -> Iterator[Summary]:
    with track(f"importing {path.name}", total=None, unit="traces") as advance:
        for batch in batches:
            yield batch
            advance(len(batch.index))


def _lacks(compared: Compared) -> list[str]:
    """What the file does not say, with what follows."""
    n = compared.n_traces
    counted = [(name, compared.has[name], n, "traces", why) for name, why in LACKS.items()]
    golds = sum(question.gold is not None for question in compared.questions)
    if compared.has["verdicts"] < n:
        scored = "a question without one is not scored"
        counted.append(("gold answers", golds, len(compared.questions), "questions", scored))
    return [
        f"{name}{f' for {total - has:,} of {total:,} {of}' if has else ''} ({why})"
        for name, has, total, of, why in counted
        if has < total
    ]


def _store(run: Run, batches: Sequence[Summary], compared: Compared) -> int:
    """Make the good traces that the run does not hold yet part of it; returns how many."""
    home = run.path / "traces"
    table = read_shards(home, TRACE_KEY)
    there = set(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))
    n_new = 0
    for number, (batch, good) in enumerate(
        zip(batches, compared.good, strict=True), start=next_shard(home)
    ):
        new = good
        if there:
            names = [batch.questions[place][0] for place in batch.question_of.tolist()]
            keys = zip(names, batch.index.tolist(), strict=True)
            new = good & np.array([key not in there for key in keys], dtype=np.bool_)
        path = home / f"part-{number:06d}.parquet"
        if new.all() and len(new):
            move_file(batch.shard, path)
        elif new.any():
            rows = pq.read_table(batch.shard, partitioning=None)
            write_parquet(rows.filter(pa.array(new)), path)
        n_new += int(new.sum())
    return n_new


def _shown(path: Path, rejected: Sequence[Rejected]) -> list[str]:
    shown = [f"{path}:{bad.place}: {bad.reason[:SHOWN]}" for bad in rejected[:5]]
    if len(rejected) > len(shown):
        shown.append(f"and {len(rejected) - len(shown)} more bad lines")
    return shown


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
