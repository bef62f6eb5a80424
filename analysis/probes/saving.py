"""A probe on disk: plain weights, and what they belong to.

    RUN/probes/TARGET.safetensors   mean, scale [d_model]; for each head (one a choice, else one)
                                    and layer: HEAD.LAYER.weight [in, out], HEAD.LAYER.bias [out]
    RUN/probes/TARGET.json          target, kind, layer, position, model, revision, d_model, n, ...

A vector x gives the layers (x - mean) / scale, with a rectifier between two of them; the last
output is the log-odds of True, or the number. Linear probes have one layer, whose weight divided by
scale is the probe's direction in the model's own space. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.probes.estimator import load_probe
from analysis.probes.labels import Labels
from analysis.probes.layers import Layers, output
from analysis.probes.reading import read_rows
from analysis.probes.space import fit_space
from analysis.probes.sweep import CellResult
from cot.errors import InputError
from cot.store.atomic import replace_file
from cot.store.run import Run
from cot.store.tables import versions
from cot.store.vectors import read_about

__all__ = ["Fit", "StoredProbe", "load_stored", "question_hashes", "save_best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What a stored probe belongs to: the JSON beside its weights."""

    target: str
    """What it predicts."""
    kind: str
    """The registered probe, as typed."""
    label: str
    """`boolean`, `number` or `choice`."""
    choices: list[str]
    """One head each; empty but for choices."""
    layer: int
    """Blocks before the vectors it reads."""
    position: str
    """Where it reads."""
    model: str
    """Whose vectors these are."""
    revision: str
    """Of the model's weights."""
    d_model: int
    """Width of a vector."""
    n: int
    """Rows it was fitted to."""
    questions: list[str]
    """Hashes of the texts of these rows' questions (16 hex digits): it may not score them."""
    seed: int
    """Of the fit."""
    versions: dict[str, str]
    """Of the libraries, at the time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredProbe:
    """A fitted probe, read back."""

    fit: Fit
    """What it belongs to."""
    mean: NDArray[np.floating]
    """Shape [d_model]."""
    scale: NDArray[np.floating]
    """Shape [d_model]; infinite where a coordinate never varied."""
    heads: list[Layers]
    """One, or one a choice."""

    def score(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """P(True), or the number, of vectors [row, d_model], shape [head, row]."""
        from scipy.special import expit

        scaled = (X - self.mean) / self.scale
        outputs = np.stack([output(layers, scaled) for layers in self.heads])
        found: NDArray[np.float64] = outputs if self.fit.label == "number" else expit(outputs)
        return found


def save_best(run: Run, labels: Labels, best: CellResult, *, spec: str, seed: int) -> Path | None:
    """Fit the cell's probe to all its rows and store it; None for a kind without `layers_`."""
    from safetensors.numpy import save

    cell = read_rows(run, labels.rows, best.layer, best.position)
    groups = cell.traces["question_id"].to_numpy()
    make = load_probe(spec)
    tensors: dict[str, NDArray[np.floating]] = {}
    with threadpool_limits(1):
        X = cell.vectors[cell.row]
        space = fit_space(X, make(seed=seed).n_components, seed)
        placed = space.place(X)
        for head, y in enumerate(labels.tasks(cell.traces["y"].to_numpy())):
            probe: Any = make(seed=seed)
            probe.fit(placed, y, groups)
            if not hasattr(probe, "layers_"):
                return None
            for number, (weight, bias) in enumerate(probe.layers_):
                unfolded = space.axes is not None and number == 0
                tensors[f"{head}.{number}.weight"] = space.axes @ weight if unfolded else weight
                tensors[f"{head}.{number}.bias"] = bias
    tensors |= {"mean": space.mean, "scale": space.scale}
    about = read_about(run.path / "activations")
    fit = Fit(
        target=labels.target,
        kind=spec,
        label=labels.kind,
        choices=list(labels.choices),
        layer=best.layer,
        position=best.position,
        model=about["model"],
        revision=about["revision"],
        d_model=int(cell.vectors.shape[1]),
        n=len(cell.traces),
        questions=sorted(set(question_hashes(run).loc[np.unique(groups)])),
        seed=seed,
        versions=versions(),
    )
    path = run.path / "probes" / f"{_file_name(labels.target)}.safetensors"
    plain = {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}
    with replace_file(path) as handle:
        handle.write(save(plain, {"format": "consilience probe"}))
    with replace_file(path.with_suffix(".json")) as handle:
        handle.write(json.dumps(asdict(fit), indent=1).encode())
    return path


def load_stored(path: str | Path) -> StoredProbe:
    """Read a probe back, by either of its files.

    Raises:
        InputError: a file is missing, or is not what `save_best` writes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    weights, about = path.with_suffix(".safetensors"), path.with_suffix(".json")
    for file in (weights, about):
        if not file.is_file():
            raise InputError(f"{file}: no such file; a stored probe is a pair of {path.stem}.*")
    try:
        fit = Fit(**json.loads(about.read_text(encoding="utf-8")))
        tensors = load_file(weights)
        heads = [_head(tensors, head) for head in range(max(1, len(fit.choices)))]
        shapes = {tensors[name].shape for name in ("mean", "scale")}
    except (ValueError, TypeError, KeyError, SafetensorError) as error:
        raise InputError(f"{path}: not a stored probe of this version: {error}") from None
    if shapes != {(fit.d_model,)} or any(len(layers[0][0]) != fit.d_model for layers in heads):
        raise InputError(f"{weights}: its weights are not of the width {fit.d_model} that it names")
    return StoredProbe(fit=fit, mean=tensors["mean"], scale=tensors["scale"], heads=heads)


def question_hashes(run: Run) -> Any:
    """Hash of each question's text, indexed by question_id."""
    asked = run.questions().set_index("question_id")["text"]
    return asked.map(lambda text: hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16])


def _head(tensors: dict[str, NDArray[np.floating]], head: int) -> Layers:
    numbers = sorted(
        int(name.split(".")[1]) for name in tensors if re.fullmatch(rf"{head}\.\d+\.weight", name)
    )
    if not numbers:
        raise KeyError(f"no weights of head {head}")
    return [
        (
            tensors[f"{head}.{number}.weight"].astype(np.float64),
            tensors[f"{head}.{number}.bias"].astype(np.float64),
        )
        for number in numbers
    ]


def _file_name(target: str) -> str:
    """The target, or where that is no plain file name, a part of it and its hash."""
    if re.fullmatch(r"[\w-]{1,60}", target, re.ASCII):
        return target
    digest = hashlib.sha256(target.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', target)[:60]}-{digest}"
