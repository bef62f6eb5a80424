"""Every trace's answer as a table: one row a trace, its answer, right or wrong."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from cot.answers.canonical import canonical
from cot.answers.equivalence import Classes
from cot.answers.extract import Candidate, candidates, extract
from cot.answers.formats import MATCH_SECONDS, check_format
from cot.answers.gold import Chosen, canonical_gold, choose_format, is_letter, percent_of
from cot.answers.judge import Judge
from cot.answers.readers import WEAK
from cot.answers.reasoning import KNOWN, Thinking, opens_in_prompt
from cot.errors import InputError
from cot.processes import spread
from cot.progress import track
from cot.store.run import Run
from cot.types import TRACE_KEY, Answer, FinishReason, Question

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Reading", "chosen_format", "read_answers", "read_questions", "reading_of"]

log = logging.getLogger("cot")

BLOCK = 10_000
"""Traces that are held as Python strings at a time."""
MOST_WEAK = 0.1
"""Share of the answers that a weak pattern may decide without a warning."""
ARTICLE = re.compile(r"^(?:the|an?)\s+(?=\w)")
WRONG = " (judged wrong)"
"""Added to the class of answers that one verdict calls right and another wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one question's answers are read and graded by."""

    format: str
    """One of FORMATS, or a regular expression."""
    choices: Sequence[str] | None
    """The options' texts, for `choice`."""
    golds: tuple[str, ...]
    """Canonical forms of the reference answers, any of which counts; empty where there is none, or
    none is understood."""
    percent: Fraction | None = None
    """The share that gold is, where the question asks for a percentage."""
    question: str | None = None
    """What was asked."""
    thinking: Thinking = KNOWN
    """How the traces mark their reasoning."""

    @property
    def gold(self) -> str | None:
        """The first reference answer's canonical form, or None."""
        return self.golds[0] if self.golds else None

    def class_of(self, form: str) -> str:
        """The form that stands for a canonical form's class, but for `latex`, whose classes are a
        judge's to make: a text's article doesn't count ("The Nile" is "Nile")."""
        return ARTICLE.sub("", form) if self.format == "text" else form

    def read(self, text: str, finish_reason: FinishReason = "stop") -> Answer:
        """The answer that a text states last."""
        return extract(text, self.format, self.choices, finish_reason, *self._context)

    def candidates(self, text: str, finish_reason: FinishReason = "stop") -> list[Candidate]:
        """Each place that may be the answer, and why one was chosen."""
        return candidates(text, self.format, self.choices, finish_reason, *self._context)

    @property
    def _context(self) -> tuple[Fraction | None, str | None, Thinking]:
        return self.percent, self.question, self.thinking


