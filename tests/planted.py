"""A small run folder with every table, planted rather than computed: deterministic, no model.

Twelve questions of the form a + b with eight traces each. Question i has i % 4 * 2 wrong traces, a
few traces state no answer or are cut off, and the last question has no gold. Question q04 is right
for the wrong reason: five of its eight traces state a false equation, and all the right answer. The
answers agree with the hidden states, and the paths with neither. Numbers of analyses
that would need a model (probes, agreement) are made up but consistent in their keys and ranges.

    run = planted_run(tmp_path / "run")
    run = planted_run(tmp_path / "run", tables=["answers"], texts={("q00", 0): "<script>"})
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from planted_agreement import agreement
from planted_faithfulness import faithfulness
from planted_inside import LAYERS, POSITIONS, inside
from planted_interventions import interventions
from written import write_table

from analysis.findings import as_table
from cot.store.run import Run, create_run
from cot.types import Completion, Finding, Message, Question, Trace

N_QUESTIONS, N_TRACES = 12, 8
WRONG_REASON = 4
"""The question that is right for the wrong reason."""
IDENTITY: dict[str, Any] = {
    "model": "planted-135m",
    "revision": None,
    "engine": "replay",
    "dtype": "float32",
    "prompt": "few_shot_cot",
    "prompt_sha256": "0" * 64,
    "form": "text",
    "sampling": {
        "temperature": 0.7,
        "top_p": 0.95,
        "top_k": 0,
        "max_tokens": 64,
        "stop": ["\n\n"],
        "top_logprobs": 0,
    },
    "dataset": "arithmetic",
    "dataset_sha256": "1" * 64,
    "seed": 0,
}
HOSTILE = (
    "<script>window.hacked = 1</script></script><img src=x onerror=window.hacked=2> <!-- "
    "\x1b[31mred\x1b[0m ]]> \u2028 {{ 7 * 7 }} &amp; \u202eevil. 😀 The answer is 13."
)
"""A trace that tries everything; its stated answer is 13."""
PROMPT: tuple[Message, ...] = (
    {"role": "system", "content": "Think step by step. <b>No markup.</b>"},
    {"role": "user", "content": "How many pens does Ada have now?"},
)
"""What every question's traces answer."""
INPUTS = {
    "answers": ["traces", "questions"],
    "greedy_answers": ["samples/greedy", "questions"],
    "steps": ["traces"],
    "votes": ["answers", "questions"],
    "findings_vote": ["votes", "answers", "greedy_answers"],
    "curve": ["answers"],
    "paths": ["traces", "steps", "answers"],
    "step_checks": ["traces", "steps"],
    "cluster_names": ["traces", "paths"],
    "path_map": ["traces", "answers"],
    "findings_paths": ["paths", "answers"],
    "logprob_gaps": ["traces"],
    "probes": ["answers"],
    "probe_scores": ["answers"],
    "findings_probe": ["probes"],
    "hidden_clusters": ["answers"],
    "agreement": ["answers", "paths", "hidden_clusters"],
    "agreement_coefficients": ["answers", "paths", "hidden_clusters"],
    "agreement_places": ["answers", "paths", "hidden_clusters"],
    "agreement_raters": ["answers", "paths"],
    "agreement_rater_pairs": ["answers", "paths"],
    "agreement_kinds": ["answers", "paths"],
    "agreement_before_reasoning": ["answers"],
    "agreement_missing": ["answers"],
    "findings_agree": ["agreement"],
    "lens": ["answers", "steps"],
    "lens_traces": ["answers", "steps"],
    "lens_layers": ["answers", "steps"],
    "lens_tokens": ["answers"],
    "findings_lens": ["lens_traces"],
    "similarity": ["answers"],
    "dimension": ["answers"],
    "eigen_scores": ["answers"],
    "eigen_layers": ["answers"],
    "state_map": ["answers"],
    "trajectories": ["answers", "steps"],
    "trajectory_steps": ["answers", "steps"],
    "findings_geometry": ["similarity"],
    "faithfulness": ["answers"],
    "faithfulness_traces": ["answers"],
    "faithfulness_curves": ["answers"],
    "faithfulness_steps": ["answers"],
    "faithfulness_profile": ["answers"],
    "faithfulness_tests": [],
    "findings_faithfulness": ["answers"],
    "interventions": ["answers", "steps"],
    "interventions_sampled": ["answers"],
    "intervention_steps": ["answers", "steps"],
    "intervention_effects": ["interventions"],
    "findings_intervene": ["interventions"],
    "probe_verdicts": ["interventions"],
}
"""Every table in the order in which it can be made, with what it is made from."""
COMMANDS = {
    "greedy_answers": "answers",
    "steps": "paths",
    "votes": "vote",
    "logprob_gaps": "capture",
}
COMMANDS |= {"step_checks": "paths", "cluster_names": "paths", "path_map": "paths"}
COMMANDS |= {"findings_vote": "vote", "findings_paths": "paths", "findings_agree": "agree"}
COMMANDS |= {"probes": "probe", "probe_scores": "probe", "findings_probe": "probe"}
COMMANDS |= {"agreement": "agree", "lens_traces": "lens", "lens_tokens": "lens"}
COMMANDS |= {"findings_lens": "lens", "findings_geometry": "geometry"}
COMMANDS |= dict.fromkeys(("similarity", "dimension"), "geometry")
COMMANDS |= dict.fromkeys(("agreement_coefficients", "agreement_places"), "agree")
COMMANDS |= dict.fromkeys(("faithfulness_traces", "faithfulness_curves"), "faithfulness")
COMMANDS |= dict.fromkeys(("faithfulness_steps", "faithfulness_profile"), "faithfulness")
COMMANDS |= {"faithfulness_tests": "faithfulness"}
COMMANDS |= {"findings_faithfulness": "faithfulness"}
COMMANDS |= dict.fromkeys(("agreement_raters", "agreement_rater_pairs"), "agree")
COMMANDS |= dict.fromkeys(("agreement_kinds", "agreement_missing"), "agree")
COMMANDS |= {"agreement_before_reasoning": "agree"}
COMMANDS |= dict.fromkeys(("hidden_clusters", "eigen_scores", "eigen_layers"), "states")
COMMANDS |= dict.fromkeys(("state_map", "trajectories", "trajectory_steps"), "geometry")
COMMANDS |= {"lens_layers": "lens"}
COMMANDS |= dict.fromkeys(("interventions", "interventions_sampled"), "intervene")
COMMANDS |= dict.fromkeys(("intervention_steps", "intervention_effects"), "intervene")
COMMANDS |= dict.fromkeys(("findings_intervene", "probe_verdicts"), "intervene")


