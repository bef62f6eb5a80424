"""Do the witnesses agree? Answers, reasoning paths and hidden states of the same traces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from analysis.agreement.kinds import kinds_of
from analysis.agreement.suspicion import suspicion_of
from analysis.findings import as_table, mean_finding
from analysis.geometry.clusters import choose_place, cluster_states
from analysis.mutual import compare
from analysis.prerequisites import need
from analysis.statistics import auroc, auroc_interval
from analysis.voting import ballots_of, load_rule, outcomes
from cot.run import Run
from cot.types import Finding

__all__ = ["agree"]

KEYS = ["question_id", "sample_index"]
PAIRS = {
    "answers × paths": ("answer", "path"),
    "answers × hidden states": ("answer", "cluster"),
    "paths × hidden states": ("path", "cluster"),
}


def agree(
    run: Run, layer: int | None = None, position: str | None = None, seed: int = 0
) -> pd.DataFrame:
    """Compare the three partitions of each question's traces; writes and returns `agreement`.

    One row a question: question_id; kinds (list, see `analysis.agreement.kinds`); suspicion and why
    (see `.suspicion`); n_answers, n_paths, n_hidden (classes among the traces compared);
    ami_answers_paths, ami_answers_hidden, ami_paths_hidden (NaN where a partition has one class);
    share and correct of the majority vote; layer, position of the hidden states.

    Traces without a valid answer or without a captured state are left out of the comparison. Also
    writes `hidden_clusters`, and `findings_agree`: the mean AMI of each pair over questions with
    its interval, and beside it what permuted labels give (null_mean, null_high: 95th percentile,
    p); then how well suspicion, and vote share alone, rank wrong majorities above right ones.

    Args:
        layer: of the hidden states; the middle one captured by default.
        position: likewise; `pre_answer` by default.
        seed: of permutations and bootstrap.
    """
    answers = need(run, "answers")
    paths = need(run, "paths")
    need(run, "fidelity")
    chosen = choose_place(run, layer, position)
    scores = _probe_scores(run, answers)
    parameters = {"layer": layer, "position": position, "seed": seed}
    clusters = cluster_states(run, *chosen)
    run.write_table(
        "hidden_clusters",
        clusters,
        command="agree",
        parameters=parameters,
        inputs=["activations"],
    )
    majority = outcomes(answers, load_rule("majority")).set_index("question_id")
    traces = _line_up(answers, paths, clusters, scores, chosen)
    agreement, comparisons = _compare(traces, majority, chosen, seed)
    inputs = ["answers", "paths", "hidden_clusters"]
    inputs += ["probe_scores"] * ("probe_scores" in run.tables())
    run.write_table("agreement", agreement, command="agree", parameters=parameters, inputs=inputs)
    run.write_table(
        "findings_agree",
        _findings(agreement, comparisons, len(traces), seed),
        command="agree",
        parameters=parameters,
        inputs=["agreement"],
    )
    return agreement


def _probe_scores(run: Run, answers: pd.DataFrame) -> pd.DataFrame:
    """Scores of the probe of correctness; none where no question has gold."""
    if answers["correct"].notna().any():
        scores = need(run, "probe_scores")
        return scores[scores["target"] == "correct"]
    columns = {"layer": "int64", "position": "str", "score": "float64"}
    keys = {"question_id": "str", "sample_index": "int32"}
    return pd.DataFrame(columns=[*keys, *columns]).astype({**keys, **columns})


def _line_up(
    answers: pd.DataFrame,
    paths: pd.DataFrame,
    clusters: pd.DataFrame,
    scores: pd.DataFrame,
    place: tuple[int, str],
) -> pd.DataFrame:
    """Valid traces with answer, path, cluster (-1 where none was captured) and probe score."""
    here = (scores["layer"] == place[0]) & (scores["position"] == place[1])
    valid = ballots_of(answers)[[*KEYS, "answer"]]
    lined = (
        valid.merge(paths[[*KEYS, "path"]], on=KEYS)
        .merge(clusters[[*KEYS, "cluster"]], on=KEYS, how="left")
        .merge(scores.loc[here, [*KEYS, "score"]], on=KEYS, how="left")
    )
    return lined.assign(cluster=lined["cluster"].fillna(-1).astype(int))


def _compare(
    traces: pd.DataFrame, majority: pd.DataFrame, place: tuple[int, str], seed: int
) -> tuple[pd.DataFrame, dict[str, Any]]:
    groups = dict(list(traces.groupby("question_id", sort=False)))
    nothing = traces.iloc[:0]
    rows = []
    for question_id, vote in majority.iterrows():
        mine = groups.get(question_id, nothing)
        answer = vote["answer"] if isinstance(vote["answer"], str) else None
        suspicion, why = suspicion_of(mine, answer)
        rows.append(
            {
                "question_id": question_id,
                "kinds": kinds_of(mine, answer),
                "suspicion": suspicion,
                "why": why,
                "n_answers": mine["answer"].nunique(),
                "n_paths": mine["path"].nunique(),
                "n_hidden": mine.loc[mine["cluster"] >= 0, "cluster"].nunique(),
                "share": vote["share"],
                "correct": vote["correct"],
                "layer": place[0],
                "position": place[1],
            }
        )
    table = pd.DataFrame(rows).astype({"correct": "boolean"})
    comparisons = {}
    for offset, (name, (one, other)) in enumerate(PAIRS.items()):
        partitions = []
        for question_id in table["question_id"]:
            mine = groups.get(question_id, nothing)
            if "cluster" in (one, other):
                mine = mine[mine["cluster"] >= 0]
            partitions.append((mine[one].to_numpy(), mine[other].to_numpy()))
        comparisons[name] = compare(partitions, seed=seed + offset)
        column = "ami_" + name.replace(" × ", "_").replace("_hidden states", "_hidden")
        table[column] = comparisons[name].values
    return table, comparisons


def _findings(
    agreement: pd.DataFrame, comparisons: dict[str, Any], n_traces: int, seed: int
) -> pd.DataFrame:
    findings: list[Finding] = []
    controls: list[tuple[float, float, float]] = []
    for name, result in comparisons.items():
        known = result.values[~np.isnan(result.values)]
        findings.append(
            mean_finding(
                name,
                known,
                n_traces=n_traces,
                n_excluded=len(result.values) - len(known),
                method="mean AMI over questions where both have two classes or more, others "
                "excluded; 95% bootstrap over questions; null: labels permuted within questions",
                seed=seed,
            )
        )
        null = result.null if len(known) else np.array([np.nan])
        p = np.nan if result.p is None else result.p
        controls.append((float(null.mean()), float(np.quantile(null, 0.95)), p))
    judged = agreement[agreement["correct"].notna() & agreement["share"].notna()]
    wrong = ~judged["correct"].astype(bool)
    for name, score in (
        ("suspicion → wrong majority", judged["suspicion"]),
        ("1 − share → wrong majority", 1 - judged["share"]),
    ):
        value = auroc(wrong, score)
        low, high = auroc_interval(wrong, score, judged["question_id"], seed=seed)
        known = not np.isnan(value)
        findings.append(
            Finding(
                name=name,
                estimate=value if known else None,
                low=low if known else None,
                high=high if known else None,
                n_questions=len(judged),
                n_traces=n_traces,
                n_excluded=len(agreement) - len(judged),
                method="AUROC over questions; no gold or no vote excluded; chance is 0.5"
                + ("" if known else "; undefined: all majorities are right, or all are wrong"),
                seed=seed,
            )
        )
        controls.append((0.5, np.nan, np.nan))
    null_mean, null_high, p = zip(*controls, strict=True)
    return as_table(findings, null_mean=null_mean, null_high=null_high, p=p)
