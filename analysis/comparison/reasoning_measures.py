"""What is measured of the reasoning: agreement, faithfulness, false equations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from analysis.agreement.question_kinds import KINDS
from analysis.comparison.measure import Compared, Measure, counted, mean_of, share_of
from analysis.comparison.sums import AUROC
from analysis.faithfulness_tests.estimates import same_answers
from cot.types import TRACE_KEY

__all__ = ["agreement", "faithfulness", "steps"]

SHARE = "share of questions"
COEFFICIENTS = {
    "ami_answers_clusters": ("ami", "answers × clusters"),
    "ami_answers_hidden": ("ami", "answers × hidden states"),
    "ami_clusters_hidden": ("ami", "clusters × hidden states"),
    "three_way": ("three_way", "answers × clusters × hidden states"),
}
"""Column of table `agreement` to measure and subject, as `findings_agree` has them."""
NUMBERS = {
    "share": ("vote_share", "share of traces", "the winner's share of the valid traces"),
    "n_answers": ("answers_per_question", "answers", "the number of different answers"),
    "n_clusters": ("clusters_per_question", "clusters", "the number of clusters of reasoning"),
    "suspicion": ("suspicion", "score", "the suspicion score"),
}
"""Column of table `agreement` to measure, unit and what it is."""


def agreement(compared: Compared) -> Iterator[Measure]:
    """Coefficients, kinds, and what suspicion and the vote's share are worth as warnings."""
    table = compared.table("agreement", "agreement")
    if table is None:
        return
    table = table.set_index("question_id")
    same: dict[str, Any] = {"family": "agreement", "n_traces": table["n_traces"]}
    for column, (measure, subject) in COEFFICIENTS.items():
        if table[column].notna().any():
            yield Measure(
                measure=measure,
                subject=subject,
                unit="coefficient",
                rows=mean_of(table[column]),
                method="mean over questions in which every partition has two classes or more; 0 is "
                "chance, 1 agreement",
                **same,
            )
        else:
            compared.lacks("agreement", f"{measure} {subject}", "no question has it", "")
    for column, (measure, unit, what) in NUMBERS.items():
        yield Measure(
            measure=measure,
            unit=unit,
            rows=mean_of(table[column]),
            method=f"mean over questions of {what}",
            **same,
        )
    for kind in KINDS:
        marked = table["kinds"].map(lambda kinds, kind=kind: kind in list(kinds))
        yield Measure(
            measure="kind",
            subject=kind,
            unit=SHARE,
            rows=mean_of(marked),
            method="share of questions that are of this kind",
            **same,
        )
    judged = table[table["correct"].notna() & table["share"].notna()]
    for subject, doubt in (("suspicion", judged["suspicion"]), ("vote_share", 1 - judged["share"])):
        wrong = ~judged["correct"].astype(bool)
        yield Measure(
            measure="auroc_of_wrong_majority",
            subject=subject,
            unit="AUROC",
            rows=pd.DataFrame({"right": wrong, "confidence": doubt.astype(float)}),
            statistic=AUROC,
            method="AUROC over questions: higher where the majority is wrong (vote_share: 1 - "
            "share); chance is 0.5",
            **same,
        )
    yield from _not_of_questions(compared)


def _not_of_questions(compared: Compared) -> Iterator[Measure]:
    """Findings of which table `agreement` has no value a question."""
    findings = compared.table("findings_agree", "agreement")
    if findings is None:
        return
    covered = {*COEFFICIENTS.values(), ("auroc", "suspicion"), ("auroc", "vote_share")}
    for row in findings.to_dict("records"):
        if (
            (row["measure"], row["subject"]) in covered
            or row["baseline"]
            or pd.isna(row["estimate"])
        ):
            continue
        columns = ("estimate", "low", "high", "n_questions", "n_traces", "n_excluded")
        yield Measure(
            family="agreement",
            measure=row["measure"],
            subject=row["subject"],
            unit="coefficient",
            method="as table findings_agree has it; not paired, as it has no value a question",
            stated={name: row[name] for name in columns},
        )


