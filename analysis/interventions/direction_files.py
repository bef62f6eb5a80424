"""Directions and labels that a user brings: a vector, a stored probe, a table of labels.

direction.npy                one vector [d_model]
direction.safetensors        a tensor `direction` [d_model]
RUN/probes/TARGET.safetensors (or .json)    a probe of another run; see `analysis.probes`
RUN/features/METHOD.safetensors:NUMBER      one of the features of a run; see `cot features`
labels.csv                   question_id, sample_index, label (true or false, 1 or 0);
                             also .jsonl, .json, .parquet
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.probes.estimator import Layers
from analysis.probes.stored_probes import load_stored, question_hashes
from analysis.probes.targets import Labels, captured_traces, without
from cot.datasets.rows import SUFFIXES, Row, read_file
from cot.errors import InputError
from cot.store.run import Run
from cot.store.vectors import read_about
from cot.types import TRACE_KEY

__all__ = ["GivenDirection", "read_direction", "read_labels", "single_weight"]

Floats = NDArray[np.float64]
NAME = "direction"
"""Of the tensor."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GivenDirection:
    """A direction in a file."""

    weight: Floats
    """Shape [d_model], of any length above 0."""
    target: str | None = None
    """What its probe predicts; None for a plain vector and a feature."""
    layer: int | None = None
    """Where its probe or feature reads; None for a plain vector."""
    position: str | None = None
    """Likewise."""
    seen: frozenset[str] = frozenset()
    """Questions of this run that its probe or feature was fitted on."""


def read_direction(run: Run, path: str | Path) -> GivenDirection:
    """The direction in a file.

    Raises:
        InputError: no such file, no direction in it, or one of another model, revision or width.
    """
    numbered = re.fullmatch(r"(.+\.(?:safetensors|json)):(\d+)", str(path), re.DOTALL)
    file = Path(path if numbered is None else numbered[1])
    run.reads(f"file:{file.resolve()}")
    if numbered is not None:
        return _feature(run, file, int(numbered[2]))
    if file.suffix not in (".npy", ".safetensors", ".json"):
        raise InputError(
            f"{file}: a direction is read from a .npy file, a .safetensors file with a tensor "
            f"{NAME!r}, a stored probe (RUN/probes/TARGET.safetensors), or a feature "
            "(RUN/features/METHOD.safetensors:NUMBER)"
        )
    if not file.is_file():
        raise InputError(f"{file}: there is no such file")
    vector = _vector(file)
    if vector is None:
        return _stored(run, file)
    if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
        raise InputError(
            f"{file}: a direction is one vector [d_model] of finite numbers that are not all 0; "
            f"this one has the shape {list(vector.shape)}"
        )
    return GivenDirection(weight=vector.astype(np.float64))