def planted_run(
    folder: Path,
    *,
    tables: Collection[str] | None = None,
    texts: Mapping[tuple[str, int], str] | None = None,
    identity: Mapping[str, Any] | None = None,
) -> Run:
    """Write the run and return it.

    Args:
        tables: names of the tables to write; all where None.
        texts: (question_id, sample_index) to a text that replaces that trace's.
        identity: replaces the run's identity.
    """
    run = create_run(folder, identity or IDENTITY)
    traces = _traces(texts or {})
    with run.lock():
        run.add_questions([_question(i) for i in range(N_QUESTIONS)])
        run.add_prompts({"planted": (PROMPT, None)})
        for purpose in (None, "greedy"):
            with run.writer(purpose) as writer:
                for row in traces if purpose is None else traces[::N_TRACES]:
                    writer.add(_trace(row, "" if purpose is None else "greedy"))
    frames = _frames(tuple((texts or {}).items()))
    for name, inputs in INPUTS.items():
        if tables is None or name in tables:
            there = [source for source in inputs if "/" in source or run.fingerprint(source)]
            command = COMMANDS.get(name, name)
            write_table(
                run, name, frames[name], command=command, parameters={"seed": 0}, inputs=there
            )
    return run


def _question(i: int) -> Question:
    text = f"Ada has {i + 3} pens. Ada gets {i + 5} more. How many pens does Ada have now?"
    gold = None if i == N_QUESTIONS - 1 else str(2 * i + 8)
    return Question(id=f"q{i:02d}", text=text, gold=gold, dataset="arithmetic")


