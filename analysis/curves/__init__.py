"""Accuracy against the number of samples.

The value at n is the expected accuracy of a vote over a random n-subset, drawn without replacement
from a question's N stored traces (`analysis.curves.expected_accuracies`): exact at n = 1 (the mean
single trace), at n = N (the vote itself, a tie broken by the lowest sample_index) and, for the
majority vote, everywhere; for other rules the mean over seeded subsets. A tie in a subset is broken
at random: 1 / (number of tied answers) if gold is among them. Traces without a valid answer stay in
the subset and don't vote. With `order="file"` the first n traces vote, and a tie falls to the
lowest sample_index. `pass@k` stands beside the rules: whether any of n traces is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.catalogue import compared, need
from analysis.curves.expected_accuracies import EXACT_UP_TO, PASS, expected_accuracy
from analysis.declaration import Shown, analysis
from analysis.findings import as_table, mean_finding
from analysis.voting import ALL, Rule, load_rule, load_rules
from cot.errors import InputError
from cot.store.run import Run
from cot.types import Finding

__all__ = ["PASS", "Curves", "curve", "curves_of", "difference", "expected_accuracy"]


def _show(run: Run, table: pd.DataFrame) -> Shown:
    points = table.to_dict("records")
    shown = ["rule", "n", "accuracy", "low", "high", "n_questions", "method"]
    json = {"points": points, "differences": run.table("findings_curve").to_dict("records")}
    return Shown(json=json, tables=[table[shown].to_dict("records")])


def _beside(run: Run, other: Sequence[Path], /, **asked: Any) -> Shown:
    """Other runs: they are compared with the first at each n, as `cot compare` does."""
    return compared("curve", "curve", run, other, **asked)


@analysis(
    makes={
        "curve": "expected accuracy of each rule at each number of samples",
        "findings_curve": "each rule against the first, paired by question, at each number",
    },
    choices={"rule": "votes"},
    show=_show,
    views={"other": _beside},
)
def curve(
    run: Run,
    rule: Sequence[str] = ("majority",),
    n: Sequence[int] | None = None,
    order: str = "random",
    subsets: int = 200,
    seed: int = 0,
    model: str | None = None,
    engine: str | None = None,
) -> pd.DataFrame:
    """Expected accuracy at each n; writes and returns the table `curve`.

    Columns: rule, n, accuracy, low, high (95%, bootstrap over questions), n_questions, n_excluded
    (questions with gold but fewer than n traces), method, seed.

    Also writes `findings_curve`: each further rule against the first, paired by question; column n.

    Args:
        rule: vote rules, each compared with the first; or pass@k, the chance that any of n traces
            is right.
        n: numbers of samples; by default 1, 2, 3, 5, 8, 12, 16, 24, 32, 40, ... up to all.
        order: random takes the mean over random subsets, file the first n traces.
        subsets: random subsets per question, where accuracy has no closed form; at least 200.
        seed: seed of the subsets and the bootstrap.
        model: the model for rules that ask one; by default the one that sampled the run.
        engine: the engine that runs that model: transformers or vllm.

    Raises:
        InputError: an unknown rule or order, one that compares all traces at once (`universal`), an
            n below 1 or above every question's traces, or an adaptive run.
    """
    curves = curves_of(run, rule, n, order, subsets, seed, model, engine)
    frame = pd.DataFrame(
        [
            {"rule": each, "n": count, **curves.point(each, count, seed)}
            for each in curves.rules
            for count in curves.counts
        ]
    )
    run.write_table("curve", frame)
    first, *others = curves.rules
    pairs = [(each, count) for each in others for count in curves.counts]
    gains = [
        difference(
            each,
            first,
            curves.tables[each][count],
            curves.tables[first][count],
            curves.sizes,
            seed,
        )
        for each, count in pairs
    ]
    run.write_table("findings_curve", as_table("curve", gains, n=[count for _, count in pairs]))
    return frame


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Expected accuracies of some rules on one run."""

    rules: Mapping[str, str | Rule]
    """Name as typed to the rule."""
    counts: Sequence[int]
    """The n asked for, ascending."""
    tables: Mapping[str, pd.DataFrame]
    """Name to expected accuracy by question and n."""
    sizes: pd.Series
    """Traces of each question with gold."""
    order: str
    """`random` or `file`."""
    subsets: int
    """Drawn a question where there is no closed form."""

    def point(self, name: str, n: int, seed: int) -> dict[str, Any]:
        """One row of the table `curve`, without rule and n."""
        values = self.tables[name][n]
        known = values.dropna()
        finding = mean_finding(
            "accuracy",
            known,
            subject=name,
            n_traces=int(self.sizes.reindex(known.index).sum()),
            n_excluded=len(values) - len(known),
            method=f"{self.how(name, n)}, {self.order} order",
            seed=seed,
        )
        return {
            "accuracy": finding.estimate,
            "low": finding.low,
            "high": finding.high,
            "n_questions": finding.n_questions,
            "n_excluded": finding.n_excluded,
            "method": finding.method,
            "seed": seed,
        }

    def how(self, name: str, n: int) -> str:
        """Whether a rule's accuracy at n is exact, or the mean of so many subsets."""
        rule = self.rules[name]
        sampled = self.sizes[(self.sizes > n) & (n > 1)]
        closed = isinstance(rule, str) or (rule.equal and (sampled <= EXACT_UP_TO).all())
        if self.order == "file" or closed or sampled.empty:
            return "exact"
        return f"mean of {self.subsets} subsets"


