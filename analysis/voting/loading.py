"""Rules by name, and the answers with the columns that the rules read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pandas as pd

from analysis.columns import ASKING, columns, made_from
from analysis.model_queries import ModelQueries
from analysis.voting.rule import Rule, load_rule
from cot.errors import InputError
from cot.registry import names
from cot.store.run import Run

__all__ = ["ALL", "load_rules"]

log = logging.getLogger("cot")
ALL = "all"
"""Stands for every registered rule that asks no model and whose inputs the run has."""
RUN_THE_MODEL = {"activations", "faithfulness_profile", "lens_traces", "probe_scores"}
"""Inputs that `ALL` doesn't have made: that takes the model."""


def load_rules(
    run: Run,
    answers: pd.DataFrame,
    specs: Sequence[str],
    model: str | None = None,
    engine: str | None = None,
) -> tuple[list[Rule], pd.DataFrame]:
    """The rules, and the answers with the columns that they need.

    Args:
        specs: as typed; `ALL` leaves out what the run has no inputs for, and says so.
        model: asked by rules that ask one; the run's own by default.
        engine: runs that model; the run's own by default.

    Raises:
        InputError: no rule, an unknown one, or one that needs what the run lacks.
    """
    rules: dict[str, Rule] = {}
    for spec in specs:
        if spec != ALL:
            rules[spec] = load_rule(spec)
            continue
        for rule in map(load_rule, names("votes")):
            if lacking := set(made_from(rule.needs)) & RUN_THE_MODEL - _there(run):
                log.info("rule %s is left out: no %s", rule.name, ", ".join(sorted(lacking)))
            elif not ASKING & set(rule.needs):
                try:
                    answers = columns(run, answers, rule.needs)
                    rules[rule.name] = rule
                except InputError as error:
                    log.info("rule %s is left out: %s", rule.name, error)
    if not rules:
        raise InputError("name at least one rule, such as majority")
    needs = [name for rule in rules.values() for name in rule.needs]
    with ModelQueries(run, model, engine) as queries:
        return list(rules.values()), columns(run, answers, needs, queries)


def _there(run: Run) -> set[str]:
    captured = (run.path / "activations" / "index.parquet").exists()
    return {*run.tables(), *(["activations"] if captured else [])}
