"""Which traces can be tested, with their reasoning steps; and the reader of replies' answers."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from analysis.catalogue import first_questions, need
from analysis.faithfulness_tests.tested_trace import Case, Setting
from cot.answers.equivalence import Classes
from cot.answers.judge import Judge
from cot.answers.table import read_questions
from cot.errors import InputError
from cot.models import encode
from cot.steps import segment
from cot.store.run import Run
from cot.tokens import char_to_token, token_spans
from cot.types import TRACE_KEY, AnswerStatus, FinishReason, Message, Question, Step

__all__ = ["AnswerReader", "Untested", "gold_classes", "make_cases"]

log = logging.getLogger("cot")

Span = tuple[int, int, Any]
"""First character of a step, the one after its last, and its kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untested:
    """A trace that can't be tested."""

    question_id: str
    """Id of its question."""
    sample_index: int
    """The trace's number within the question."""
    greedy: bool
    """Whether it is a trace of samples/greedy."""
    answer: str | None
    """Class of its answer, where that is valid."""
    correct: bool | None
    """Whether the answer is right; None without gold."""
    reason: str
    """Why it can't be tested."""


def make_cases(
    run: Run, setting: Setting, *, limit: int | None, traces: int | None
) -> tuple[list[Case], list[Untested]]:
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
    left: list[Untested] = []
    make = _maker(run, setting, answers)
    steps = _stored_steps(run)
    sampled = run.traces(["prompt_sha", "text", "token_ids"]).merge(
        answers, on=TRACE_KEY, suffixes=("", "_said")
    )
    cases = []
    for row in sampled.to_dict("records"):
        spans = steps.get((row["question_id"], row["sample_index"]), [])
        if case := make(row, spans, False, left):
            cases.append(case)
    if "greedy_answers" in run.tables():
        greedy = run.samples("greedy").merge(
            run.table("greedy_answers"), on=TRACE_KEY, suffixes=("", "_said")
        )
        greedy = greedy[greedy["question_id"].isin(answers["question_id"].unique())]
        for row in greedy.to_dict("records"):  # greedy traces are not in the table `steps`
            spans = [
                (span.start, span.end, span.kind)
                for span in segment(row["text"], thinking=setting.thinking)
                if span.part == "reasoning"
            ]
            if case := make(row, spans, True, left):
                cases.append(case)
    for reason, count in Counter(each.reason for each in left if not each.greedy).items():
        log.info("%d traces %s are left out", count, reason)
    if not any(not case.greedy for case in cases):
        reasons = Counter(each.reason for each in left)
        why = "; ".join(f"{count} {reason}" for reason, count in reasons.items()) or "none is there"
        raise InputError(f"{run.path}: no trace can be tested: {why}")
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
) -> Callable[[Mapping[str, Any], Sequence[Span], bool, list[Untested]], Case | None]:
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

    def make(
        row: Mapping[str, Any], stored: Sequence[Span], greedy: bool, left: list[Untested]
    ) -> Case | None:
        if reason := _unfit(row, prompts):
            left.append(_left(row, greedy, reason))
            return None
        ids = tuple(int(token) for token in row["token_ids"])
        spans = token_spans(setting.tokenizer, ids, row["text"])
        steps = _reasoning(row, stored, spans)
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


def _left(row: Mapping[str, Any], greedy: bool, reason: str) -> Untested:
    return Untested(
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


def _stored_steps(run: Run) -> dict[tuple[str, int], list[Span]]:
    """Key of a trace to the steps of its reasoning in their order, from the table `steps`."""
    table = need(run, "steps")
    table = table[table["part"] == "reasoning"]
    columns = ("question_id", "sample_index", "start", "end", "kind")
    found: dict[tuple[str, int], list[Span]] = {}
    for name, index, start, end, kind in zip(*(table[each] for each in columns), strict=True):
        found.setdefault((name, int(index)), []).append((int(start), int(end), kind))
    return found


def _reasoning(row: Mapping[str, Any], stored: Sequence[Span], spans: Any) -> tuple[Step, ...]:
    """The steps that end before the answer begins, with the tokens of the model that is asked: an
    imported run names none, and its table `steps` has no tokens."""
    key = (row["question_id"], int(row["sample_index"]))
    steps = []
    for index, (start, end, kind) in enumerate(stored):
        if end > row["start"]:
            break
        first, last = char_to_token(spans, start, end)
        steps.append(
            Step(
                key=key,
                index=index,
                start=start,
                end=end,
                token_start=first,
                token_end=last,
                kind=kind,
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
        ids = (
            row.token_ids
            if stored
            else encode(tokenizer, prompt, run.identity.chat_args)
            if prompt
            else ()
        )
        if len(ids):
            found[row.prompt_sha] = (prompt, tuple(int(token) for token in ids))
    return found


class AnswerReader:
    """Reads a reply's answer as the run's answers were read, in the classes that those have.

    Args:
        answers: the table.
        judge: compares LaTeX.

    Raises:
        InputError: the run's answers are a verifier's.
    """

    def __init__(self, run: Run, answers: pd.DataFrame, judge: Judge) -> None:
        parameters = run.provenance("answers").parameters
        if parameters["verifier"] is not None:
            raise InputError(
                f"{run.path}: its answers are a verifier's ({parameters['verifier']}), and the "
                "tests read new replies by a format: make them with cot answers --format"
            )
        format = parameters["format"]
        # a reply says itself, by a tag, whether it begins inside reasoning: see `Case.answer_of`
        self.asked = {
            name: replace(each, thinking=replace(each.thinking, opened=False))
            for name, each in read_questions(run, format).items()
        }
        self._judge = judge
        self._classes: dict[str, Classes] = {}
        self._answers = answers[answers["canonical"].notna()]

    def __call__(
        self, question_id: str, text: str, finish_reason: FinishReason
    ) -> tuple[str | None, AnswerStatus]:
        """The class of the answer that a text states last, and its status."""
        asked = self.asked[question_id]
        answer = asked.read(text, finish_reason)
        if answer.canonical is None:
            return None, answer.status
        if asked.format != "latex":
            return asked.class_of(answer.canonical), answer.status
        return self._classes_of(question_id).find(answer.canonical), answer.status

    def _classes_of(self, question_id: str) -> Classes:
        if question_id not in self._classes:
            classes = self._classes[question_id] = Classes(self._judge.equal)
            own = self._answers[self._answers["question_id"] == question_id]
            for form in own["canonical"]:
                classes.join(form)
        return self._classes[question_id]
