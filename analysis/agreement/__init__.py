"""Do a run's answers, reasoning and hidden states agree? The same traces, compared three ways.

`trace_labels.py` lines up each trace's classes, `coefficients.py` says how far they agree and what
chance gives, `rater_agreement.py` what each would answer, `question_kinds.py` in which way they
differ and which question to look at first, `forced_and_latent.py` whether an answer was there
before the reasoning, `moved_answers.py` whether states moved it and steps matter to it.

>>> agree(run).sort_values("suspicion", ascending=False).head(10)     # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.agreement.coefficients import coefficients, sweep
from analysis.agreement.forced_and_latent import (
    before_reasoning,
    before_reasoning_findings,
    looks,
)
from analysis.agreement.moved_answers import (
    headline_of,
    knockout_findings,
    knockout_scores,
    moved_by_question,
    moved_findings,
    moved_traces,
)
from analysis.agreement.question_kinds import (
    DECIDED,
    decided,
    kinds_of,
    kinds_table,
    suspicion_of,
)
from analysis.agreement.rater_agreement import alpha, chance, rater_pairs, raters_worth, ratings
from analysis.agreement.trace_labels import (
    PARTITIONS,
    Available,
    Place,
    available,
    line_up,
)
from analysis.catalogue import compared, need
from analysis.declaration import Shown, analysis
from analysis.findings import as_table
from analysis.statistics import auroc, auroc_interval
from analysis.voting import load_rule, outcomes
from cot.store.run import Run
from cot.types import Finding

__all__ = ["agree"]

HEADLINE = ("ami", "three_way")
PERMUTED = (
    "mean over questions in which every partition has two classes or more, others excluded; 95% "
    "bootstrap over questions; null: labels permuted within questions"
)


SUSPICIOUS = 10
"""Most questions that `cot agree` names."""


def _show(run: Run, table: pd.DataFrame) -> Shown:
    findings = run.table("findings_agree").to_dict("records")
    kinds = run.table("agreement_kinds").set_index("kind")
    present = kinds[kinds["n"] > 0]
    decided = kinds.loc[DECIDED]
    by_chance = int(decided["n_by_chance"]) if decided["n_control"] else None
    worst = table.sort_values("suspicion", ascending=False, kind="stable").head(SUSPICIOUS)
    columns = ["question_id", "suspicion", "correct", "kinds", "why"]
    columns += [name for name in ("states_moved",) if name in worst]
    suspicious = worst[columns].to_dict("records")
    raters, pairs = run.table("agreement_raters"), run.table("agreement_rater_pairs")
    missing = run.table("agreement_missing").to_dict("records")
    json = {
        "agreement": findings,
        "raters": raters.to_dict("records"),
        "rater_pairs": pairs.to_dict("records"),
        "kinds": present["n"].to_dict(),
        "decided_by_chance": by_chance,
        "suspicious": suspicious,
        "missing": missing,
    }
    numbers = ("measure", "subject", "estimate", "low", "high", "null_mean", "null_high", "p")
    tables: list[list[dict[str, Any]]] = [
        [{name: row[name] for name in (*numbers, "n_questions")} for row in findings],
        raters.drop(columns="seed").to_dict("records"),
        pairs.drop(columns="seed").to_dict("records"),
        [
            {"kind": kind, "questions": n, "by chance": by_chance if kind == DECIDED else None}
            for kind, n in present["n"].items()
        ],
        [{**row, "kinds": list(row["kinds"])} for row in suspicious],
        [{"left out": row["what"], "why": row["why"], "add": row["command"]} for row in missing],
    ]
    return Shown(json=json, tables=[rows for rows in tables if rows])


def _beside(run: Run, other: Sequence[Path], /, **asked: Any) -> Shown:
    """Other runs: they are compared with the first by their agreement, as `cot compare` does."""
    return compared("agree", "agreement", run, other, **asked)


@analysis(
    makes={
        "agreement": "one row a question: agreement of answers, reasoning and states, suspicion",
        "agreement_coefficients": "how far each pair of partitions agrees, by each measure",
        "agreement_places": "the same at each captured layer and position",
        "agreement_raters": "how often each rater is right",
        "agreement_rater_pairs": "how often two raters say the same",
        "agreement_kinds": "how many questions are of each kind, and what chance gives",
        "agreement_before_reasoning": "answers forced without reasoning beside latent ones",
        "agreement_missing": "what the run lacks to compare, and the command that adds it",
        "findings_agree": "mean agreement of each pair beside its null; what suspicion is worth",
    },
    show=_show,
    views={"other": _beside},
)
def agree(
    run: Run, layer: int | None = None, position: str | None = None, seed: int = 0
) -> pd.DataFrame:
    """Compare the partitions of each question's traces; writes and returns `agreement`.

    One row a question: question_id; kinds (list) and decided_control (whether it would be `decided
    before reasoning` by another question's state; missing where unknown); suspicion and why (all
    these: see `analysis.agreement.question_kinds`); answer, share and correct of the majority vote;
    n_traces, n_answers, n_clusters, n_hidden (classes among valid traces); n_checked and n_reaching
    of the majority's traces (those with an equation that can be checked, and those of them whose
    answer comes from a false one);
    ami_answers_clusters, ami_answers_hidden, ami_clusters_hidden, three_way (NaN where a partition
    has one class); faithfulness of the majority's traces (mean, NaN where unknown); one column
    `RATER_vote` a rater (its answer); layer, position of the hidden states. Where `cot intervene`
    was run, also states_moved and n_patched, and knockout_doubt, suspicion_without_knockout and
    n_doubts (see `.moved_answers`).

    Also writes `agreement_coefficients` and `agreement_places` (see `.coefficients`),
    `agreement_raters` (what each rater is worth) and `agreement_rater_pairs` (see
    `.rater_agreement`), `agreement_kinds` (see `kinds_table`), `agreement_before_reasoning` (see
    `.forced_and_latent`), `agreement_missing` (what, why, command: what the run lacks), and
    `findings_agree`: the mean AMI of each pair and the three-way coefficient with interval and null
    (null_mean, null_high: 97.5th percentile, p), Krippendorff's alpha over the raters' verdicts,
    and how well suspicion, and vote share alone, rank wrong majorities above right ones; where
    states were patched, how often they moved the answer, and where steps were knocked out, what
    that doubt adds to suspicion.

    Traces without a valid answer are left out, and those without a captured state wherever hidden
    states are compared. No model is run: what the run has is compared, and what it lacks (hidden
    states, a probe, the lens, faithfulness tests) is named with the command that adds it.

    Args:
        layer: layer of the hidden states; by default the middle one that was captured.
        position: position of the hidden states; by default `pre_answer` where it was captured.
        seed: seed of the permutations and of the bootstrap.

    Raises:
        InputError: no hidden states at the layer and position that are asked for.
    """
    answers = need(run, "answers")
    there = available(run, layer, position)
    traces = line_up(run, answers, there)
    named, right = ratings(run, answers, there.tables)
    majority = outcomes(answers, load_rule("majority")).set_index("question_id")
    nothing = traces.iloc[:0]
    found = dict(list(traces.groupby("question_id", sort=False)))
    groups = {str(name): found.get(name, nothing) for name in majority.index}
    known = [name for name in PARTITIONS if name != "hidden states" or there.place is not None]
    table, values = coefficients(groups, known, seed)
    agreement = _agreement(groups, majority, named, values, there.place)
    findings, nulls = _findings(agreement, table, right, len(traces), seed)
    if "interventions" in there.tables:
        agreement, made = _moved(run, there, agreement, groups, seed)
        findings, nulls = [*findings, *made[0]], [*nulls, *made[1]]
    if {"faithfulness", "lens_traces"} <= there.tables:
        both = looks(need(run, "faithfulness"), need(run, "lens_traces"))
        run.write_table("agreement_before_reasoning", before_reasoning(both))
        kappas = before_reasoning_findings(both, len(traces), seed)
        findings, nulls = [*findings, *kappas], [*nulls, *[[0.0, np.nan]] * len(kappas)]
    if there.place is not None:
        places = sweep(groups, need(run, "hidden_clusters"), seed)
        run.write_table("agreement_places", places)
    lacking = [asdict(each) for each in there.missing]
    run.write_table("agreement_missing", pd.DataFrame(lacking, columns=["what", "why", "command"]))
    run.write_table("agreement_coefficients", table)
    run.write_table("agreement_raters", raters_worth(right, seed))
    run.write_table("agreement_rater_pairs", rater_pairs(named, chance(answers), seed))
    run.write_table("agreement_kinds", kinds_table(agreement, seed))
    run.write_table("agreement", agreement)
    null_mean, null_high = zip(*nulls, strict=True)
    run.write_table(
        "findings_agree", as_table("agree", findings, null_mean=null_mean, null_high=null_high)
    )
    return agreement


def _agreement(
    groups: Mapping[str, pd.DataFrame],
    majority: pd.DataFrame,
    named: pd.DataFrame,
    values: Mapping[str, Any],
    place: Place | None,
) -> pd.DataFrame:
    rows = []
    for question_id, traces in groups.items():
        vote = majority.loc[question_id]
        answer = _known(vote["answer"])
        probe = _known(named.at[question_id, "probe"]) if "probe" in named else None
        correct = None if pd.isna(vote["correct"]) else bool(vote["correct"])
        suspicion, why = suspicion_of(traces, answer)
        checked = traces[(traces["answer"] == answer) & (traces["n_checked"] > 0)]
        control = traces["decided_control"].dropna()
        rows.append(
            {
                "question_id": question_id,
                "kinds": kinds_of(traces, answer, correct, probe),
                "decided_control": decided(control) if len(control) else None,
                "suspicion": suspicion,
                "why": why,
                "answer": answer,
                "share": vote["share"],
                "correct": correct,
                "n_traces": len(traces),
                "n_answers": traces["answer"].nunique(),
                "n_clusters": traces["cluster"].nunique(),
                "n_hidden": traces["hidden"].nunique(),
                "n_checked": len(checked),
                "n_reaching": int((checked["n_reaching"] > 0).sum()),
                "faithfulness": traces.loc[traces["answer"] == answer, "faithfulness"].mean(),
                "layer": None if place is None else place[0],
                "position": None if place is None else place[1],
            }
        )
    table = pd.DataFrame(rows).astype(
        {"correct": "boolean", "decided_control": "boolean", "layer": "Int64", "answer": object}
    )
    for column, name in COLUMNS.items():
        table[column] = values.get(name, np.full(len(table), np.nan))
    votes = named.reindex(table["question_id"])
    return table.assign(**{f"{rater}_vote": votes[rater].to_numpy(object) for rater in votes})


def _moved(
    run: Run,
    there: Available,
    agreement: pd.DataFrame,
    groups: Mapping[str, pd.DataFrame],
    seed: int,
) -> tuple[pd.DataFrame, tuple[list[Finding], list[list[float]]]]:
    """The table with what interventions say of each question, the findings and their nulls."""
    interventions = need(run, "interventions")
    n_traces = sum(len(traces) for traces in groups.values())
    made: list[Finding] = []
    nulls: list[list[float]] = []
    place = None
    if "intervention_effects" in there.tables:
        place = headline_of(need(run, "intervention_effects"))
    if place is not None:
        traces = moved_traces(interventions, place)
        found = moved_findings(traces, place, n_traces, seed)
        made, nulls = [*made, *found[0]], [*nulls, *found[1]]
        columns = moved_by_question(traces, agreement["question_id"])
        agreement = agreement.assign(**{name: columns[name] for name in columns})
    if interventions["method"].str.startswith("knockout").any():
        majority = dict(
            zip(agreement["question_id"], map(_known, agreement["answer"]), strict=True)
        )
        columns = knockout_scores(groups, majority)
        agreement = agreement.assign(**{name: columns[name] for name in columns})
        found = knockout_findings(agreement, n_traces, seed)
        made, nulls = [*made, *found[0]], [*nulls, *found[1]]
    return agreement, (made, nulls)


COLUMNS = {
    "ami_answers_clusters": "answers × clusters",
    "ami_answers_hidden": "answers × hidden states",
    "ami_clusters_hidden": "clusters × hidden states",
    "three_way": "answers × clusters × hidden states",
}
"""Column of `agreement` to the coefficient."""


def _known(answer: Any) -> str | None:
    return answer if isinstance(answer, str) else None


def _findings(
    agreement: pd.DataFrame, table: pd.DataFrame, right: pd.DataFrame, n_traces: int, seed: int
) -> tuple[list[Finding], list[list[float]]]:
    """The findings, and for each the mean and the 97.5th percentile of its null."""
    headline = table[table["measure"].isin(HEADLINE)]
    findings = [
        Finding(
            measure=row["measure"],
            subject=row["subject"],
            estimate=_number(row["estimate"]),
            low=_number(row["low"]),
            high=_number(row["high"]),
            p=_number(row["p"]),
            n_questions=row["n_questions"],
            n_traces=row["n_traces"],
            n_excluded=row["n_excluded"],
            method=f"{'AMI' if row['measure'] == 'ami' else 'three-way coefficient'}, {PERMUTED}",
            seed=seed,
        )
        for row in headline.to_dict("records")
    ]
    nulls: list[list[float]] = headline[["null_mean", "null_high"]].to_numpy(float).tolist()
    value, low, high, n = alpha(right, seed)
    findings.append(
        Finding(
            measure="krippendorff_alpha",
            subject="raters",
            estimate=_number(value),
            low=_number(low),
            high=_number(high),
            n_questions=n,
            n_traces=n_traces,
            n_excluded=len(right) - n,
            method=f"Krippendorff's alpha over {', '.join(right)}: right or wrong; 0 is chance; "
            "questions without gold excluded; 95% bootstrap over questions",
            seed=seed,
        )
    )
    nulls.append([0.0, np.nan])
    judged = agreement[agreement["correct"].notna() & agreement["share"].notna()]
    wrong = ~judged["correct"].astype(bool)
    for subject, score in (
        ("suspicion", judged["suspicion"]),
        ("vote_share", 1 - judged["share"]),
    ):
        value = auroc(wrong, score)
        low, high = auroc_interval(wrong, score, judged["question_id"], seed=seed)
        undefined = "; undefined: all majorities are right, or all are wrong"
        findings.append(
            Finding(
                measure="auroc",
                subject=subject,
                estimate=_number(value),
                low=_number(low),
                high=_number(high),
                n_questions=len(judged),
                n_traces=n_traces,
                n_excluded=len(agreement) - len(judged),
                method="AUROC over questions: higher where the majority is wrong (vote_share: 1 - "
                "share); no gold or no vote excluded; chance is 0.5"
                + (undefined if np.isnan(value) else ""),
                seed=seed,
            )
        )
        nulls.append([0.5, np.nan])
    return findings, nulls


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
