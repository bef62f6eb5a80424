"""Features on disk, and read back for another run.

    RUN/features/METHOD.safetensors   directions [feature, d_model], offset [d_model]; encoder
                                      [d_model, feature] and bias [feature] where it has them;
                                      pca.directions and pca.offset of the baseline
    RUN/features/METHOD.json          method, encoding, layer, position, model, revision, ...

A feature is a row of `directions`, which `cot intervene --direction FILE:NUMBER` steers and
ablates. Nothing is pickled, and as with a stored probe the questions that it was fitted on are
named by hashes of their texts.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analysis.probes.stored_probes import file_name, question_hashes
from analysis.state_features.contract import Dictionary, linear
from analysis.state_features.states import States
from cot.errors import InputError
from cot.store.atomic import replace_file
from cot.store.run import Run
from cot.store.tables import versions
from cot.store.vectors import read_about

__all__ = ["FeatureFit", "StoredFeatures", "check_suits", "load_features", "save_features"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureFit:
    """What stored features belong to: the JSON beside their directions."""

    method: str
    """As typed."""
    encoding: Literal["nonnegative", "topk", "linear"]
    """How values follow: see `Dictionary`."""
    active: int
    """Most features of a state, for `topk`."""
    penalty: float
    """On values, for `nonnegative`."""
    concept: str
    """What a table of labels is of: the file's stem; empty where none was read."""
    target: str
    """What `best` was chosen for."""
    best: tuple[int, int] | None
    """The feature that tells the target's labels best on training questions, and its sign; None
    where they have no labels."""
    layer: int
    """Blocks before the states that they were fitted on."""
    position: str
    """Where these states stand."""
    model: str
    """Whose states these are."""
    revision: str
    """Of the model's weights."""
    d_model: int
    """Width of a state."""
    n_features: int
    """Rows of `directions`."""
    n: int
    """States that they were fitted on."""
    questions: list[str]
    """Hashes of the texts of these states' questions (16 hex digits): they may not be measured
    there."""
    seed: int
    """Of the split and the fit."""
    versions: dict[str, str]
    """Of the libraries, at the time."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredFeatures:
    """Features, read back."""

    fit: FeatureFit
    """What they belong to."""
    made: Dictionary
    """The features."""
    pca: Dictionary
    """As many principal components of the same states, the baseline."""


def save_features(
    run: Run,
    training: States,
    made: Dictionary,
    pca: Dictionary,
    *,
    method: str,
    concept: str,
    target: str,
    best: tuple[int, int] | None,
    n: int,
    seed: int,
) -> Path:
    """Store features; returns the .safetensors file.

    Args:
        training: the states of training questions.
        n: those of them that the method read; of a concept, those with a label.
    """
    from safetensors.numpy import save

    about = read_about(run.path / "activations")
    fit = FeatureFit(
        method=method,
        encoding=made.encoding,
        active=made.active,
        penalty=made.penalty,
        concept=concept,
        target=target,
        best=best,
        layer=training.layer,
        position=training.position,
        model=about["model"],
        revision=about["revision"],
        d_model=int(training.vectors.shape[1]),
        n_features=made.n_features,
        n=n,
        questions=sorted(set(question_hashes(run).loc[np.unique(training.questions)])),
        seed=seed,
        versions=versions(),
    )
    tensors = {"directions": made.directions, "offset": made.offset}
    if made.encoder is not None and made.bias is not None:
        tensors |= {"encoder": made.encoder, "bias": made.bias}
    tensors |= {"pca.directions": pca.directions, "pca.offset": pca.offset}
    path = run.path / "features" / f"{file_name(method)}.safetensors"
    with replace_file(path) as handle:
        handle.write(save(tensors, {"format": "consilience features"}))
    with replace_file(path.with_suffix(".json")) as handle:
        handle.write(json.dumps(asdict(fit), indent=1).encode())
    return path


def load_features(path: str | Path) -> StoredFeatures:
    """Read features back, by either of their files.

    Raises:
        InputError: a file is missing, or is not what `save_features` writes.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(path)
    weights, about = path.with_suffix(".safetensors"), path.with_suffix(".json")
    for file in (weights, about):
        if not file.is_file():
            raise InputError(f"{file}: no such file; stored features are a pair of {path.stem}.*")
    try:
        fit = FeatureFit(**json.loads(about.read_text(encoding="utf-8")))
        tensors = load_file(weights)
        made = Dictionary(
            encoding=fit.encoding,
            directions=tensors["directions"],
            offset=tensors["offset"],
            encoder=tensors.get("encoder"),
            bias=tensors.get("bias"),
            active=fit.active,
            penalty=fit.penalty,
        )
        pca = linear(tensors["pca.directions"], tensors["pca.offset"])
    except (ValueError, TypeError, KeyError, SafetensorError) as error:
        raise InputError(f"{path}: not stored features of this version: {error}") from None
    if why := _misshapen(fit, made, pca):
        raise InputError(f"{weights}: {why}")
    return StoredFeatures(fit=fit, made=made, pca=pca)


def _misshapen(fit: FeatureFit, made: Dictionary, pca: Dictionary) -> str:
    """What is wrong with the tensors; empty where nothing is."""
    n, width = fit.n_features, fit.d_model
    wanted: dict[str, tuple[Any, tuple[int, ...]]] = {
        "directions": (made.directions, (n, width)),
        "offset": (made.offset, (width,)),
        "pca.offset": (pca.offset, (width,)),
        "pca.directions": (pca.directions, (len(pca.directions), width)),
    }
    if fit.encoding != "nonnegative":
        wanted |= {"encoder": (made.encoder, (width, n)), "bias": (made.bias, (n,))}
    for name, (value, shape) in wanted.items():
        if value is None or value.shape != shape:
            return f"{name} has not the shape {list(shape)} that its .json names"
        if not np.isfinite(value).all():
            return f"{name} has numbers that are not finite"
    return ""


def check_suits(run: Run, fit: FeatureFit, path: str | Path) -> None:
    """Raise InputError where the run's states are of another model or revision, or of none."""
    about = read_about(run.path / "activations")
    if not about:
        raise InputError(f"{run.path} has no hidden states: `cot capture` makes them")
    if about["revision"] != fit.revision:
        raise InputError(
            f"{path} reads hidden states of {fit.model} ({fit.revision}), but {run.path} holds "
            f"those of {about['model']} ({about['revision']}): fit features of the same model"
        )
