"""A run in about five sentences, read from its tables.

A sentence whose table is missing is left out.

>>> print(*summary(open_run("runs/demo")), sep="\\n")                         # doctest: +SKIP
Sampled: 144 traces of smollm2-135m-instruct, questions: 12, traces with a valid answer: 143.
The majority vote is right on 75.0% [50.0, 91.7] of 12 questions, a single trace on ...
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from analysis.findings import beyond_chance, extent, pick, verdict_claim
from cot.store.run import Run

__all__ = ["following_commands", "summary", "suspicious"]

WITNESSES = {
    "answers × clusters": "answers and clusters of reasoning",
    "answers × hidden states": "answers and hidden states",
    "clusters × hidden states": "clusters of reasoning and hidden states",
}
"""Subject of a finding of agreement to the words for it."""
TEXT = {"length": "the trace's length", "tfidf": "TF-IDF", "embedding": "an embedding of the text"}
"""Baselines of a probe that know only the text, in words."""
NOT_SHOWN = ", so that a difference is not shown"
WRONG_REASON = "right for the wrong reason"


def summary(run: Run) -> list[str]:
    """Sentences on what was sampled, the majority's gain, the agreement of the three witnesses,
    majorities that are right for the wrong reason, and the probe of correctness."""
    sentences = (_sampled, _voting, _agreement, _wrong_reason, _probe)
    return [text for sentence in sentences for text in sentence(run)]


def suspicious(run: Run) -> pd.DataFrame:
    """The rows of `agreement`, most suspicious first; without rows where there is no such table."""
    table = _table(run, "agreement")
    if table is None or "suspicion" not in table:
        return pd.DataFrame(columns=["question_id", "suspicion", "why", "kinds", "correct"])
    return table.sort_values("suspicion", ascending=False, kind="stable")


def following_commands(run: Run) -> dict[str, str]:
    """Command to what it does: what one may type after a run is made."""
    path = shlex.quote(str(run.path))
    ranked = suspicious(run)
    if len(ranked):
        first, said = str(ranked["question_id"].iloc[0]), "the most suspicious question"
    else:
        first, said = str(run.questions()["question_id"].iloc[0]), "one question and its traces"
    return {
        f"cot show {path} {shlex.quote(first)}": said,
        f"cot vote {path} --rule all": "other vote rules on the same traces",
        f"cot export {path} --to csv": "every table, for elsewhere",
    }


def _sampled(run: Run) -> Iterator[str]:
    traces, answers = len(run.traces([])), _table(run, "answers")
    model = run.identity.model_named or "a model that is not named"
    said = f"{traces:,} traces of {model}, questions: {len(run.questions()):,}"
    if answers is None:
        yield f"Sampled: {said}."
        return
    valid = int((answers["status"] == "ok").sum())
    yield f"Sampled: {said}, traces with a valid answer: {valid:,}."


def _voting(run: Run) -> Iterator[str]:
    findings = _table(run, "findings_vote")
    if findings is None:
        return
    rules = findings.loc[findings["baseline"] == "single", "subject"]
    if not len(rules):
        return
    rule = "majority" if "majority" in set(rules) else str(rules.iloc[0])
    vote, single = pick(findings, "accuracy", rule), pick(findings, "accuracy", "single")
    gain = pick(findings, "accuracy", rule, "single")
    if vote is None or single is None or gain is None or pd.isna(vote["estimate"]):
        yield "No question has a reference answer, so that accuracy is unknown."
        return
    told = "" if pd.isna(gain["low"]) or gain["low"] > 0 or gain["high"] < 0 else NOT_SHOWN
    yield (
        f"The {rule} vote is right on {_percent(vote)} of {vote['n_questions']} questions, a "
        f"single trace on {100 * single['estimate']:.1f}%: a gain of {_percent(gain, ' points')}"
        f"{told}."
    )


def _agreement(run: Run) -> Iterator[str]:
    findings = _table(run, "findings_agree")
    if findings is None:
        return
    said = []
    for subject, words in WITNESSES.items():
        row = pick(findings, "ami", subject)
        if row is None:
            said.append(f"{words} were not compared")
        elif (more := beyond_chance(row)) is None:
            said.append(f"the agreement of {words} is not defined")
        elif more:
            said.append(f"{words} {extent(row['estimate'])} agree (AMI {_number(row)})")
        else:
            said.append(f"{words} are not shown to agree beyond chance (AMI {_number(row)})")
    text = "; ".join(said)
    yield f"{text[:1].upper()}{text[1:]}. An AMI of 0 is chance, 1 is the same grouping."


def _wrong_reason(run: Run) -> Iterator[str]:
    table = _table(run, "agreement")
    if table is None or "n_checked" not in table:
        return
    right = table[table["correct"].fillna(False).astype(bool)]
    checked = right[right["n_checked"] > 0]
    if not len(checked):
        yield "No right majority has a trace with an equation that can be checked."
        return
    n = sum(WRONG_REASON in kinds for kinds in checked["kinds"])
    yield (
        f"Of {len(checked)} right majorities whose equations can be checked, {n} "
        f"{'is' if n == 1 else 'are'} right for the wrong reason: at least half of their traces "
        "with such an equation take the answer from a false one."
    )


def _probe(run: Run) -> Iterator[str]:
    findings = _table(run, "findings_probe")
    row = None if findings is None else pick(findings, "within_question_auroc", "correct")
    if row is None:
        return
    if pd.isna(row["estimate"]) or pd.isna(row["low"]):
        yield "Whether hidden states tell right traces of a question from wrong ones is unknown."
        return
    does = "tell" if row["low"] > 0.5 else "are not shown to tell"
    known = {words: row[name] for name, words in TEXT.items() if pd.notna(row.get(name))}
    best = max(known, key=lambda words: known[words], default="")
    beside = f"; {best} has {_short(known[best])}" if best else ""
    yield (
        f"Hidden states {does} right traces of a question from wrong ones better than chance "
        f"(AUROC {_number(row)}; chance is .50{beside})."
    )
    verdicts = _table(run, "probe_verdicts")
    mine = None if verdicts is None else verdicts[verdicts["target"] == "correct"]
    if mine is not None and len(mine) and pd.notna(mine["effect"].iloc[0]):
        yield f"{verdict_claim(mine.iloc[0])}."


def _table(run: Run, name: str) -> pd.DataFrame | None:
    return run.table(name) if name in run.tables() else None


def _percent(row: pd.Series | Mapping[str, Any], unit: str = "%") -> str:
    """`75.0% [50.0, 91.7]`."""
    value, low, high = (100 * row[name] for name in ("estimate", "low", "high"))
    return f"{value:.1f}{unit} [{low:.1f}, {high:.1f}]"


def _number(row: pd.Series | Mapping[str, Any]) -> str:
    """`.36 [.27, .47]`."""
    value, low, high = (_short(row[name]) for name in ("estimate", "low", "high"))
    return f"{value} [{low}, {high}]"


def _short(value: float) -> str:
    """0.364 as .36, 1 as 1.00."""
    text = f"{value:.2f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text