# -- faithfulness ----------------------------------------------------------------------------------


def faithfulness(compared: Compared) -> Iterator[Measure]:
    """Each test's headline over sampled traces, how often the answer stays the same, and that less
    its baseline."""
    names = ("faithfulness", "faithfulness_traces", "faithfulness_tests")
    tables = compared.all_tables(names, "faithfulness")
    if tables is None:
        return
    readings, traces, tests = tables
    sampled, answers = traces[~traces["greedy"]], readings[~readings["greedy"]]
    for row in tests.to_dict("records"):
        test = str(row["test"])
        own = sampled[sampled["test"] == test]
        yield Measure(
            family="faithfulness",
            measure=str(row["measure"]),
            subject=test,
            unit="share of traces",
            rows=share_of(own, "value"),
            n_traces=counted(own, "value"),
            method=f"mean over traces; 1: {row['one']}",
        )
        per = same_answers(answers[answers["test"] == test], own)
        beside = "control" if per["controlled"].any() else "other traces"
        apart = per.assign(apart=per["same"] - per["baseline"])
        for measure, column, what in (
            ("same_answer", "same", "share of answers that are the trace's after the change"),
            (
                f"same_answer_beyond_{beside.replace(' ', '_')}",
                "apart",
                f"the same, less that of its baseline ({beside}), paired by trace",
            ),
        ):
            if apart[column].notna().any():
                yield Measure(
                    family="faithfulness",
                    measure=measure,
                    subject=test,
                    unit="share of traces",
                    rows=share_of(apart, column),
                    n_traces=counted(apart, column),
                    method=f"mean over traces: {what}",
                )


# -- steps -----------------------------------------------------------------------------------------


def steps(compared: Compared) -> Iterator[Measure]:
    """False equations: of traces, of equations, and behind right answers."""
    tables = compared.all_tables(("paths", "path_questions", "steps"), "steps")
    if tables is None:
        return
    paths, questions, table = tables
    checked = paths[paths["n_checked"] > 0]
    checked = checked.assign(has_wrong=(checked["n_wrong"] > 0).astype(float))
    checked = checked.assign(share=checked["n_wrong"] / checked["n_checked"])
    per_question = checked.groupby("question_id", sort=False)
    yield Measure(
        family="steps",
        measure="traces_with_wrong_equation",
        unit="share of traces",
        rows=share_of(checked, "has_wrong"),
        n_traces=per_question.size(),
        method="of the traces with an equation that can be checked, the share with a wrong one",
    )
    sums = per_question[["n_wrong", "n_checked"]].sum().astype(float)
    yield Measure(
        family="steps",
        measure="wrong_equations",
        unit="share of equations",
        rows=mean_of(sums["n_wrong"] / sums["n_checked"]),
        n_traces=per_question.size(),
        method="mean over questions of the share of checkable equations that are wrong",
    )
    per = questions.set_index("question_id")
    shares = (per["right_over_wrong"] / per["right_checked"]).where(per["right_checked"] > 0)
    yield Measure(
        family="steps",
        measure="right_over_wrong_equation",
        unit="share of traces",
        rows=mean_of(shares),
        n_traces=per["right_checked"],
        method="of a question's right traces with a checkable equation, the share whose answer "
        "comes from a wrong one",
    )
    n_steps = table.groupby(TRACE_KEY, sort=False).size()
    every = paths[TRACE_KEY].set_index(TRACE_KEY).index
    counts = n_steps.reindex(every, fill_value=0).rename("n").reset_index()
    yield Measure(
        family="steps",
        measure="steps_per_trace",
        unit="steps",
        rows=mean_of(counts.groupby("question_id", sort=False)["n"].mean()),
        n_traces=counts.groupby("question_id", sort=False).size(),
        method="mean over questions of the mean number of steps of a trace",
    )