def _vector(file: Path) -> NDArray[Any] | None:
    """The array in a file; None where it may be a stored probe."""
    if file.suffix == ".npy":
        try:
            array = np.load(file, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(f"{file}: is no array of numpy: {error}") from None
        if not np.issubdtype(array.dtype, np.number) or np.iscomplexobj(array):
            raise InputError(f"{file}: holds {array.dtype}, not real numbers")
        return np.asarray(array)
    if file.suffix == ".json":
        return None
    tensors = _tensors(file)
    if NAME in tensors:
        return np.asarray(tensors[NAME].double().numpy())
    if not file.with_suffix(".json").is_file():
        there = ", ".join(sorted(tensors)) or "none"
        raise InputError(f"{file}: has no tensor {NAME!r}; its tensors are: {there}")
    return None


def _tensors(file: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(file))
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such file") from None
    except SafetensorError as error:
        raise InputError(f"{file}: is no safetensors file: {error}") from None


def _stored(run: Run, file: Path) -> GivenDirection:
    stored = load_stored(file)
    fit = stored.fit
    if fit.label != "boolean":
        raise InputError(f"{file}: its target {fit.target} is a {fit.label}: {ONLY_BOOLEAN}")
    _check_model(run, file, fit.model, fit.revision)
    weight = single_weight(stored.heads[0], f"{file}: a {fit.kind} probe") / stored.scale
    if not weight.any():
        raise InputError(f"{file}: its weights are all 0: it points nowhere")
    hashes = question_hashes(run)
    return GivenDirection(
        weight=weight,
        target=fit.target,
        layer=fit.layer,
        position=fit.position,
        seen=frozenset(hashes.index[hashes.isin(fit.questions)]),
    )


def _feature(run: Run, file: Path, number: int) -> GivenDirection:
    """The direction of a feature that `cot features` stored."""
    tensors, about = _tensors(file.with_suffix(".safetensors")), file.with_suffix(".json")
    try:
        fit = json.loads(about.read_text(encoding="utf-8"))
        directions = tensors["directions"].double().numpy()
        layer, position = int(fit["layer"]), str(fit["position"])
        seen = frozenset(map(str, fit["questions"]))
        model, revision = str(fit["model"]), str(fit["revision"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{file}: FILE:NUMBER is a feature of RUN/features/METHOD.safetensors, with its .json "
            f"beside it; this is none: {error}"
        ) from None
    _check_model(run, file, model, revision)
    if directions.ndim != 2 or number >= len(directions) or not np.isfinite(directions).all():
        there = f"0 to {len(directions) - 1}" if directions.ndim == 2 else "none"
        raise InputError(f"{file}: has no feature {number}; its features are {there}")
    if not directions[number].any():
        raise InputError(f"{file}:{number}: the direction is all 0: it points nowhere")
    hashes = question_hashes(run)
    return GivenDirection(
        weight=directions[number],
        layer=layer,
        position=position,
        seen=frozenset(hashes.index[hashes.isin(seen)]),
    )


def _check_model(run: Run, file: Path, model: str, revision: str) -> None:
    about = read_about(run.path / "activations")
    if about and about["revision"] != revision:
        raise InputError(
            f"{file} reads hidden states of {model} ({revision}), but {run.path} holds "
            f"those of {about['model']} ({about['revision']}): give one of the same model"
        )


ONLY_BOOLEAN = "a direction tells two labels apart; choose a boolean target, such as correct"


def single_weight(layers: Layers | None, who: str) -> Floats:
    """The weight [in] of a probe that has one layer.

    Raises:
        InputError: it has none, or several.
    """
    if layers is None or len(layers) != 1:
        has = "no plain weights" if layers is None else f"{len(layers)} layers"
        raise InputError(f"{who} has {has}, and no direction: choose diff_means or logistic")
    return layers[0][0][:, 0]


# -- labels ----------------------------------------------------------------------------------------

LABELS = {"true": True, "1": True, "false": False, "0": False}


def read_labels(run: Run, path: str | Path) -> Labels:
    """The captured traces that a table gives a label; the target is the file's stem.

    Raises:
        InputError: the file can't be read, or a row has no such trace, no boolean, or a trace that
            has one already.
    """
    file = Path(path)
    run.reads(f"file:{file.resolve()}")
    if file.suffix not in SUFFIXES:
        raise InputError(f"{file}: labels are read from {', '.join(SUFFIXES)} files")
    there = set(run.traces([])[TRACE_KEY].itertuples(index=False, name=None))
    given: dict[tuple[str, int], bool] = {}
    for row in read_file(file):
        key = str(row["question_id"]), _index(row)
        if key not in there:
            raise InputError(
                f"{row.place}: the run {run.path} has no trace of question_id {key[0]!r} with "
                f"sample_index {key[1]}: leave the row out"
            )
        if key in given:
            raise InputError(
                f"{row.place}: question_id {key[0]!r}, sample_index {key[1]} has a label already: "
                "leave one of the rows out"
            )
        given[key] = _label(row)
    if not given:
        raise InputError(f"{file}: has no rows: give question_id, sample_index and label")
    traces, excluded = captured_traces(run)
    y = [given.get(key) for key in traces[TRACE_KEY].itertuples(index=False, name=None)]
    traces = traces.assign(y=pd.Series(y, dtype=object))
    traces = without(traces, f"without a label in {file.name}", traces["y"].isna(), excluded)
    return Labels(target=file.stem, rows=traces.astype({"y": bool}), excluded=excluded)


def _index(row: Row) -> int:
    value = row["sample_index"]
    try:
        number = float(value)
        if isinstance(value, bool) or number != int(number):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise InputError(
            f"{row.place}: sample_index is {value!r}: give a whole number, as in the run's traces"
        ) from None
    return int(number)


def _label(row: Row) -> bool:
    value = row["label"]
    number = isinstance(value, float) and value in (0.0, 1.0)
    known = LABELS.get(str(int(value) if number else value).strip().lower())
    if known is None:
        raise InputError(
            f"{row.place}: label is {value!r}: give true or false (1 or 0), and leave out traces "
            "without a label"
        )
    return known
