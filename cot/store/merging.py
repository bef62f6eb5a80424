"""Joining runs: the parts of one study, sampled in folders of their own, as one run.

    cot sample gsm8k --preset gsm8k --part 1/2 --out runs/a
    cot sample gsm8k --preset gsm8k --part 2/2 --out runs/b          # on another machine, say
    cot merge runs/a runs/b --out runs/all

The parts must have one identity: what `cot sample` would refuse to add to a run is refused here.
Questions stand in the order of the undivided run, whatever the order of the parts. Merging is
resumed like sampling: what `out` holds is not copied again, and every file is written whole or not
at all. Tables and hidden states are not copied, as an analysis makes them from the merged run.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from cot.arguments import known_arguments
from cot.errors import InputError
from cot.store.atomic import replace_file
from cot.store.identity import differences
from cot.store.run import Run, create_run, open_run
from cot.store.shards import list_shards, next_shard, write_parquet
from cot.types import SAMPLE_KEY

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Merged", "merge"]

log = logging.getLogger("cot")
SHOWN = 5
"""Samples that a message names."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a merge did."""

    run: Run
    """The merged run."""
    n_questions: int
    """Questions in it."""
    n_traces: int
    """Traces in it."""
    n_new: int
    """Traces that it did not hold before."""
    n_doubles: int
    """Samples, greedy ones and those of analyses included, that several runs hold alike."""
    n_unequal: int
    """Samples that a run holds with other contents than one before it, whose are kept."""


@known_arguments
def merge(runs: Sequence[str | Path], out: str | Path, *, keep_first: bool = False) -> Merged:
    """Join runs of one identity.

    Args:
        runs: their folders.
        out: the merged run's folder; it may be one that was merged before, or one of the runs.
        keep_first: where two runs hold the same sample with different contents, keep that of the
            run that is named first (`out`'s own before all).

    Raises:
        InputError: runs of different identities, a question that differs, or a sample that
            differs without `keep_first`; nothing is written.
    """
    target = Path(out)
    given = [open_run(path) for path in runs]
    parts = [run for run in given if run.path.resolve() != target.resolve()]
    there = [open_run(target)] if (target / "run.json").exists() else []
    everything = [*there, *parts]
    if not everything:
        raise InputError("merge: no run is given")
    _check_identities(everything)
    merged = create_run(target, everything[0].identity, dry_run=True)
    with ExitStack() as locks:
        for part in parts:
            locks.enter_context(part.lock())
        questions = _questions(everything)
        folders = sorted({folder for run in everything for folder in _folders(run)})
        samples = {folder: _samples(everything, folder) for folder in folders}
        n_unequal = _check_doubles(everything, samples, keep_first)
        create_run(target, merged.identity)
        locks.enter_context(merged.lock())
        write_parquet(questions, target / "questions.parquet")
        write_parquet(_prompts(everything), target / "prompts.parquet")
        n_there = len(there)
        new = {
            folder: _copy(everything, samples[folder], folder, target, n_there)
            for folder in folders
        }
        _copy_calls(parts, merged)
        asked = 0 if len(parts) < len(given) else n_there  # `out` counts where it is named
        done = Merged(
            run=merged,
            n_questions=questions.num_rows,
            n_traces=int(samples["traces"]["kept"].sum()),
            n_new=new["traces"],
            n_doubles=sum(_n_doubles(each, asked) for each in samples.values()) - n_unequal,
            n_unequal=n_unequal,
        )
        counts = {name: getattr(done, name) for name in ("n_new", "n_doubles", "n_unequal")}
        merged.log_call("merge", runs=[part.path.name for part in parts], **counts)
    return done


def _check_identities(runs: Sequence[Run]) -> None:
    for other in runs[1:]:
        differ = differences(runs[0].identity, other.identity)
        if differ:
            raise InputError(
                f"{runs[0].path} and {other.path} are not parts of one run: "
                f"{'; '.join(differ)}; merge runs of the same settings, and compare others with "
                "cot compare"
            )


def _questions(runs: Sequence[Run]) -> pa.Table:
    """All questions, by their place in the undivided run; those without one as they come, last.

    Raises:
        InputError: one id with two contents; the message names the field and both values.
    """

    tables = [_read(run.path / "questions.parquet") for run in runs]
    table = pa.concat_tables([each for each in tables if each], promote_options="default")
    if "position" in table.column_names:
        table = table.sort_by([("position", "ascending")])  # stable, nulls last
    rows: dict[str, dict[str, Any]] = {}
    for row in table.to_pylist():
        row.pop("position", None)
        known = rows.setdefault(row["question_id"], row)
        for name, value in row.items():
            if known[name] != value:
                raise InputError(
                    f"merge: question {row['question_id']!r} has two contents: {name} is "
                    f"{_brief(known[name])} and {_brief(value)}"
                )
    return _first_of(table, "question_id")


def _prompts(runs: Sequence[Run]) -> pa.Table:

    tables = [_read(run.path / "prompts.parquet") for run in runs]
    return _first_of(pa.concat_tables([each for each in tables if each]), "prompt_sha")