def _traces(texts: Mapping[tuple[str, int], str]) -> list[dict[str, Any]]:
    """One dict a trace: its text, and the truth about it."""
    rows = []
    for i in range(N_QUESTIONS):
        right = 2 * i + 8
        for k in range(N_TRACES):
            wrong = k >= N_TRACES - (i % 4) * 2
            stated = str(right - (1 + k % 2) if wrong else right)
            status = (
                "truncated" if (i, k) == (2, 7) else "missing" if k == 7 and i % 5 == 1 else "ok"
            )
            first = f"Ada starts with {i + 3} pens."
            says = right + 1 if i == WRONG_REASON and k < 5 else stated
            second = f"She gets {i + 5} more, so {i + 3} + {i + 5} = {says}."
            last = f"The answer is {stated}." if status == "ok" else "And then"
            steps = [first, second, last] if k % 2 == 0 else [second, last]
            key = (f"q{i:02d}", k)
            text = texts.get(key, " ".join(steps))
            start = text.rfind(stated) if status == "ok" else -1
            rows.append(
                {
                    "question_id": key[0],
                    "sample_index": k,
                    "body": text,
                    "steps": steps if key not in texts else [text],
                    "stated": stated if status == "ok" else None,
                    "status": status,
                    "span": (start, start + len(stated)) if start >= 0 else None,
                    "right": None if i == N_QUESTIONS - 1 else status == "ok" and not wrong,
                }
            )
    return rows


def _trace(row: Mapping[str, Any], variant: str) -> Trace:
    tokens = tuple(range(len(row["body"].split())))
    return Trace(
        question_id=row["question_id"],
        sample_index=0 if variant else row["sample_index"],
        seed=row["sample_index"],
        prompt_sha="planted",
        completion=Completion(
            text=row["body"],
            token_ids=tokens,
            logprobs=np.full(len(tokens), -0.5, np.float32),
            finish_reason="length" if row["status"] == "truncated" else "stop",
        ),
        variant=variant,
    )


@cache
def _frames(texts: tuple[tuple[tuple[str, int], str], ...]) -> dict[str, pd.DataFrame]:
    """The tables of a run with these texts; the same few runs are planted again and again."""
    return _tables(pd.DataFrame(_traces(dict(texts))))


def _tables(truth: pd.DataFrame) -> dict[str, pd.DataFrame]:
    answers, checks = _answers(truth), _step_checks(truth)
    paths = _paths(truth, checks)
    greedy = answers[answers["sample_index"] == 0].reset_index(drop=True)
    votes = _votes(answers)
    probes, scores = _probes(answers)
    return {
        "answers": answers,
        "greedy_answers": greedy,
        "steps": _steps(truth),
        "votes": votes,
        "findings_vote": _findings_vote(answers, votes),
        "curve": _curve(),
        "paths": paths,
        "step_checks": checks,
        "cluster_names": _cluster_names(paths),
        "path_map": _path_map(truth),
        "findings_paths": as_table(
            "paths",
            [
                _found("clusters_per_question", 2.0, 1.8, 2.2),
                _found("same_answer_different_cluster", 0.5, 0.41, 0.6),
                _found("same_cluster_different_answer", 0.4, 0.31, 0.5),
                _found("right_over_wrong_equation", 0.0, 0.0, 0.04),
                _found("cluster_entropy", 0.69, 0.6, 0.7),
            ],
            null_mean=np.full(5, np.nan),
            null_high=np.full(5, np.nan),
        ),
        "logprob_gaps": truth[["question_id", "sample_index"]].assign(
            n_tokens=12, max_logprob_gap=2e-5, flagged=False
        ),
        "probes": probes,
        "probe_scores": scores,
        "findings_probe": as_table(
            "probe",
            [
                _found("auroc", 0.78, 0.70, 0.86, subject="correct"),
                _found("within_question_auroc", 0.56, 0.47, 0.65, subject="correct"),
                _found("within_question_auroc", 0.7, 0.6, 0.8, subject="majority"),
                _found("r2", 0.4, 0.3, 0.5, subject="step_value"),
            ],
            control=[0.5, 0.49, 0.5, -0.02],
            length=[0.57, 0.52, 0.62, 0.01],
            tfidf=[0.61, 0.55, 0.55, 0.1],
            embedding=[0.61, 0.55, 0.55, 0.1],
            position_only=[0.5] * 4,
        ),
        **inside(truth),
        **faithfulness(truth),
        **interventions(truth),
        "findings_lens": _findings_lens(),
        "findings_geometry": _findings_geometry(),
        **agreement(votes, answers, checks),
    }


