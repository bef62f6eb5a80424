"""Hidden states on disk: activations/ of a run.

    vectors-000000.safetensors   one tensor a layer, `layer_4` [row, d_model], float16; immutable
    index.parquet                which row of which file is which vector; also what was captured
    traces.parquet               one row a trace that was run again: its log-probability gap, and
                                 how sure the model was

A file of vectors is written whole, then named by the index, which is replaced in one step: what the
index doesn't name doesn't exist. A killed capture loses what was not yet flushed (at most 128 MiB
or 20 s) and leaves at worst a file without a name, which the next writer removes.

    >>> index, vectors = read_vectors(run.path / "activations", layer=16, position="step_end")
    ...                                                                          # doctest: +SKIP
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cot.errors import InputError
from cot.store.atomic import TEMPORARY, replace_file
from cot.types import TRACE_KEY

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Place", "VectorWriter", "read_about", "read_forced", "read_index", "read_vectors"]

log = logging.getLogger("cot")

METADATA_KEY = b"consilience"
KEY = [*TRACE_KEY, "position", "step"]
MOVING = ("step_end", "section_end", "pre_answer", "answer")
"""Positions whose token follows from tables and may change; of the others it is part of the key, so
that a trace may have many."""
FLUSH_BYTES = 128 * 2**20
FLUSH_SECONDS = 20.0


class Place(NamedTuple):
    """Where a vector comes from."""

    question_id: str
    """Key of the question."""
    sample_index: int | None
    """Index among the question's samples; None for what its traces share (`prompt_end`)."""
    position: str
    """`prompt_end`, `step_end`, `section_end`, `pre_answer`, `answer`, `mean`, `every 8 tokens`, or
    the name of a user's spans."""
    step: int | None
    """Which step a `step_end` ends, or section a `section_end`; None elsewhere."""
    token: int | None
    """Index into the generated ids, -1 for the prompt's last; None for a mean."""


