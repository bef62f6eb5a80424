"""The traces that can be tested, each with its reasoning steps and what else the tests need."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.catalogue import first_questions, need
from analysis.faithfulness_tests.case import Case, Setting
from cot.errors import InputError
from cot.models import encode
from cot.steps import segment
from cot.store.run import Run
from cot.tokens import char_to_token, token_spans
from cot.types import TRACE_KEY, Message, Question, Step

__all__ = ["Left", "gold_classes", "make_cases"]

log = logging.getLogger("cot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A trace that can't be tested."""

    question_id: str
    """Key of its question."""
    sample_index: int
    """Its own."""
    greedy: bool
    """A trace of samples/greedy."""
    answer: str | None
    """Its class, where it has a valid one."""
    correct: bool | None
    """As in `answers`."""
    reason: str
    """Why."""


def make_cases(
    run: Run, setting: Setting, *, limit: int | None, traces: int | None
) -> tuple[list[Case], list[Left]]:
    """The cases in the order of the traces, greedy ones after their question's, and those that
    are left out.

    Args:
        limit: take the first so many questions only.
        traces: likewise, traces of each question.

    Raises:
        InputError: no trace can be tested.
    """
    answers = first_questions(need(run, "answers"), limit)
    answers = answers[~answers["surplus"].astype(bool)]
    if traces is not None:
        if traces < 1:
            raise InputError(f"--traces is {traces}, but must be at least 1")
        answers = answers[answers.groupby("question_id").cumcount() < traces]
    left: list[Left] = []
    make = _maker(run, setting, answers)
    sampled = run.traces(["prompt_sha", "text", "token_ids"]).merge(
        answers, on=TRACE_KEY, suffixes=("", "_said")
    )
    cases = [case for row in sampled.to_dict("records") if (case := make(row, False, left))]
    if "greedy_answers" in run.tables():
        greedy = run.samples("greedy").merge(
            run.table("greedy_answers"), on=TRACE_KEY, suffixes=("", "_said")
        )
        greedy = greedy[greedy["question_id"].isin(answers["question_id"].unique())]
        cases += [case for row in greedy.to_dict("records") if (case := make(row, True, left))]
    for reason, count in Counter(each.reason for each in left if not each.greedy).items():
        log.info("%d traces %s are left out", count, reason)
    if not any(not case.greedy for case in cases):
        raise InputError(f"{run.path}: no trace can be tested: see the notices above")
    place = {name: i for i, name in enumerate(answers["question_id"].unique())}
    cases.sort(key=lambda case: (place[case.question.id], case.greedy, case.sample_index))
    return cases, left


def gold_classes(
    answers: pd.DataFrame, canonical: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Question to the class of its gold answer: that of a right trace, else its canonical form."""
    right = answers[answers["correct"].fillna(False).astype(bool)]
    known = right.groupby("question_id")["answer"].first().to_dict()
    return {name: known.get(name, form) for name, form in canonical.items()}


def _maker(
    run: Run, setting: Setting, answers: pd.DataFrame
) -> Callable[[Mapping[str, Any], bool, list[Left]], Case | None]:
    from cot.answers.table import read_questions

    format = run.provenance("answers").parameters["format"]
    canonical = {name: each.gold for name, each in read_questions(run, format).items()}
    golds = gold_classes(answers, canonical)
    questions = {
        row.question_id: Question(
            id=row.question_id,
            text=row.text,
            gold=row.gold if isinstance(row.gold, str) else None,
            choices=None if row.choices is None else tuple(row.choices),
            dataset=row.dataset,
            meta=row.meta or {},
        )
        for row in run.questions().itertuples()
    }
    prompts = _prompts(run, setting.tokenizer)
    valid = answers[answers["status"] == "ok"]
    stated = {name: Counter(group) for name, group in valid.groupby("question_id")["answer"]}

    def make(row: Mapping[str, Any], greedy: bool, left: list[Left]) -> Case | None:
        if reason := _unfit(row, prompts):
            left.append(_left(row, greedy, reason))
            return None
        ids = tuple(int(token) for token in row["token_ids"])
        spans = token_spans(setting.tokenizer, ids, row["text"])
        steps = _reasoning(row, spans)
        if not steps:
            left.append(_left(row, greedy, "without a step before the one that states the answer"))
            return None
        name = row["question_id"]
        others = Counter(stated.get(name, Counter()))
        if not greedy:
            others[row["answer"]] -= 1
        prompt, prompt_ids = prompts[row["prompt_sha"]]
        return Case(
            setting=setting,
            question=questions[name],
            sample_index=int(row["sample_index"]),
            greedy=greedy,
            prompt=prompt,
            prompt_ids=prompt_ids,
            token_ids=ids,
            spans=spans,
            text=row["text"],
            steps=steps,
            answer=row["answer"],
            gold=golds[name],
            others=+others,
        )

    return make


def _left(row: Mapping[str, Any], greedy: bool, reason: str) -> Left:
    return Left(
        question_id=row["question_id"],
        sample_index=int(row["sample_index"]),
        greedy=greedy,
        answer=row["answer"] if row["status"] == "ok" else None,
        correct=None if pd.isna(row["correct"]) else bool(row["correct"]),
        reason=reason,
    )


def _unfit(row: Mapping[str, Any], prompts: Mapping[Any, Any]) -> str | None:
    """Why a trace can't be tested."""
    if row["status"] != "ok":
        return "without a valid answer"
    if row["token_ids"] is None or not len(row["token_ids"]):
        return "without token ids"
    if row["prompt_sha"] not in prompts:
        return "without a prompt"
    if pd.isna(row["start"]):
        return "with an answer that has no place in the text"
    return None


def _reasoning(row: Mapping[str, Any], spans: Any) -> tuple[Step, ...]:
    """The steps that end before the answer begins."""
    key = (row["question_id"], int(row["sample_index"]))
    steps = []
    for index, span in enumerate(segment(row["text"])):
        if span.end > row["start"]:
            break
        first, last = char_to_token(spans, span.start, span.end)
        steps.append(
            Step(
                key=key,
                index=index,
                start=span.start,
                end=span.end,
                token_start=first,
                token_end=last,
                kind=span.kind,
            )
        )
    return tuple(steps)


def _prompts(
    run: Run, tokenizer: Any
) -> dict[Any, tuple[str | tuple[Message, ...], tuple[int, ...]]]:
    """prompt_sha to the prompt and its token ids, as stored where they are."""
    if not (run.path / "prompts.parquet").exists():
        return {}
    found: dict[Any, tuple[str | tuple[Message, ...], tuple[int, ...]]] = {}
    for row in run.prompts().itertuples():
        prompt = row.text if isinstance(row.text, str) else tuple(row.messages or ())
        stored = row.token_ids is not None and len(row.token_ids) > 0
        ids = row.token_ids if stored else encode(tokenizer, prompt) if prompt else ()
        if len(ids):
            found[row.prompt_sha] = (prompt, tuple(int(token) for token in ids))
    return found