def read_answers(
    run: Run,
    format: str = "auto",
    verifier: str | None = None,
    verifier_seconds: float = 10.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every trace's answer, and every greedy trace's: the tables `answers` and `greedy_answers`.

    Columns: question_id, sample_index; text (as stated), canonical, answer (the form that stands
    for its equivalence class; missing unless `status` is `ok`), status, pattern (how it was found),
    start and end (Int64 span in the raw text), correct (nullable boolean: missing where the
    question has no gold), surplus (in an adaptive run, a trace that doesn't vote: see
    `cot.sampling.adaptive`).

    Greedy traces and gold are placed in the classes of the traces. An imported trace's own `answer`
    is used as it stands, and its `correct` is its verdict, whatever gold says. Where verdicts call
    one and the same answer right and wrong, the wrong ones are a class of their own, and that is
    said.

    Args:
        format: `auto` (from choices and gold, see `choose_format`), one of `FORMATS`, or a regular
            expression (see `cot.answers.extract`).
        verifier: `package.module:function`, a checker of your own that reads and judges each trace
            in processes that can be killed (see `cot.answers.verifier`); its answers are grouped as
            they stand.
        verifier_seconds: most time that it may take on one trace.

    Raises:
        InputError: an unknown format, gold answers that the format cannot read, or a verifier that
            can't be loaded or fails on every trace.
    """
    readings = read_questions(run, format)
    columns = ["text", "finish_reason", "meta"]
    thinking = Thinking.of(run.identity)
    if verifier is None:
        read = _reader(readings, thinking)
    else:
        read = _checker(run, verifier, verifier_seconds)
    answers, greedy = read(run.traces(columns)), read(run.samples("greedy"))
    verdicts = [frame.pop("verdict") for frame in (answers, greedy)]
    if verifier is None:
        _grade(answers, greedy, readings)
    for frame, verdict in zip((answers, greedy), verdicts, strict=True):
        _judge(frame, verdict)
    answers["surplus"] = _surplus(run, answers, readings)
    _warn_of_weak(answers)
    return answers, greedy


def chosen_format(run: Run, format: str) -> Chosen:
    """The format in which a run's answers are read, and why.

    Raises:
        InputError: no such format.
    """
    if format != "auto":
        check_format(format)
        return Chosen(format, "as asked")
    questions = run.questions()
    golds = [gold if isinstance(gold, str) else None for gold in questions["gold"]]
    return choose_format(golds, questions["choices"])


def read_questions(run: Run, format: str) -> dict[str, Reading]:
    """question_id to what its answers are read and graded by.

    Raises:
        InputError: no such format, or gold answers that a format that was asked for cannot read.
    """
    questions = run.questions()
    name = chosen_format(run, format).format
    thinking = Thinking.of(run.identity)
    readings = {}
    for row in questions.itertuples():
        golds = [row.gold] if isinstance(row.gold, str) else []
        targets = (row.meta or {}).get("targets")
        if isinstance(targets, list) and row.choices is None:
            golds += [str(each) for each in targets if isinstance(each, str | int | float)]
        reading = _reading(row.text, golds, row.choices, name, thinking)
        if golds and not reading.golds:
            if format != "auto":
                raise InputError(
                    f"question {row.question_id!r}: gold {row.gold!r} is not of format "
                    f"{reading.format!r}; give another --format"
                )
            log.warning("question %r: gold %r is not understood", row.question_id, row.gold)
        readings[row.question_id] = reading
    return readings


def reading_of(question: Question, format: str, thinking: Thinking = KNOWN) -> Reading:
    """What a question's answers are read and graded by, in a run of this format."""
    golds = [] if question.gold is None else [question.gold]
    return _reading(question.text, golds, question.choices, format, thinking)


def _reading(
    text: str,
    golds: Sequence[str],
    choices: Sequence[str] | None,
    name: str,
    thinking: Thinking,
) -> Reading:
    own = name
    if name == "choice" and choices is None and not all(map(is_letter, golds)):
        own = "text"
    percent = percent_of(text, golds) if own in ("number", "latex") else None
    forms = (canonical_gold(gold, own, choices, percent) for gold in golds)
    return Reading(
        format=own,
        choices=choices,
        golds=tuple(dict.fromkeys(form for form in forms if form is not None)),
        percent=percent,
        question=text,
        thinking=thinking,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Traces that are read together, as another process gets them."""

    questions: Sequence[str]
    """question_id, [trace]."""
    texts: Sequence[str]
    """[trace]."""
    reasons: Sequence[FinishReason]
    """Why each ended, [trace]."""
    metas: Sequence[Mapping[str, Any]]
    """[trace]."""
    readings: Mapping[str, Reading]
    """question_id to what its answers are read by."""
    opened: bool
    """Whether the prompts open the reasoning."""


def _reader(
    readings: Mapping[str, Reading], thinking: Thinking
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Reads traces block by block: `answer` is the canonical form, nothing is correct yet."""
    import pandas as pd

    def read(traces: pd.DataFrame) -> pd.DataFrame:
        # a run that says so itself is read so; its traces tell of one that doesn't know
        opened = not thinking.opened and _prompt_opens_reasoning(traces, thinking)
        starts = range(0, max(1, len(traces)), BLOCK)

        def blocks() -> Iterator[_Block]:
            for start in starts:
                block = traces.iloc[start : start + BLOCK]
                names = block["question_id"].tolist()
                yield _Block(
                    questions=names,
                    texts=block["text"].tolist(),
                    reasons=block["finish_reason"].tolist(),
                    metas=block["meta"].tolist(),
                    readings={name: readings[name] for name in dict.fromkeys(names)},
                    opened=opened,
                )

        found = []
        with track("reading", total=len(traces), unit="traces") as advance:
            for part in spread(_read_block, blocks(), len(starts)):
                found.append(part)
                advance(len(part))
        frame = _keyed(traces, pd.concat(found, ignore_index=True))
        late = int(((frame["status"] == "unparsed") & frame["text"].isna()).sum())
        expressions = frame["pattern"] == "expression"
        if late and bool(expressions.any()):
            log.warning(
                "the expression took more than %g s on %d traces, which count as unparsed: make "
                "it simpler",
                MATCH_SECONDS,
                late,
            )
        return frame

    return read


def _prompt_opens_reasoning(traces: pd.DataFrame, thinking: Thinking) -> bool:
    """Whether the prompt opens the reasoning: most traces that ended by themselves close what they
    have not opened. One of them that was cut off then stands inside its reasoning."""
    ended = traces.loc[traces["finish_reason"] == "stop", "text"]
    return 2 * sum(opens_in_prompt(text, thinking) for text in ended) > len(ended)


def _read_block(block: _Block) -> pd.DataFrame:
    """The answers of a block's traces, without their keys."""
    read = []
    columns = (block.questions, block.texts, block.reasons, block.metas)
    for question_id, text, finish_reason, meta in zip(*columns, strict=True):
        reading = block.readings[question_id]
        cut = block.opened and finish_reason == "length"
        if meta and "answer" in meta:
            answer = _given(meta["answer"], reading)
        elif cut and not opens_in_prompt(text, reading.thinking):
            answer = Answer(status="truncated")
        else:
            answer = reading.read(text, finish_reason)
        read.append((answer, meta.get("correct") if meta else None))
    return _table(block.metas, read)


def _keyed(traces: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """What was found of traces, row for row, with their keys in front."""
    for place, name in enumerate(TRACE_KEY):
        found.insert(place, name, traces[name].array)
    return found


def _table(
    metas: Sequence[Mapping[str, Any]], read: Sequence[tuple[Answer, bool | None]]
) -> pd.DataFrame:
    """One row a trace: its answer, and the verdict that it came with."""
    import pandas as pd

    answers = [answer for answer, _ in read]
    form = pd.array([answer.canonical for answer in answers], dtype="str")
    judged = ["correct" in meta if meta else False for meta in metas]
    return pd.DataFrame(
        {
            "text": pd.array([answer.text for answer in answers], dtype="str"),
            "canonical": form,
            "answer": form,
            "status": pd.array([answer.status for answer in answers], dtype="str"),
            "pattern": pd.array([answer.pattern for answer in answers], dtype="str"),
            "start": pd.array([answer.start for answer in answers], dtype="Int64"),
            "end": pd.array([answer.end for answer in answers], dtype="Int64"),
            "correct": pd.array([None] * len(answers), dtype="boolean"),
            "verdict": [
                (verdict,) if given or verdict is not None else None
                for (_, verdict), given in zip(read, judged, strict=True)
            ],
        }
    )


def _given(answer: Any, reading: Reading) -> Answer:
    """An answer that came with an imported trace, used as it stands."""
    if answer is None:
        return Answer(status="missing")
    form = canonical(str(answer), reading.format, reading.choices, reading.percent)
    form = form or canonical(str(answer), "text")
    return Answer(status="ok", text=str(answer), canonical=form or str(answer), pattern="given")


def _checker(run: Run, verifier: str, seconds: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Has a user's checker read and judge each trace."""
    from cot.answers.verifier import Verifier

    questions = {row.question_id: _question(row) for row in run.questions().itertuples()}

    def check(traces: pd.DataFrame) -> pd.DataFrame:
        pairs = zip(traces["question_id"].tolist(), traces["text"].tolist(), strict=True)
        reasons = traces["finish_reason"].tolist()
        read: list[tuple[Answer, bool | None]] = []
        failures: list[str] = []
        with (
            Verifier(verifier, seconds) as checker,
            track("verifying", total=len(traces), unit="traces") as advance,
        ):
            for verdict in checker.verify((questions[name], text) for name, text in pairs):
                cut = reasons[len(read)] == "length"
                correct = verdict.correct
                if verdict.failure is not None:
                    failures.append(verdict.failure)
                    answer, correct = Answer(status="unparsed", pattern="verifier"), False
                elif verdict.answer is None:
                    answer = Answer(status="truncated" if cut else "missing", pattern="verifier")
                else:
                    form = verdict.answer.strip()
                    answer = Answer(
                        status="ok", text=verdict.answer, canonical=form, pattern="verifier"
                    )
                read.append((answer, correct))
                advance(1)
        if failures and len(failures) == len(traces):
            raise InputError(f"the verifier {verifier} failed on every trace: {failures[0]}")
        if failures:
            log.warning(
                "the verifier failed on %d of %d traces, which count as unparsed and not correct; "
                "first: %s",
                len(failures),
                len(traces),
                failures[0],
            )
        return _keyed(traces, _table(traces["meta"].tolist(), read))

    return check


def _question(row: Any) -> Question:
    return Question(
        id=row.question_id,
        text=row.text,
        gold=row.gold if isinstance(row.gold, str) else None,
        choices=None if row.choices is None else tuple(row.choices),
        dataset=row.dataset,
        meta=row.meta or {},
    )


def _judge(frame: pd.DataFrame, verdicts: pd.Series[Any]) -> None:
    """Put verdicts from elsewhere in place of those by gold."""
    given = verdicts.notna()
    if not given.any():
        return
    frame.loc[given, "correct"] = [verdict[0] for verdict in verdicts[given]]
    valid = frame[given & frame["answer"].notna() & frame["correct"].notna()]
    kinds = valid.groupby(["question_id", "answer"])["correct"].transform("nunique")
    mixed = valid[kinds > 1]
    if len(mixed):
        classes = len(mixed[["question_id", "answer"]].drop_duplicates())
        log.warning(
            "%d answers are judged right in one trace and wrong in another: more is judged than "
            "the answer that was read (give --format, an `answer` field or a verifier that returns "
            "what it judged); the wrong ones vote as a class of their own",
            classes,
        )
        wrong = mixed.index[~mixed["correct"].astype(bool)]
        frame.loc[wrong, "answer"] = frame.loc[wrong, "answer"] + WRONG


def _warn_of_weak(answers: pd.DataFrame) -> None:
    valid = answers[answers["status"] == "ok"]
    for pattern, n in valid["pattern"].value_counts().items():
        if pattern in WEAK and n > MOST_WEAK * len(valid):
            log.warning(
                "%d of %d answers (%.0f %%) are the %s of a text that states none: look at some "
                "with --explain, or ask for a stated answer in the prompt",
                n,
                len(valid),
                100 * n / len(valid),
                str(pattern).replace("_", " "),
            )


def _grade(answers: pd.DataFrame, greedy: pd.DataFrame, readings: Mapping[str, Reading]) -> None:
    """Fill in `answer`, where forms that differ may be equal, and `correct`."""
    import pandas as pd

    golds = {name: tuple(map(each.class_of, each.golds)) for name, each in readings.items()}
    texts = {name for name, each in readings.items() if each.format == "text"}
    for frame in (answers, greedy):
        rows = frame["question_id"].isin(texts) & frame["answer"].notna()
        frame.loc[rows, "answer"] = [ARTICLE.sub("", form) for form in frame.loc[rows, "answer"]]
    with Judge() as judge:
        classes = {
            name: Classes(judge.equal) for name, each in readings.items() if each.format == "latex"
        }
        for frame, place in ((answers, Classes.join), (greedy, Classes.find)):
            rows = frame["question_id"].isin(list(classes)) & frame["canonical"].notna()
            named = []
            with track("comparing", total=int(rows.sum()), unit="answers") as advance:
                for name, form in frame.loc[rows, ["question_id", "canonical"]].to_numpy():
                    named.append(place(classes[name], form))
                    advance(1)
            frame.loc[rows, "answer"] = named
        for name, forms in golds.items():
            if name in classes:
                golds[name] = tuple(classes[name].find(gold) for gold in forms)
    for frame in (answers, greedy):
        right = pd.Series(False, index=frame.index)
        for k in range(max(map(len, golds.values()), default=0)):
            kth = {name: forms[k] for name, forms in golds.items() if len(forms) > k}
            right |= frame["answer"] == frame["question_id"].map(kth)
        with_gold = frame["question_id"].map({name: bool(forms) for name, forms in golds.items()})
        frame["correct"] = right.astype("boolean").where(with_gold.astype(bool), pd.NA)


def _surplus(run: Run, answers: pd.DataFrame, readings: Mapping[str, Reading]) -> Any:
    """What an adaptive run's rule left out, judged by the answers as the sampler read them."""
    adaptive = run.identity.adaptive
    if adaptive is None:
        return False
    from cot.sampling.adaptive import mark_surplus

    then = {
        row.question_id: reading_of(_question(row), adaptive.format, Thinking.of(run.identity))
        for row in run.questions().itertuples()
    }
    if any(then[name].format != each.format for name, each in readings.items()):
        answers = _reader(then, Thinking.of(run.identity))(
            run.traces(["text", "finish_reason", "meta"])
        )
    return mark_surplus(adaptive.rule, answers)