def curves_of(
    run: Run,
    rules: Sequence[str],
    n: Sequence[int] | None,
    order: str,
    subsets: int,
    seed: int,
    model: str | None = None,
    engine: str | None = None,
) -> Curves:
    """The expected accuracies of rules on a run; see `curve`."""
    _check(run, rules, order, subsets)
    answers = need(run, "answers")
    with_gold = answers[answers["correct"].notna()].reset_index(drop=True)
    sizes = with_gold["question_id"].value_counts()
    most = int(sizes.max()) if len(sizes) else 0
    if not most:
        raise InputError(f"{run.path}: no question has gold, so that there is no accuracy to draw")
    counts = _default_counts(most) if n is None else sorted(set(n))
    if counts[0] < 1 or counts[-1] > most:
        raise InputError(f"n must lie between 1 and {most}, the most traces of a question")
    voting = [rule for rule in rules if rule != PASS]
    loaded, known = load_rules(run, with_gold, voting, model, engine) if voting else ([], with_gold)
    by_name: dict[str, str | Rule] = {rule.name: rule for rule in loaded}
    by_name |= {PASS: PASS} if PASS in rules else {}
    return Curves(
        rules=by_name,
        counts=counts,
        tables={
            name: expected_accuracy(known, rule, counts, order, subsets, seed)
            for name, rule in by_name.items()
        },
        sizes=sizes,
        order=order,
        subsets=subsets,
    )


def _check(run: Run, rules: Sequence[str], order: str, subsets: int) -> None:
    if order not in ("random", "file"):
        raise InputError(f"unknown order {order!r}: choose from random, file")
    if subsets < 200:
        raise InputError(f"subsets is {subsets}: at least 200 are needed for a steady estimate")
    if not rules:
        raise InputError("name at least one rule, such as majority")
    for rule in rules:
        if rule not in (PASS, ALL) and load_rule(rule).asks:
            raise InputError(f"{rule} asks the model about all traces at once: it has no curve")
    if run.identity.adaptive:
        raise InputError(
            f"{run.path} was sampled adaptively: questions were stopped for what they answered, so "
            "that their first n traces are no sample of all; make a run without --adaptive"
        )


def _default_counts(most: int) -> list[int]:
    usual = [1, 2, 3, 5, 8, 12, 16, 24, 32, 40, 64, 100, 200, 500, 1000]
    return sorted({count for count in usual if count < most} | {most})


def difference(
    rule: str, baseline: str, one: pd.Series, other: pd.Series, sizes: pd.Series, seed: int
) -> Finding:
    """The mean difference of two columns of expected accuracies, paired by question."""
    gaps = (one - other).dropna()
    return mean_finding(
        "accuracy",
        gaps,
        subject=rule,
        baseline=baseline,
        n_traces=int(sizes.reindex(gaps.index).sum()),
        n_excluded=len(one) - len(gaps),
        method="difference of expected accuracies, paired by question; 95% bootstrap",
        seed=seed,
    )
