"""The run folder: sampling writes traces into it once, every analysis adds one table.

runs/NAME/
  run.json            what was sampled and how, written once
  calls.jsonl         one line a call: n, limit, versions, seconds
  questions.parquet   prompts.parquet
  traces/part-*.parquet          samples/PURPOSE/part-*.parquet
  tables/NAME.parquet            activations/            report.html

>>> run = open_run("runs/demo")                                              # doctest: +SKIP
>>> run.traces()[["question_id", "sample_index", "text"]]                    # doctest: +SKIP
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cot.errors import InputError
from cot.store.atomic import disk_full_said
from cot.store.identity import Identity, identity_of
from cot.store.lock import write_lock
from cot.store.manifest import check_free, check_manifest, read_manifest, write_manifest
from cot.store.tables import Maker, Provenance, read_provenance, read_table, versions, write_table
from cot.types import SAMPLE_KEY

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from cot.store.shards import ShardWriter
    from cot.types import Message, Question

__all__ = ["Run", "create_run", "open_run"]

log = logging.getLogger("cot")


@dataclass(frozen=True)
class Run:
    """A run folder. `open_run` and `create_run` make one."""

    path: Path
    """The folder."""
    identity: Identity
    """What a later call must not change: model, engine, prompt, sampling, dataset, seed."""
    _fingerprints: dict[str, tuple[Any, str]] = field(default_factory=dict, repr=False)
    _maker: Maker | None = field(default=None, repr=False, compare=False)

    # -- what was asked and what came back -------------------------------------------------------

    def questions(self) -> pd.DataFrame:
        """One row a question: question_id, text, gold, choices (list or None), dataset, meta.

        The rows stand in the order in which they were sampled.
        """
        self.reads("questions")
        frame = read_table(self.path / "questions.parquet")
        frame["meta"] = _from_json(frame["meta"])
        frame["choices"] = [None if row is None else list(row) for row in frame["choices"]]
        return frame.drop(columns="position", errors="ignore")

    def prompts(self) -> pd.DataFrame:
        """One row a prompt: prompt_sha, text (or None), messages (list of dicts, or None),
        token_ids (or None)."""
        frame = read_table(self.path / "prompts.parquet")
        frame["messages"] = _from_json(frame["messages"])
        return frame

    def traces(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """One row a trace, ordered as the questions are, then by sample_index.

        Columns: question_id, sample_index, seed (Int64), prompt_sha, text, token_ids, logprobs,
        top_means (arrays or None), finish_reason, meta (dict; `forced_tokens` in it is the first
        token that a thinking budget forced, and one past the last).

        Args:
            columns: names to read beside the two of the key; all where None.
        """
        self.reads("traces")
        frame = self._read_samples(self.path / "traces", columns)
        return frame.drop(columns=["variant", "scores"], errors="ignore")

    def samples(self, purpose: str) -> pd.DataFrame:
        """What an analysis sampled, as `traces` with a `variant` and `scores` (dict or None)."""
        self.reads(f"samples/{purpose}")
        return self._read_samples(self.path / "samples" / purpose, None)

    def _read_samples(self, folder: Path, columns: Sequence[str] | None) -> pd.DataFrame:
        import pandas as pd

        from cot.store.shards import TRACE_SCHEMA, read_shards

        extra = TRACE_SCHEMA.names if columns is None else columns
        names = [*SAMPLE_KEY, *(name for name in extra if name not in (*SAMPLE_KEY, "digest"))]
        table = read_shards(folder, names)
        frame = table.to_pandas()
        if "seed" in frame:  # 63 bits don't survive a float column
            frame["seed"] = pd.array(table["seed"].to_pylist(), dtype="Int64")
        for name in ("meta", "scores"):
            if name in frame:
                frame[name] = _from_json(frame[name])
        ids = read_table(self.path / "questions.parquet", ["question_id"])["question_id"]
        order = pd.Index(ids).get_indexer(frame["question_id"])
        frame = frame.assign(_order=order).sort_values(["_order", "sample_index", "variant"])
        return frame.drop(columns="_order").reset_index(drop=True)

    # -- derived tables --------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Names of the derived tables, sorted."""
        return sorted(path.stem for path in (self.path / "tables").glob("[!.]*.parquet"))

    def table(self, name: str) -> pd.DataFrame:
        """A derived table; a notice is logged where its inputs have changed since it was made.

        Raises:
            InputError: no such table (the message lists those there are).
        """
        self.reads(name)
        path = self._table_path(name)
        reason = self.stale(name)
        if reason:
            log.warning("table %s is stale: %s", name, reason)
        return read_table(path)

    def provenance(self, name: str) -> Provenance:
        """What made a derived table."""
        return read_provenance(self._table_path(name))

    def stale(self, name: str) -> str | None:
        """Why a derived table no longer follows from its inputs, or None where it does."""
        for source, then in self.provenance(name).inputs.items():
            now = self.fingerprint(source)
            if now is None:
                return f"{source} is gone"
            if now != then:
                return f"{source} changed after it was made"
            if self._is_table(source) and self.stale(source):
                return f"{source} is stale"
        return None

    def _is_table(self, source: str) -> bool:
        return "/" not in source and (self.path / "tables" / f"{source}.parquet").exists()

    def made_by(self, command: str, parameters: Mapping[str, Any], makes: Sequence[str]) -> Run:
        """This run in the hands of an analysis: it notes what is read, for the tables' inputs."""
        maker = Maker(command=command, parameters=parameters, makes=tuple(makes), reads=set())
        return replace(self, _maker=maker)

    def reads(self, source: str) -> None:
        """Note an input of the tables that the analysis writes; see `fingerprint` for its name.

        The methods that read call this; call it where you read a file of the run yourself.
        """
        if self._maker is not None and source not in self._maker.makes:
            self._maker.reads.add(source)

    def write_table(self, name: str, frame: pd.DataFrame) -> None:
        """Replace one of the analysis's tables; what it has read so far are the table's inputs.

        Raises:
            ValueError: no analysis holds the run, or it does not declare this table.
        """
        maker = self._maker
        if maker is None or name not in maker.makes:
            who = "no analysis holds the run" if maker is None else f"{maker.command} has no such"
            raise ValueError(f"table {name}: {who}: declare it with @analysis(makes=...)")
        prints = {source: self.fingerprint(source) or "" for source in sorted(maker.reads)}
        path = self.path / "tables" / f"{name}.parquet"
        write_table(path, frame, maker.command, maker.parameters, prints)

    def fingerprint(self, source: str) -> str | None:
        """Identity of the contents of `traces`, `samples/PURPOSE`, `questions`, `activations`
        (which vectors there are), `file:PATH` (a file outside the run) or a table."""
        from cot.store.shards import fingerprint
        from cot.store.tables import contents

        if source == "traces" or source.startswith("samples/"):
            folder = self.path / source
            state = sorted(
                (path.name, path.stat().st_size, path.stat().st_mtime_ns)
                for path in folder.glob("part-*.parquet")
            )
            if self._fingerprints.get(source, (None, ""))[0] != state:
                self._fingerprints[source] = (state, fingerprint(folder))
            return self._fingerprints[source][1]
        if source.startswith("file:"):
            outside = Path(source.removeprefix("file:"))
            return sha256(outside.read_bytes()).hexdigest()[:16] if outside.exists() else None
        if source in ("questions", "activations"):
            import pyarrow.parquet as pq

            name = "activations/index" if source == "activations" else source
            path = self.path / f"{name}.parquet"
            return contents(pq.read_table(path, partitioning=None)) if path.exists() else None
        path = self.path / "tables" / f"{source}.parquet"
        return read_provenance(path).contents if path.exists() else None

    def _table_path(self, name: str) -> Path:
        if name not in self.tables():
            there = ", ".join(self.tables()) or "none yet"
            raise InputError(f"{self.path} has no table {name!r}; it has: {there}")
        return self.path / "tables" / f"{name}.parquet"

    def activations(self, *, layer: int, position: str) -> tuple[pd.DataFrame, NDArray[np.float32]]:
        """Captured hidden states of one layer and position, row for row.

        Returns:
            index: one row a vector: question_id, sample_index (Int64; missing for `prompt_end`,
                which is captured once a question), position, step, token.
            vectors: float32, shape [vector, d_model].

        Raises:
            InputError: nothing was captured there (the message lists what was).
        """
        from cot.store.vectors import read_vectors

        self.reads("activations")
        return read_vectors(self.path / "activations", layer=layer, position=position)

    # -- in a notebook ---------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        """What the run is, how much there is of it, and which of its tables are stale."""
        imported = self.identity.imported.file if self.identity.imported else None
        said = {
            "model": self.identity.model_named or "not named",
            "dataset": self.identity.dataset or imported or "not named",
        }
        if (self.path / "questions.parquet").exists():
            said["questions"] = f"{len(self.questions()):,}"
            said["traces"] = f"{len(self.traces([])):,}"
        states = {name: self.stale(name) for name in self.tables()}
        said["tables"] = ", ".join(name for name, why in states.items() if not why) or "none"
        said |= {f"stale: {name}": why for name, why in states.items() if why}
        rows = "".join(
            f"<tr><th>{_inert(name)}</th><td>{_inert(text)}</td></tr>"
            for name, text in said.items()
        )
        return f"<table><caption>{_inert(self.path.name)}</caption>{rows}</table>"

    # -- writing ---------------------------------------------------------------------------------

    def lock(self) -> AbstractContextManager[None]:
        """Be the run's only writer while the block runs; InputError if there is another."""
        return write_lock(self.path)

    def writer(self, purpose: str | None = None) -> ShardWriter:
        """Where new traces go; with a purpose, what an analysis samples. Needs the lock."""
        from cot.store.shards import ShardWriter

        return ShardWriter(self.path / ("traces" if purpose is None else f"samples/{purpose}"))

    def add_questions(
        self, questions: Sequence[Question], positions: Mapping[str, int] | None = None
    ) -> None:
        """Append the questions that are not there yet. Needs the lock.

        Args:
            positions: question_id to its place among those asked for, before `--part` chose some
                of them; `cot merge` restores the order from it.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        from cot.store.shards import write_parquet

        schema = pa.schema(
            [
                ("question_id", pa.string()),
                ("text", pa.string()),
                ("gold", pa.string()),
                ("choices", pa.list_(pa.string())),
                ("dataset", pa.string()),
                ("meta", pa.string()),
                ("position", pa.int64()),
            ]
        )
        path = self.path / "questions.parquet"
        old = pq.read_table(path) if path.exists() else schema.empty_table()
        known = set(old["question_id"].to_pylist())
        rows = [
            {
                "question_id": question.id,
                "text": question.text,
                "gold": question.gold,
                "choices": list(question.choices) if question.choices is not None else None,
                "dataset": question.dataset,
                "meta": json.dumps(dict(question.meta), ensure_ascii=False, sort_keys=True),
                "position": (positions or {}).get(question.id),
            }
            for question in questions
            if question.id not in known
        ]
        if rows or not path.exists():
            new = pa.Table.from_pylist(rows, schema)
            write_parquet(pa.concat_tables([old, new], promote_options="default"), path)

    def add_prompts(
        self, prompts: Mapping[str, tuple[str | tuple[Message, ...], Sequence[int] | None]]
    ) -> None:
        """Append new prompts: sha256 to (text or messages, token ids or None)."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from cot.store.shards import write_parquet

        schema = pa.schema(
            [
                ("prompt_sha", pa.string()),
                ("text", pa.string()),
                ("messages", pa.string()),
                ("token_ids", pa.list_(pa.int32())),
            ]
        )
        path = self.path / "prompts.parquet"
        old = pq.read_table(path) if path.exists() else schema.empty_table()
        known = set(old["prompt_sha"].to_pylist())
        rows = [
            {
                "prompt_sha": sha,
                "text": prompt if isinstance(prompt, str) else None,
                "messages": None
                if isinstance(prompt, str)
                else json.dumps([dict(message) for message in prompt], ensure_ascii=False),
                "token_ids": None if ids is None else list(ids),
            }
            for sha, (prompt, ids) in prompts.items()
            if sha not in known
        ]
        if rows or not path.exists():
            write_parquet(pa.concat_tables([old, pa.Table.from_pylist(rows, schema)]), path)

    def log_call(self, command: str, **details: Any) -> None:
        """Append one line to calls.jsonl: when, what, with which versions."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            **details,
            "versions": versions(),
        }
        path = self.path / "calls.jsonl"
        with disk_full_said(path), open(path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")


def open_run(path: str | Path) -> Run:
    """Open an existing run.

    Raises:
        InputError: the folder is not a run.
    """
    return Run(Path(path), read_manifest(Path(path)))


def create_run(
    path: str | Path, identity: Identity | Mapping[str, Any], *, dry_run: bool = False
) -> Run:
    """Make a run, or open the one that is there if it has the same identity.

    Args:
        identity: what the run is made with, or its fields as a mapping of JSON values.
        dry_run: check only; nothing is written.

    Raises:
        InputError: the folder holds a run with another identity (the message names each field that
            differs, with both values), or something else.
    """
    path = Path(path)
    if not isinstance(identity, Identity):
        identity = identity_of(identity)
    check_free(path)
    if (path / "run.json").exists():
        check_manifest(path, identity)
    elif not dry_run:
        write_manifest(path, identity)
    return Run(path, identity)


def _from_json(column: pd.Series[Any]) -> list[Any]:
    # most traces have no meta, and a million of them take a second and more to parse
    return [
        {} if text == "{}" else json.loads(text) if isinstance(text, str) else None
        for text in column.tolist()
    ]


def _inert(text: object) -> str:
    """Text that a browser shows and doesn't obey: no markup, no control characters."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text)))