def _samples(runs: Sequence[Run], folder: str) -> pd.DataFrame:
    """One row a stored sample of `traces` or `samples/PURPOSE`: run, shard, its key and digest, and
    whether it is kept: the first of its key is."""
    import pandas as pd

    frames = [
        pq.read_table(path, columns=[*SAMPLE_KEY, "digest"], partitioning=None)
        .to_pandas()
        .assign(run=number, shard=path.name)
        for number, run in enumerate(runs)
        for path in list_shards(run.path / folder)
    ]
    columns = [*SAMPLE_KEY, "digest", "run", "shard"]
    frame = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
    return frame.assign(kept=~frame.duplicated(SAMPLE_KEY).astype(bool))


def _check_doubles(
    runs: Sequence[Run], samples: Mapping[str, pd.DataFrame], keep_first: bool
) -> int:
    """The number of samples that differ from the one of their key that is kept.

    Raises:
        InputError: there are some, and they are not to be left out; the message names the first.
    """
    n, named = 0, []
    for folder, rows in samples.items():
        twice = rows[rows.duplicated(SAMPLE_KEY, keep=False)]
        first = twice.groupby(SAMPLE_KEY, sort=False)["digest"].transform("first")
        unequal = twice[twice["digest"] != first]
        n += len(unequal)
        for row in unequal.head(SHOWN).itertuples():
            key = [getattr(row, name) for name in SAMPLE_KEY]
            kept = next(twice[(twice[SAMPLE_KEY] == key).all(axis=1)].itertuples())
            one, other = (_row(runs[each.run], folder, each) for each in (kept, row))
            fields = [name for name in one if name != "digest" and one[name] != other[name]]
            named.append(
                f"{'sample' if folder == 'traces' else folder} {row.sample_index} of question "
                f"{row.question_id!r} differs between {runs[kept.run].path} and "
                f"{runs[row.run].path} in {', '.join(fields)}"
            )
    if not n:
        return 0
    more = f"; and {n - SHOWN:,} more" if n > SHOWN else ""
    said = "; ".join(named[:SHOWN]) + more
    if not keep_first:
        raise InputError(
            f"merge: {said}; nothing was written: leave one of the runs out, or keep the samples "
            "of the run that is named first (--keep-first)"
        )
    log.warning("of %d samples that differ, the first is kept: %s", n, said)
    return n


def _n_doubles(samples: pd.DataFrame, skip: int) -> int:
    """Samples that a run holds and one before it too, the first `skip` runs aside."""
    once = samples[samples["run"] >= skip].drop_duplicates([*SAMPLE_KEY, "run"])
    return int(once.duplicated(SAMPLE_KEY).sum())


def _row(run: Run, folder: str, sample: Any) -> dict[str, Any]:
    """A stored sample, whole."""
    import pyarrow.compute as pc

    table = pq.read_table(run.path / folder / sample.shard, partitioning=None)
    for name in SAMPLE_KEY:
        table = table.filter(pc.equal(table[name], getattr(sample, name)))
    row: dict[str, Any] = table.to_pylist()[0]
    return row


def _copy(runs: Sequence[Run], samples: pd.DataFrame, folder: str, target: Path, skip: int) -> int:
    """Write the kept samples of all runs but the first `skip`, shard by shard; returns how many."""
    n_new = 0
    for (number, shard), rows in samples.groupby(["run", "shard"], sort=False):
        if number < skip or not rows["kept"].any():
            continue
        table = pq.read_table(runs[number].path / folder / shard, partitioning=None)
        kept = table.filter(pa.array(rows["kept"].to_numpy()))
        home = target / folder
        write_parquet(kept, home / f"part-{next_shard(home):06d}.parquet")
        n_new += kept.num_rows
    return n_new


def _copy_calls(parts: Sequence[Run], merged: Run) -> None:
    """Append the parts' lines of calls.jsonl that are not there yet."""
    path = merged.path / "calls.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = set(lines)
    for part in parts:
        calls = part.path / "calls.jsonl"
        for line in calls.read_text(encoding="utf-8").splitlines() if calls.exists() else ():
            try:
                call = {"run": part.path.name, **json.loads(line)}
            except ValueError:  # its writer was killed in the midst of it
                continue
            named = json.dumps(call, ensure_ascii=False)
            if named not in known:
                lines.append(named)
    with replace_file(path) as handle:
        handle.write("".join(f"{line}\n" for line in lines).encode())


def _folders(run: Run) -> list[str]:
    """Where a run has samples."""
    purposes = (path for path in (run.path / "samples").glob("*") if path.is_dir())
    return ["traces", *(f"samples/{path.name}" for path in purposes)]


def _read(path: Path) -> pa.Table | None:

    return pq.read_table(path, partitioning=None) if path.exists() else None


def _first_of(table: pa.Table, name: str) -> pa.Table:
    """The rows that are the first with their value in a column."""

    return table.filter(pa.array(~table[name].to_pandas().duplicated().to_numpy()))


def _brief(value: Any) -> str:
    return repr(value)[:80]
