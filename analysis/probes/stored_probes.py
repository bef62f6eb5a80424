"""A probe on disk, as plain weights, and its scores of another run.

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
import logging
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from analysis.probes.crossfit import fit_space
from analysis.probes.estimator import Layers, load_probe, output
from analysis.probes.measures import discrimination, sharpness
from analysis.probes.selection import findings_of
from analysis.probes.sweep import CellResult, read_rows
from analysis.probes.tables import score_rows, table_of, write
from analysis.probes.targets import Labels, captured_traces, find_labels
from cot.errors import InputError
from cot.store.atomic import replace_file
from cot.store.run import Run
from cot.store.tables import versions
from cot.store.vectors import read_about

__all__ = [
    "Fit",
    "StoredProbe",
    "file_name",
    "load_stored",
    "question_hashes",
    "save_best",
    "score_with",
]


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
    path = run.path / "probes" / f"{file_name(labels.target)}.safetensors"
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


def file_name(target: str) -> str:
    """The target, or where that is no plain file name, a part of it and its hash."""
    if re.fullmatch(r"[\w-]{1,60}", target, re.ASCII):
        return target
    digest = hashlib.sha256(target.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', target)[:60]}-{digest}"


# -- scores of another run -------------------------------------------------------------------------

log = logging.getLogger("cot")


def score_with(run: Run, path: str | Path) -> pd.DataFrame:
    """Score the run's captured states with a stored probe, on behalf of `probe(run, fitted=path)`;
    writes the tables that `probe` writes and returns `probes`, with one row, without controls:
    nothing is fitted here.

    Questions that the probe was fitted on (by their text) are left out, and counted. Where the run
    has no gold for the probe's target, the scores are written all the same and the numbers are NaN.

    Raises:
        InputError: not a stored probe; hidden states of another model, revision or width; the
            probe's layer or position was not captured; every question was fitted on.
    """
    run.reads(f"file:{Path(path).resolve()}")
    stored = load_stored(path)
    fit = stored.fit
    _check_model(run, fit, path)
    labels = _labels(run, fit)
    seen = set(fit.questions)
    known = question_hashes(run).reindex(labels.rows["question_id"]).isin(seen).to_numpy()
    if len(known) and known.all():
        raise InputError(f"{path} was fitted on all of these questions: score a run of others")
    if known.any():
        log.info("probe: %d rows of questions that it was fitted on are left out", known.sum())
        excluded = {**labels.excluded, "of questions that it was fitted on": int(known.sum())}
        rows = labels.rows[~known].reset_index(drop=True)
        labels = replace(labels, rows=rows, excluded=excluded)
    cell = read_rows(run, labels.rows, fit.layer, fit.position)
    _check_width(stored, cell.vectors.shape[1], path)
    asked, back = np.unique(cell.row, return_inverse=True)
    scores = stored.score(cell.vectors[asked])[:, back]
    rows = cell.traces
    y, groups = rows["y"].to_numpy(), rows["question_id"].to_numpy()
    why = "no gold for the target" if rows["y"].isna().any() else labels.undefined(y, groups)
    numbers = {}
    if why is None:
        numbers = discrimination(labels, y, scores, groups, fit.seed)
        numbers |= sharpness(labels, y, scores, groups, fit.seed)
    result = CellResult(
        layer=fit.layer,
        position=fit.position,
        rows=rows,
        why=why,
        numbers=numbers,
        scores=scores[None],
        validation=np.empty((0, 0)),
    )
    table = table_of(labels, [result], result, spec=fit.kind, n_folds=0, seed=fit.seed)
    if why is None:
        table["method"] = f"{fit.kind}, fitted on {fit.n} rows of another run"
    method = str(table["method"].iloc[0])
    findings, beside = findings_of(labels, rows, numbers, method=method, seed=fit.seed)
    scored = [score_rows(labels, result, None)]
    return write(run, [table], scored, findings, beside)


def _check_model(run: Run, fit: Fit, path: str | Path) -> None:
    about = read_about(run.path / "activations")
    if not about:
        raise InputError(f"{run.path} has no hidden states: `cot capture` makes them")
    if about["revision"] != fit.revision:
        raise InputError(
            f"{path} reads hidden states of {fit.model} ({fit.revision}), but {run.path} holds "
            f"those of {about['model']} ({about['revision']})"
        )


def _check_width(stored: StoredProbe, width: int, path: str | Path) -> None:
    if stored.fit.d_model != width:
        raise InputError(f"{path} reads vectors of width {stored.fit.d_model}, not {width}")


def _labels(run: Run, fit: Fit) -> Labels:
    """The run's labels; where it has none for a target of traces, its captured traces, y NaN."""
    try:
        labels = find_labels(run, fit.target)
        if len(labels.rows):
            return _recoded(labels, fit)
    except InputError as error:
        log.info("probe: no gold for %s: %s", fit.target, error)
    if fit.position == "prompt_end" and fit.target == "answer_entropy":
        rows = run.questions()[["question_id"]]
        return Labels(target=fit.target, rows=rows.assign(y=np.nan), kind="number")
    rows, excluded = captured_traces(run)
    return Labels(target=fit.target, rows=rows.assign(y=np.nan), excluded=excluded)


def _recoded(labels: Labels, fit: Fit) -> Labels:
    """Labels whose choices stand in the order of the probe's heads."""
    if labels.kind != "choice":
        return labels
    names = labels.rows["y"].map(dict(enumerate(labels.choices)))
    shared = names.isin(fit.choices)
    rows = labels.rows[shared].assign(y=[fit.choices.index(name) for name in names[shared]])
    excluded = {**labels.excluded, "with a choice that the probe was not fitted on": sum(~shared)}
    return replace(
        labels, rows=rows.reset_index(drop=True), choices=tuple(fit.choices), excluded=excluded
    )
