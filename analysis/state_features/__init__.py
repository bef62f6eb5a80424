"""Features of hidden states: directions that few states have, and whether they tell right from
wrong.

`features` reads the captured states of one layer without their question's mean (`states.py`), fits
the methods of the kind `features` (`contract.py`; `snmf.py`, `topk.py`, `linear.py`) on half of the
questions, and measures every feature on the other half (`measuring.py`) beside as many principal
components and random directions, the tokens that it goes with (`token_counts.py`), and plain text
with these tokens (`injection.py`). A concept vector goes through TCAV's test (`tcav.py`). Features
are stored (`stored_features.py`); `cot intervene --direction FILE:NUMBER` acts along one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.declaration import Shown, analysis
from analysis.hidden_states.hooks import HookTeacherForcing
from analysis.hidden_states.planning import prepare
from analysis.hidden_states.shared_pass import Settings, open_teacher_forcing
from analysis.interventions.cases import Rivals, make_cases
from analysis.interventions.direction_files import read_labels
from analysis.state_features.contract import check_features
from analysis.state_features.fitting import (
    Fitted,
    LabelledTraces,
    Split,
    fit_all,
    label_traces,
    read_fitted,
    stored_place,
)
from analysis.state_features.headlines import findings_table
from analysis.state_features.injection import TOKENS, injected_states, injection
from analysis.state_features.states import States, read_states, run_tokenizer
from analysis.state_features.tables import feature_places, feature_rows, strongest, value_rows
from analysis.state_features.tcav import Sensitivity, answer_gradients, sensitivity
from analysis.state_features.token_counts import token_counts, top_tokens
from cot.errors import InputError
from cot.models import load_tokenizer
from cot.store.run import Run
from cot.types import TRACE_KEY

__all__ = ["check_features", "features"]

Floats = NDArray[np.float64]
SHOWN = ["method", "layer", "feature", "within_question_auroc", "low", "high", "q", "control"]
SHOWN += ["control_pca", "rate_right", "rate_wrong", "token_r2", "fires_injected"]
FINDINGS = ["measure", "subject", "baseline", "estimate", "low", "high", "p", "n_questions"]
NAMED = 12
"""Tokens of a feature that are stored."""


def _show(run: Run, table: pd.DataFrame) -> Shown:
    findings = run.table("findings_features")
    mine = table[~table["baseline"]]
    known = [name for name in SHOWN if mine[name].notna().any()]
    files = "; ".join(f"features/{path.name}" for path in _files(run))
    note = f"{files}: `cot intervene --direction FILE:NUMBER` acts along a feature" if files else ""
    json = {"features": table.to_dict("records"), "findings": findings.to_dict("records")}
    return Shown(
        json=json,
        tables=[mine[known].to_dict("records"), findings[FINDINGS].to_dict("records")],
        note=note,
    )


def _files(run: Run) -> list[Any]:
    return sorted((run.path / "features").glob("*.safetensors"))


@analysis(
    makes={
        "features": "one row a method, layer and feature: what it tells, its controls and tokens",
        "feature_steps": "the steps in which each feature is strongest",
        "feature_tokens": "the tokens that go with each feature",
        "feature_values": "one row a state and feature that is on there",
        "feature_places": "where along traces each feature is on, by label",
        "findings_features": "the chosen feature of each method, reconstruction, dead features",
    },
    choices={"method": "features"},
    show=_show,
)
def features(
    run: Run,
    method: Sequence[str] = ("snmf", "topk"),
    layer: int | None = None,
    position: str | None = None,
    n_features: int = 16,
    target: str = "correct",
    labels: str | None = None,
    tcav: bool = True,
    inject: bool = False,
    model: str | None = None,
    device: str | None = None,
    seed: int = 0,
    fitted: str | None = None,
) -> pd.DataFrame:
    """Find features of the captured states; writes and returns the table `features`.

    A state is without its question's mean. Half of the questions, drawn by the seed, are for
    training: features are fitted there, and all numbers are of the others, the held-out ones, but
    for token_r2 and what is said to be of all states.

    Columns of `features`, one row a method, layer and feature, the baselines pca and random
    included (`baseline`): within_question_auroc of a trace's mean value for the target, low, high
    (95%, bootstrap over questions), p (two-sided, labels shuffled within questions), q (Benjamini
    and Hochberg over the method's features), tells (q up to 0.05); control and control_pca (the
    AUROC of the random direction and the principal component at the same rank by distance from 0.5,
    on the same side of it); firing_rate, rate_right, rate_wrong (shares of states in which it is
    on, and of those of traces with the target's label and without; missing for features that are
    read linearly); dead (off in all states); token_r2 (of a ridge on the token counts of a state's
    piece, cross-fitted over questions, all states); with inject, injected, injected_control,
    injection_d, injection_q and fires_injected (see injection.py); chosen and sign (it tells the
    labels of training questions best); target, concept; n_within (held-out questions with both
    labels), n_questions, n_traces (with a label), n_states (all held-out ones), n_excluded (traces
    without a label or a state).

    `feature_steps`, of all states: method, layer, feature, rank, question_id, sample_index, step,
    token, start, end (characters of the piece that the state ends), value, held_out.
    `feature_tokens`, of all states: method, layer, feature, rank, token, text, n, with_token,
    without_token, t. `feature_values`: a row a state and feature that is on, with place (how far
    into the trace, in [0, 1]) and value. `feature_places`: fifth of the trace, label, rate, value
    (mean), n_states. Features are stored in features/METHOD.safetensors and .json.

    Args:
        method: how features are fitted.
        layer: a captured layer; the middle one by default.
        position: a captured position; step_end by default, where that was captured.
        n_features: features of each method, and directions of each baseline.
        target: a boolean target of `cot probe`, which features may tell.
        labels: a file with a label for each trace, for cav: question_id, sample_index, label.
        tcav: with cav and labels, test whether the answer reacts to the concept; runs the model.
        inject: test whether features fire on their tokens in plain text; runs the model.
        model: the model to run; by default the one whose states were captured.
        device: a torch device; by default CUDA where there is one.
        seed: seed of the split, the fits, the controls and the bootstrap.
        fitted: features of another run (RUN/features/METHOD.safetensors), measured on this one's
            questions that they were not fitted on; nothing is fitted.

    Raises:
        InputError: an unknown method or target; a layer or position that was not captured; states
            of fewer than 4 questions; cav without labels; stored features of another model.
    """
    if fitted is not None:
        states = read_states(run, *stored_place(run, fitted))
        found, split, judged = read_fitted(run, fitted, states, target=target, seed=seed)
    else:
        if n_features < 1 or not method:
            raise InputError(f"n_features is {n_features}: give at least 1, and a method")
        states = read_states(run, layer, position)
        found, split, judged = fit_all(
            run,
            states,
            methods=method,
            n_features=n_features,
            target=target,
            labels=labels,
            seed=seed,
        )
    ids, counts = token_counts(states.tokens)
    tops = {each.method: top_tokens(ids, counts, each.values, NAMED) for each in found}
    tested = [each for each in found if tcav and each.labelled is not None]
    inside = _Inside({}, {})
    if tested or inject:
        inside = _look_inside(
            run, states, split, judged, found, tops, tested, inject, model, device, seed
        )
    table = feature_rows(found, states, split, judged, counts, inside.injected, seed)
    concepts: dict[str, LabelledTraces] = {}
    if labels is not None:
        known = label_traces(read_labels(run, labels), states)
        concepts = {each.method: known for each in found if each.labelled is not None}
    findings = findings_table(found, table, states, split, judged, concepts, inside.tcav, seed)
    run.write_table("feature_steps", strongest(found, states, split))
    run.write_table("feature_tokens", _token_rows(run, found, states.layer, tops))
    run.write_table("feature_values", value_rows(found, states))
    run.write_table("feature_places", feature_places(found, states, split, judged))
    run.write_table("findings_features", findings)
    run.write_table("features", table)
    return table


@dataclass(frozen=True, slots=True)
class _Inside:
    """What the model was asked."""

    injected: Mapping[str, pd.DataFrame]
    """Method to what injection says of its features."""
    tcav: Mapping[str, Sensitivity]
    """Method to what TCAV's test says."""