class VectorWriter:
    """Adds vectors to a folder. Use it as a context manager, holding the run's lock.

    Attributes:
        index: what is on disk, see `read_index`.
        about: see `read_about`.
        traces: see `read_forced`.

    Raises:
        InputError: the folder holds hidden states of another model.
    """

    def __init__(self, folder: Path, *, model: str, revision: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.index, self.about = _read(folder)
        self.traces = read_forced(folder)
        if self.about.get("revision", revision) != revision:
            raise InputError(
                f"{folder} holds hidden states of {self.about['model']} "
                f"({self.about['revision']}), not of {model} ({revision}): "
                "capture from that model, or delete the folder first"
            )
        self.about = {"model": model, "revision": revision, "shards": {}, **self.about}
        named = {_file(number) for number in self.about["shards"]}
        for leftover in [*folder.glob(TEMPORARY), *folder.glob("vectors-*.safetensors")]:
            if leftover.name not in named:
                leftover.unlink()
        self._clear()

    def add(self, places: Sequence[Place], vectors: Mapping[int, NDArray[np.floating]]) -> None:
        """Store the vectors of some places, one array [place, d_model] a layer.

        A place that is added again replaces what was there, at another token of MOVING too.
        """
        if places and self._places and vectors.keys() != self._vectors.keys():
            self.flush()
        for layer, values in vectors.items():
            self._vectors.setdefault(layer, []).append(_stored(values))
        self._places += places
        self._bytes += sum(self._vectors[layer][-1].nbytes for layer in vectors)
        if self._bytes > FLUSH_BYTES or time.monotonic() - self._since > FLUSH_SECONDS:
            self.flush()

    def add_trace(
        self,
        question_id: str,
        sample_index: int,
        n_tokens: int,
        gap: float,
        certainty: tuple[float, float] = (np.nan, np.nan),
    ) -> None:
        """Record that a trace was run again; call it before adding the trace's vectors.

        Args:
            gap: largest difference of log-probability, NaN where the trace has none stored.
            certainty: self-certainty and mean entropy; NaN where they were not asked for, and then
                those that are there stay.
        """
        self._new_traces.append((question_id, sample_index, n_tokens, gap, *certainty))

    def flush(self) -> None:
        """Put everything that was added on disk."""
        import pandas as pd
        from safetensors.numpy import save

        if self._new_traces:
            new = pd.DataFrame(self._new_traces, columns=list(self.traces.columns))
            joined = _join(self.traces, new.astype(self.traces.dtypes.to_dict()))
            # the last value of each that is not missing
            self.traces = joined.groupby(TRACE_KEY, sort=False).last().reset_index()
            _write_frame(self.traces, self.folder / "traces.parquet", {})
        if self._places:
            number = 1 + max((int(key) for key in self.about["shards"]), default=-1)
            tensors = {f"layer_{k}": np.concatenate(kept) for k, kept in self._vectors.items()}
            if wide := [name for name, kept in tensors.items() if kept.dtype == np.float32]:
                log.warning("%s: beyond float16's range, stored as float32", ", ".join(wide))
            path = self.folder / _file(number)
            with replace_file(path) as handle:
                handle.write(save(tensors))
            frame = pd.DataFrame(self._places, columns=list(Place._fields))
            frame = frame.assign(shard=number, row=np.arange(len(frame)))
            frame = frame.astype(self.index.dtypes.to_dict())
            self.index = _without_moved(_join(self.index, frame))
            self.about["shards"][str(number)] = sorted(self._vectors)
            self.about["layers"] = sorted({*self.about.get("layers", ()), *self._vectors})
            self._write_index()
        self._clear()

    def forget(self, marked: NDArray[np.bool_]) -> None:
        """Drop rows of `read_index`; their bytes stay until the folder is deleted."""
        self.index = self.index[~marked].reset_index(drop=True)
        self._write_index()

    def __enter__(self) -> VectorWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def _write_index(self) -> None:
        _write_frame(self.index, self.folder / "index.parquet", self.about)

    def _clear(self) -> None:
        self._places: list[Place] = []
        self._vectors: dict[int, list[NDArray[np.floating]]] = {}
        self._new_traces: list[tuple[Any, ...]] = []
        self._bytes = 0
        self._since = time.monotonic()


def read_vectors(
    folder: Path, *, layer: int, position: str
) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """The vectors of one layer and position; no other layer is read.

    Returns:
        index: one row a vector, ordered as the run's questions, then by sample_index, step, token:
            question_id, sample_index (Int64; missing for `prompt_end`), position, step (Int64;
            missing but for `step_end` and `section_end`), token (Int64; -1 is the prompt's last),
            layer.
        vectors: float32, shape [vector, d_model].

    Raises:
        InputError: nothing was captured there (the message lists what was).
    """
    from safetensors import safe_open

    index, about = _read(folder)
    shards = [int(key) for key, layers in about.get("shards", {}).items() if layer in layers]
    chosen = index[(index["position"] == position) & index["shard"].isin(shards)]
    token = chosen["token"].mask(chosen["position"].isin(MOVING))
    chosen = chosen[~chosen[KEY].assign(token=token).duplicated(keep="last")]
    chosen = _ordered(chosen, folder)
    if not len(chosen):
        raise InputError(
            f"{folder} has nothing of layer {layer} at {position!r}; {_listed(index, about)}"
        )
    vectors = np.empty((0, 0), np.float32)
    for shard in chosen["shard"].unique():
        rows = chosen[chosen["shard"] == shard]
        with safe_open(folder / _file(shard), framework="numpy") as handle:
            values = handle.get_tensor(f"layer_{layer}")
        if not len(vectors):
            vectors = np.empty((len(chosen), values.shape[1]), np.float32)
        vectors[rows.index] = values[rows["row"]]
    return chosen.drop(columns=["shard", "row"]).assign(layer=layer), vectors


def read_index(folder: Path) -> pd.DataFrame:
    """Where each vector lies: the columns of `Place`, then shard and row.

    A place has a row for each file that holds some of its layers, the newest last; `read_about`
    says which layers a file holds. Empty where nothing was captured.
    """
    return _read(folder)[0]


def read_about(folder: Path) -> dict[str, Any]:
    """What was captured: model, revision, layers (any of them somewhere), and shards (a file's
    number, as text, to its layers). Empty where nothing was."""
    return _read(folder)[1]


def read_forced(folder: Path) -> pd.DataFrame:
    """One row a trace that was run again: question_id, sample_index, n_tokens, max_logprob_gap (NaN
    where none was stored), self_certainty and mean_entropy (NaN where not asked for)."""
    import pandas as pd

    if (folder / "traces.parquet").exists():
        return pd.read_parquet(folder / "traces.parquet")
    kinds = {"question_id": "str", "sample_index": "int64", "n_tokens": "int64"}
    kinds |= dict.fromkeys(("max_logprob_gap", "self_certainty", "mean_entropy"), "float64")
    return pd.DataFrame(columns=list(kinds)).astype(kinds)


def _read(folder: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    import pandas as pd
    import pyarrow.parquet as pq

    kinds = {"question_id": "str", "sample_index": "Int64", "position": "str", "step": "Int64"}
    kinds |= {"token": "Int64", "shard": "int64", "row": "int64"}
    path = folder / "index.parquet"
    if not path.exists():
        return pd.DataFrame(columns=list(kinds)).astype(kinds), {}
    table = pq.read_table(path, partitioning=None)
    about: dict[str, Any] = json.loads(table.schema.metadata[METADATA_KEY])
    return table.to_pandas().astype(kinds), about


def _stored(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """As float16, or as float32 where float16 would overflow."""
    beyond = values.size and float(np.abs(values).max()) > float(np.finfo(np.float16).max)
    return values.astype(np.float32 if beyond else np.float16)


def _without_moved(index: pd.DataFrame) -> pd.DataFrame:
    """Drop rows of places whose newest row is at another token."""
    newest = index.groupby(KEY, dropna=False, sort=False)["token"].transform("last")
    moved = index["position"].isin(MOVING) & (index["token"] != newest)
    return index[~moved.astype(bool)].reset_index(drop=True)


def _ordered(index: pd.DataFrame, folder: Path) -> pd.DataFrame:
    import pandas as pd

    asked = folder.parent / "questions.parquet"
    ids = pd.read_parquet(asked, columns=["question_id"]) if asked.exists() else index
    order = pd.Index(ids["question_id"].unique()).get_indexer(index["question_id"])
    keys = ["_order", "sample_index", "step", "token"]
    return index.assign(_order=order).sort_values(keys, ignore_index=True).drop(columns="_order")


def _listed(index: pd.DataFrame, about: Mapping[str, Any]) -> str:
    if not len(index):
        return "nothing was captured yet: `cot capture` does"
    layers = ", ".join(map(str, about["layers"]))
    positions = ", ".join(sorted(index["position"].unique()))
    return f"it has layers {layers} at {positions}"


def _join(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([old, new], ignore_index=True) if len(old) else new


def _write_frame(frame: pd.DataFrame, path: Path, about: Mapping[str, Any]) -> None:
    import pyarrow as pa

    from cot.store.shards import write_parquet

    table = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(about)}
    write_parquet(table.replace_schema_metadata(metadata), path)


def _file(number: int | str) -> str:
    return f"vectors-{int(number):06d}.safetensors"