def _answers(truth: pd.DataFrame) -> pd.DataFrame:
    spans = [span or (None, None) for span in truth["span"]]
    return truth[["question_id", "sample_index", "status"]].assign(
        text=truth["stated"],
        canonical=truth["stated"],
        answer=truth["stated"],
        pattern=truth["stated"].map(lambda stated: None if stated is None else "cue"),
        start=pd.array([start for start, _ in spans], dtype="Int64"),
        end=pd.array([end for _, end in spans], dtype="Int64"),
        correct=pd.array(list(truth["right"]), dtype="boolean"),
    )


def _steps(truth: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in truth.to_dict("records"):
        at = 0
        for index, step in enumerate(row["steps"]):
            start = row["body"].index(step, at)
            at = start + len(step)
            key = {"question_id": row["question_id"], "sample_index": row["sample_index"]}
            rows.append({**key, "step": index, "start": start, "end": at, "kind": "other"})
    empty = pd.array([pd.NA] * len(rows), dtype="Int64")
    return pd.DataFrame(rows).assign(token_start=empty, token_end=empty)


def _votes(answers: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for question_id, group in answers.groupby("question_id"):
        valid = group[group["status"] == "ok"]
        counts = valid["answer"].value_counts(sort=False)
        top = counts[counts == counts.max()].index
        winner = next(answer for answer in valid["answer"] if answer in top)
        others = counts.drop(winner)
        right = group.loc[group["answer"] == winner, "correct"].iloc[0]
        rows.append(
            {
                "question_id": question_id,
                "rule": "majority",
                "answer": winner,
                "share": counts[winner] / len(valid),
                "margin": (counts[winner] - others.max()) / len(valid) if len(others) else 1.0,
                "tied": len(top) > 1,
                "abstained": False,
                "n_ballots": len(valid),
                "n_excluded": len(group) - len(valid),
                "correct": right,
            }
        )
    return pd.DataFrame(rows).astype({"correct": "boolean"})


def _findings_vote(answers: pd.DataFrame, votes: pd.DataFrame) -> pd.DataFrame:
    known = answers.dropna(subset="correct")
    single = float(known["correct"].astype(float).mean())
    majority = float(votes["correct"].dropna().astype(float).mean())
    gain = majority - single
    counts = {"n_questions": N_QUESTIONS - 1, "n_traces": len(known), "n_excluded": 1}
    found = [
        _found(
            "accuracy",
            majority,
            majority - 0.2,
            min(majority + 0.2, 1.0),
            subject="majority",
            **counts,
        ),
        _found("accuracy", single, single - 0.1, single + 0.1, subject="single", **counts),
        _found("accuracy", 1.0, 1.0, 1.0, subject="greedy", **counts),
        _found(
            "accuracy",
            gain,
            gain - 0.05,
            gain + 0.1,
            subject="majority",
            baseline="single",
            **counts,
        ),
    ]
    invalid = int((known["status"] != "ok").sum())
    return as_table(
        "vote",
        found,
        random_tie=[majority, np.nan, np.nan, np.nan],
        ties=[int(votes["tied"].sum()), 0, 0, 0],
        abstained=[0, 0, 0, 0],
        excluded=[invalid, invalid, 0, invalid],
    )


def _curve() -> pd.DataFrame:
    points = [(1, 0.6), (2, 0.6), (3, 0.66), (5, 0.71), (8, 0.75)]
    return pd.DataFrame(
        {
            "rule": "majority",
            "n": [n for n, _ in points],
            "accuracy": [value for _, value in points],
            "low": [value - 0.15 for _, value in points],
            "high": [value + 0.15 for _, value in points],
            "n_questions": N_QUESTIONS - 1,
            "n_excluded": 0,
            "method": ["exact", *["mean of 200 subsets"] * 3, "exact"],
            "seed": 0,
        }
    )


def _paths(truth: pd.DataFrame, checks: pd.DataFrame) -> pd.DataFrame:
    keys = ["question_id", "sample_index"]
    wrong = checks.assign(wrong=checks["verdict"] == "wrong").groupby(keys)
    counts = wrong.agg(n_checked=("wrong", "size"), n_wrong=("wrong", "sum")).reset_index()
    paths = truth[[*keys, "status"]].merge(counts, on=keys, how="left").fillna({"n_checked": 0})
    number = paths["question_id"].str[1:].astype(int)
    added = "add(" + (number + 3).astype(str) + "," + (number + 5).astype(str) + ")"
    some, used = paths["n_checked"] > 0, paths["status"] == "ok"
    n_wrong = paths["n_wrong"].fillna(0).astype(int)
    return paths[keys].assign(
        cluster=paths["sample_index"] % 2,
        silhouette=0.4,
        threshold=0.2,
        signature=some.map({True: "add", False: ""}),
        dataflow=added.where(some, ""),
        n_checked=paths["n_checked"].astype(int),
        n_wrong=n_wrong,
        n_corrected=0,
        n_reaching=n_wrong,
        wrong_used=used.astype("boolean").where(n_wrong > 0),
        follows=(used & some).astype("boolean").where(used & some),
    )


def _step_checks(truth: pd.DataFrame) -> pd.DataFrame:
    """The one equation of each trace, in its second-last step."""
    rows = []
    for row in truth.to_dict("records"):
        i = int(row["question_id"][1:])
        found = re.search(rf"{i + 3} \+ {i + 5} = (\d+)", row["body"])
        if found is None:
            continue
        rows.append(
            {"question_id": row["question_id"], "sample_index": row["sample_index"]}
            | {"step": len(row["steps"]) - 2, "start": found.start(), "end": found.end()}
            | {"text": found.group(), "operation": "add", "stated": found.group(1)}
            | {"value": str(2 * i + 8), "used_later": row["status"] == "ok"}
            | {"verdict": "right" if int(found.group(1)) == 2 * i + 8 else "wrong"}
        )
    wrong = pd.Series([row["verdict"] == "wrong" for row in rows])
    known = pd.Series(False, wrong.index, dtype="boolean").where(wrong)
    return pd.DataFrame(rows).assign(reaches_answer=~known, corrected=known)


def _cluster_names(paths: pd.DataFrame) -> pd.DataFrame:
    terms = {0: "starts, pens, more", 1: "gets, more"}
    groups = paths.groupby(["question_id", "cluster"])["sample_index"]
    named = groups.agg(size="size", medoid="min").reset_index()
    return named.assign(terms=named["cluster"].map(terms))


def _path_map(truth: pd.DataFrame) -> pd.DataFrame:
    """Clusters lie apart along x; traces of one wording and answer lie at one place."""
    keys = truth[["question_id", "sample_index"]]
    x = truth["sample_index"] % 2 * 3.0
    y = truth["right"].map({True: 0.0, False: 0.5}).fillna(0.0) + keys["sample_index"] // 4 * 0.2
    return keys.assign(x=x, y=y, method="pca")


def _probes(answers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Two targets that are classes, and one that is a number."""
    rows = []
    for j, position in enumerate(POSITIONS):
        for i, layer in enumerate(LAYERS):
            pooled = 0.6 + 0.04 * i + 0.03 * j
            within = 0.5 if position == "prompt_end" else 0.48 + 0.03 * i + 0.02 * j
            counts = {"n_questions": 11, "n_traces": 88, "n_excluded": 8, "seed": 0}
            cell = {"layer": layer, "position": position, **counts}
            method = {"kind": "logistic", "method": "logistic regression, 5 folds of questions"}
            found = (
                cell
                | {"positives": 59, "auprc": 0.8, "brier": 0.2, "selectivity": pooled - 0.5}
                | {"auroc": pooled, "low": pooled - 0.08, "high": pooled + 0.08}
                | {"within_question_auroc": within, "within_low": within - 0.09}
                | {"within_high": within + 0.09, "n_within": 9, "control": 0.5 + 0.01 * (i - 1)}
                | {"control_within": 0.5 - 0.01 * (i - 1), "length": 0.57, "length_within": 0.52}
                | {"tfidf": 0.61, "tfidf_within": 0.55, "embedding": 0.63, "embedding_within": 0.54}
                | {"position_only": 0.5, "position_only_within": 0.5}
                | {"on_wrong_majority": 0.4, "n_wrong_majority": 3, **method}
            )
            best = {"best": (layer, position) == (20, "pre_answer")}
            rows += [{"target": target, **found, **best} for target in ("correct", "majority")]
            fit = {"r2": 0.1 * i + 0.1 * j, "spearman": 0.2 * i, "control_r2": -0.02}
            rows.append({"target": "step_value", **cell, **fit, **method, "best": i + j == 5})
    table = pd.DataFrame(rows)
    table["position"] = table["position"].astype("str")
    whole = ["positives", "n_within", "n_wrong_majority"]
    table[whole] = table[whole].fillna(0).astype(int)
    known = answers.dropna(subset="correct").reset_index(drop=True)
    score = 0.35 + 0.3 * known["correct"].astype(float) + 0.01 * known["sample_index"]
    scores = known[["question_id", "sample_index"]].assign(
        target="correct", layer=20, position="pre_answer", score=score, chosen=True
    )
    return table, scores


def _findings_lens() -> pd.DataFrame:
    return as_table(
        "lens",
        [
            _found("separable", 1.0, 1.0, 1.0),
            _found("stated", 0.98, 0.96, 1.0),
            _found("commitment_depth", 0.75, 0.7, 0.8),
            _found("emergence_step", 0.5, 0.4, 0.6),
            _found("steps_before_answer", 2.0, 1.8, 2.2),
            *_compared("consistency", 0.5, {"control": 0.45}),
            *_compared("consistency_calibrated", 0.7, {"control": 0.4}),
            *_compared("step_agreement", 0.8, {"control": 0.5}),
            *_compared("decided_at_prompt", 0.66, {"control": 0.35, "guess": 0.6}),
        ],
    )


def _compared(measure: str, value: float, controls: Mapping[str, float]) -> list[Finding]:
    """A rate, each of its controls, and the differences, 0.1 to each side."""
    found = [_found(measure, value, value - 0.1, value + 0.1)]
    for label, other in controls.items():
        gap = value - other
        found.append(_found(measure, other, other - 0.1, other + 0.1, subject=label))
        found.append(_found(measure, gap, gap - 0.1, gap + 0.1, baseline=label))
    return found


def _findings_geometry() -> pd.DataFrame:
    found = [
        _found("hidden_clusters_per_question", 1.8, 1.5, 2.0),
        _found("intrinsic_dimension", 8.0, 7.0, 9.0),
        _found("right_wrong_cka", 0.5, 0.4, 0.6, p=0.005),
        _found("right_wrong_cka_loss", 0.05, -0.1, 0.2, p=0.2),
        _found("right_wrong_gap", 0.4, 0.2, 0.6, p=0.002),
        _found("right_wrong_gap_same_length", 0.1, -0.02, 0.2, p=0.04),
    ]
    nulls = {"null_mean": 0.0, "null_high": 0.1}
    without = [np.nan] * 2
    return as_table(
        "geometry", found, **{name: [*without, *[value] * 4] for name, value in nulls.items()}
    )


def _found(measure: str, estimate: float, low: float, high: float, **fields: Any) -> Finding:
    counts = {"n_questions": N_QUESTIONS, "n_traces": N_QUESTIONS * N_TRACES, "n_excluded": 0}
    return Finding(
        measure=measure,
        estimate=estimate,
        low=low,
        high=high,
        method="planted; 95% bootstrap over questions",
        seed=0,
        **{**counts, **fields},
    )
