"""Tables that other tables need: made with defaults where missing, again where stale, and said."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import import_module

import pandas as pd

from cot.errors import InputError
from cot.store.run import Run

__all__ = ["first_questions", "need"]

log = logging.getLogger("cot")

MAKERS = {
    "answers": "cot.answers:extract_answers",
    "votes": "analysis.voting:vote",
    "curve": "analysis.curves:curve",
    "stops": "analysis.stopping:stop",
    "calibration": "analysis.calibration:calibrate",
    "steps": "analysis.clusters:find_paths",
    "paths": "analysis.clusters:find_paths",
    "fidelity": "analysis.hidden_states:capture",
    "probes": "analysis.probes:probe",
    "probe_scores": "analysis.probes:probe",
    "lens": "analysis.logit_lens:read_layers",
    "lens_traces": "analysis.logit_lens:read_layers",
    "hidden_clusters": "analysis.state_geometry.clusters:cluster_hidden",
    "eigen_scores": "analysis.state_geometry.eigen:score_questions",
    "trajectories": "analysis.state_geometry:describe_states",
    "faithfulness_traces": "analysis.faithfulness_tests:measure_faithfulness",
    "agreement": "analysis.agreement:agree",
}
"""Table to the function that makes it; its keyword arguments are the table's stored parameters."""


def need(run: Run, name: str) -> pd.DataFrame:
    """The table, current with its inputs.

    A missing table is made with defaults; a stale one is made again with its own parameters.
    """
    if name not in run.tables():
        log.info("%s has no table %s yet: making it with defaults", run.path, name)
        _maker(name)(run)
    elif reason := run.stale(name):
        log.info("table %s is stale (%s): making it again", name, reason)
        _maker(name)(run, **run.provenance(name).parameters)
    return run.table(name)


def _maker(name: str) -> Callable[..., object]:
    module, _, function = MAKERS[name].partition(":")
    make: Callable[..., object] = getattr(import_module(module), function)
    return make


def first_questions(answers: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """The rows of the first `limit` questions; all where it is None.

    Raises:
        InputError: a limit below 1.
    """
    if limit is None:
        return answers
    if limit < 1:
        raise InputError(f"--limit is {limit}, but must be at least 1")
    first = answers["question_id"].unique()[:limit]
    return answers[answers["question_id"].isin(first)].reset_index(drop=True)