def _look_inside(
    run: Run,
    states: States,
    split: Split,
    judged: LabelledTraces,
    found: Sequence[Fitted],
    tops: Mapping[str, list[pd.DataFrame]],
    tested: Sequence[Fitted],
    inject: bool,
    model: str | None,
    device: str | None,
    seed: int,
) -> _Inside:
    """Load the model once, for injection and for TCAV."""
    work = prepare(
        run,
        layers=[states.layer],
        positions=["step_end", "pre_answer"],
        spans=None,
        model=model,
        limit=None,
        steps_per_trace=0,
    )
    settings = Settings(model=work.model, device=device)
    injected: dict[str, pd.DataFrame] = {}
    sensitive: dict[str, Sensitivity] = {}
    with open_teacher_forcing(run, settings, [states.layer], work.longest) as forcing:
        assert isinstance(forcing, HookTeacherForcing)
        if inject:
            # principal components go with no tokens of their own; random directions say what any do
            mine = [each for each in found if each.method != "pca" or not each.baseline]
            lists = [
                rows["token"].to_numpy(np.int64)[:TOKENS] for m in mine for rows in tops[m.method]
            ]
            written, tokenizer = np.concatenate(states.tokens), load_tokenizer(work.model)
            made = injected_states(forcing, tokenizer, states.layer, lists, written, seed)
            first = 0
            for each in mine:
                own = range(first, first + each.made.n_features)
                injected[each.method] = injection(each.made, made, own, seed)
                first += each.made.n_features
        if tested:
            rows = states.rows[split.rows(states, held_out=True)]
            tokens = {
                (str(name), int(index)): own["token"].dropna().to_numpy(np.int64)
                for (name, index), own in rows.groupby(TRACE_KEY, sort=False)
            }
            cases = make_cases(run, work, traces=None)
            held = [case for case in cases if case.key in tokens]
            labels = judged.by_key(states)
            rivals = Rivals(cases, seed)
            gradients = answer_gradients(forcing, held, rivals, states.layer, tokens, labels)
            for each in tested:
                assert each.labelled is not None
                direction = each.made.directions[0]
                sensitive[each.method] = sensitivity(each.labelled, direction, gradients, seed)
    return _Inside(injected, sensitive)


TOKEN_TYPES = {
    **{"method": "str", "layer": "int64", "feature": "int64", "rank": "int64", "token": "int64"},
    **{"text": "str", "n": "int64", "with_token": "float64", "without_token": "float64"},
    "t": "float64",
}


def _token_rows(
    run: Run, found: Sequence[Fitted], layer: int, tops: Mapping[str, list[pd.DataFrame]]
) -> pd.DataFrame:
    """The table `feature_tokens`; a text is empty where there is no tokenizer."""
    tokenizer = run_tokenizer(run)
    frames = [
        rows.assign(
            method=each.method,
            layer=layer,
            feature=feature,
            rank=np.arange(len(rows)),
            text=[tokenizer.decode([token]) if tokenizer else "" for token in rows["token"]],
        )
        for each in found
        if not each.baseline
        for feature, rows in enumerate(tops[each.method])
    ]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return table.reindex(columns=list(TOKEN_TYPES)).astype(TOKEN_TYPES)
