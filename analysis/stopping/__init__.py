"""Stopping rules simulated on stored traces: their accuracy, and the samples that they would use.

    stop(run, rule=["asc_beta", "esc:window=4"])

A rule reads a question's traces one after another, in file order (by sample_index) or in random
orders, and stops; its answer is compared with gold. A missing answer costs a sample and never
votes. saved = 1 - mean samples / n, n the mean traces of a question; likewise for tokens. The rules
are those of `cot.stopping`, which the sampler asks too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.catalogue import need
from analysis.declaration import Shown, analysis
from analysis.stopping.accuracy_and_cost import ALL, accuracy_and_cost, stop_rows
from analysis.stopping.chances import chances
from analysis.stopping.simulation import in_random_orders, mean_by_question, simulate
from analysis.stopping.trace_matrix import trace_matrix
from cot.errors import InputError
from cot.stopping import make_rule
from cot.store.run import Run

__all__ = ["stop"]


def _show(run: Run, stops: pd.DataFrame) -> Shown:
    findings = run.table("findings_stop").rename(columns={"subject": "rule"})
    is_gain = findings["baseline"] == ALL
    accuracy = findings[~is_gain].rename(columns={"estimate": "accuracy"})
    rules = accuracy[accuracy["rule"] != ALL].drop(columns=["analysis", "measure", "baseline", "p"])
    bare = ["rule", "accuracy", "low", "high", "n_questions", "n_excluded", "method"]
    (whole,) = accuracy.loc[accuracy["rule"] == ALL, bare].to_dict("records")
    shown = ["rule", "baseline", "gain", "low", "high", "n_questions", "n_excluded", "method"]
    gains = findings[is_gain].rename(columns={"estimate": "gain"})[shown]
    columns = ["rule", "accuracy", "low", "high", "mean_samples", "saved", "tokens_saved"]
    if run.provenance("stops").parameters["order"] == "random":
        columns += ["file_accuracy", "file_mean_samples", "file_saved"]
    return Shown(
        json={
            "rules": rules.to_dict("records"),
            "all": whole,
            "gains": gains.to_dict("records"),
        },
        tables=[
            accuracy[columns].to_dict("records"),
            gains[["rule", "baseline", "gain", "low", "high"]].to_dict("records"),
        ],
    )


@analysis(
    makes={
        "stops": "one row a question and stopping rule, in file order: samples used, answer",
        "findings_stop": "accuracy of each stopping rule and what it saves",
    },
    choices={"rule": "stops"},
    show=_show,
)
def stop(
    run: Run,
    rule: Sequence[str] = ("asc_beta",),
    order: str = "random",
    permutations: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Simulate stopping rules; writes and returns the table `stops`, one row a question and rule.

    Columns, all in file order: question_id, rule (as typed), n_traces, n_used, stopped, answer,
    majority (the plain vote over the samples used), tied (that vote is tied), correct and
    majority_correct (nullable booleans: missing without gold), tokens and tokens_used (Int64:
    missing where the traces have no token ids).

    Also writes `findings_stop`: each rule's accuracy over the questions with gold in the order
    asked for, with a 95% interval by bootstrap over questions; that of the vote over all traces,
    and each rule's paired gain over it; beside the rules, over all questions, mean_samples, saved,
    tokens_saved, stopped and majority_accuracy, and all of it in file order (file_...).

    Args:
        rule: stopping rules, with parameters after a colon: esc:window=4.
        order: random takes the mean over random orders of each question's traces, file their
            stored order.
        permutations: number of random orders, at least 100.
        seed: seed of the orders and the bootstrap.

    Raises:
        InputError: an unknown rule or order, too few permutations, an adaptive run or one without
            traces, or a rule that takes what the traces lack.
    """
    if order not in ("random", "file"):
        raise InputError(f"unknown order {order!r}: choose from random, file")
    if permutations < 100:
        raise InputError(f"permutations is {permutations}: at least 100 for a steady estimate")
    if not rule:
        raise InputError("name at least one rule, such as asc_beta")
    if run.identity.adaptive:
        raise InputError(
            f"{run.path} was sampled with --adaptive {run.identity.adaptive.rule}: its "
            "questions end where that rule stopped, so that no rule can be simulated on it; sample "
            "a run with the same n for every question"
        )
    made = {each: make_rule(each) for each in rule}
    answers = need(run, "answers")
    if answers.empty:
        raise InputError(f"{run.path} has no traces to simulate on")
    series = {name: _series(run, answers, each) for name, each in made.items()}
    matrix = trace_matrix(run, answers)
    simulated = {name: simulate(matrix, matrix.traces, made[name], series[name]) for name in made}
    stops = pd.concat(
        [stop_rows(matrix, name, each) for name, each in simulated.items()], ignore_index=True
    )
    in_file = {name: mean_by_question(matrix, each) for name, each in simulated.items()}
    asked, how = in_file, "file order"
    if order == "random":
        asked = in_random_orders(matrix, made, series, permutations, seed)
        how = f"mean of {permutations} permutations"
    findings = accuracy_and_cost(matrix, asked, in_file, how, seed)
    run.write_table("stops", stops)
    run.write_table("findings_stop", findings)
    return stops


def _series(run: Run, answers: pd.DataFrame, rule: Any) -> Any:
    """What a rule reads beside the answers, one entry a row of their table; None if nothing."""
    needs = getattr(rule, "needs", ())
    if "chance" in needs:
        return chances(run, answers, rule.confidence, rule.fit)
    if "top_means" not in needs:
        return None
    keys = ["question_id", "sample_index"]
    index = pd.MultiIndex.from_frame(answers[keys])
    top_means = run.traces(["top_means"]).set_index(keys)["top_means"].reindex(index)
    if top_means.isna().any():
        raise InputError(
            f"{run.path}: {int(top_means.isna().sum())} of its {len(top_means)} traces have no "
            "means of the largest log-probabilities, which tell where to cut a trace (the sampled "
            "tokens' own would mean the inverse): sample with --top-logprobs 20"
        )
    return rule.read(top_means)
