"""Is the reasoning what moved the answer? Each trace's reasoning, or its question, is changed, and
the model goes on from there.

One file a test: what it asks, and how it reads what comes back. `contract.py` says what a test is,
`tested_trace.py` is one trace as a test sees it, `trace_selection.py` chooses the traces,
`result_tables.py` and `estimates.py` make the tables, `hint_following.py` and `hint_mentions.py`
are what tests with hints share. Here the requests of all traces go to the engine together.

>>> faithfulness(run, ["early_answering", "filler"])                 # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from analysis.catalogue import need
from analysis.clusters.embedding import embed
from analysis.declaration import Shown, analysis
from analysis.faithfulness_tests.contract import FaithfulnessTest
from analysis.faithfulness_tests.estimates import curves, findings
from analysis.faithfulness_tests.result_tables import (
    Measured,
    profile_table,
    readings_table,
    steps_table,
    table_of_tests,
    traces_table,
)
from analysis.faithfulness_tests.tested_trace import Case, Reply, Setting
from analysis.faithfulness_tests.trace_selection import AnswerReader, make_cases
from analysis.model_queries import ModelQueries, run_sampling
from cot.answers.judge import Judge
from cot.answers.reasoning import Thinking
from cot.errors import InputError
from cot.registry import build, names
from cot.store.run import Run
from cot.types import Request

__all__ = ["DEFAULT", "RequestCount", "count_requests", "faithfulness", "load_test"]

DEFAULT = ("early_answering", "adding_mistakes", "filler", "no_cot")


@dataclass(frozen=True, kw_only=True)
class RequestCount:
    """What a test would ask in its first round."""

    test: str
    """As typed."""
    n_traces: int
    """Sampled traces."""
    n_requests: int
    """Of its first round."""
    n_stored: int
    """Those of them that are answered already."""
    n_later: int
    """Most requests that can follow on the replies to those."""
    n_prompt_tokens: int
    """Tokens of the requests' prompts."""
    n_shared: int
    """Those of them with which the request before it begins too: they needn't be computed again."""
    max_tokens: int
    """Most tokens that will be generated."""


def load_test(spec: str) -> FaithfulnessTest:
    """The test that `NAME:key=value,...` names.

    Raises:
        InputError: no such test, one that is no `FaithfulnessTest`, or parameters that it doesn't
            take.
    """
    test = build("faithfulness", spec)()
    if not isinstance(test, FaithfulnessTest):
        raise InputError(
            f"{spec}: {type(test).__name__} is no faithfulness test: let it extend "
            "analysis.faithfulness_tests.contract.FaithfulnessTest"
        )
    return test


def _show(run: Run, findings: pd.DataFrame) -> Shown:
    rows = findings.to_dict("records")
    tests = [{"test": row["subject"], **row} for row in rows if row["headline"]]
    columns = ["subject", "kind", "measure", "baseline", "estimate", "low", "high"]
    columns += ["baseline_estimate", "n_questions", "n_traces", "n_excluded"]
    shown = findings[columns].rename(columns={"subject": "test"}).to_dict("records")
    return Shown(json={"tests": tests, "findings": rows}, tables=[shown])


def _dry_run(run: Run, dry_run: bool, **asked: Any) -> Shown:
    """Count what each test would ask in its first round, and ask nothing."""
    counted = [asdict(each) for each in count_requests(run, **asked)]
    return Shown(json={"tests": counted}, tables=[counted])


@analysis(
    makes={
        "findings_faithfulness": "what each test finds, beside its baseline",
        "faithfulness": "one row a change of a trace: what was changed, and the answer after it",
        "faithfulness_traces": "one row a trace and test: what the test says of it",
        "faithfulness_curves": "how often the answer stays, by the share of the reasoning kept",
        "faithfulness_steps": "one row a step: how far the answers move where it is another",
        "faithfulness_profile": "one row a trace: the mean over tests that change its reasoning",
        "faithfulness_tests": "one row a test: what it does, what it measures, what it can't show",
    },
    choices={"test": "faithfulness"},
    show=_show,
    views={"dry_run": _dry_run},
)
def faithfulness(
    run: Run,
    test: Sequence[str] = DEFAULT,
    model: str | None = None,
    engine: str | None = None,
    limit: int | None = None,
    traces: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Change each trace's reasoning or its question, and see what becomes of the answer.

    Writes and returns `findings_faithfulness`, see `analysis.faithfulness_tests.estimates`, and
    writes six more tables, see `analysis.faithfulness_tests.result_tables`. What is sampled goes to
    samples/TEST, and a sample that is there is not drawn again.

    Args:
        test: tests, with parameters after a colon: filler:points=4.
        model: the model to ask; by default the one that sampled the run.
        engine: the engine that runs the model; by default the one that sampled the run.
        limit: test only the first so many questions.
        traces: test only the first so many traces of each question.
        seed: seed of sampling and of the bootstrap.

    Raises:
        InputError: an unknown test or one that can't be made on these questions; no model is named
            for an imported run; no trace can be tested.
    """
    loaded = _load(test)
    with _queries(run, model, engine) as queries, _reader(run) as read:
        measured = [
            _measure(run, queries, read, spec, each, limit=limit, traces=traces, seed=seed)
            for spec, each in loaded.items()
        ]
    readings = pd.concat([readings_table(each) for each in measured], ignore_index=True)
    each_trace = pd.concat([traces_table(each) for each in measured], ignore_index=True)
    tests = table_of_tests(loaded)
    found = findings(measured, readings, each_trace, seed)
    run.write_table("faithfulness", readings)
    run.write_table("faithfulness_traces", each_trace)
    run.write_table("faithfulness_curves", curves(readings, each_trace, seed))
    run.write_table("faithfulness_steps", steps_table(readings))
    run.write_table("faithfulness_profile", profile_table(each_trace, tests))
    run.write_table("faithfulness_tests", tests)
    run.write_table("findings_faithfulness", found)
    return found


def count_requests(
    run: Run,
    test: Sequence[str] = DEFAULT,
    model: str | None = None,
    engine: str | None = None,
    limit: int | None = None,
    traces: int | None = None,
    seed: int = 0,
) -> list[RequestCount]:
    """What `faithfulness` would ask; nothing is sampled, no weights are loaded."""
    counted = []
    with run.lock(), _queries(run, model, engine) as queries, _reader(run) as read:
        for spec, each in _load(test).items():
            setting = _setting(run, queries, read, spec, seed)
            cases, _ = make_cases(run, setting, limit=limit, traces=traces)
            requests = [
                request for case in _asked(each, cases) for request in each.requests(case, {})
            ]
            prompts: list[Any] = [request.prompt for request in requests]
            counted.append(
                RequestCount(
                    test=spec,
                    n_traces=sum(not case.greedy for case in cases),
                    n_requests=len(requests),
                    n_stored=queries.stored(folder(spec), requests),
                    n_later=sum(map(each.later, _asked(each, cases))),
                    n_prompt_tokens=sum(map(len, prompts)),
                    n_shared=sum(map(_common, prompts, prompts[1:])),
                    max_tokens=sum(request.sampling.max_tokens for request in requests),
                )
            )
    return counted


def folder(spec: str) -> str:
    """Where a test's samples lie, under samples/."""
    known = next((name for name in names("faithfulness") if spec.split(":")[0] == name), None)
    return known or "".join(c if c.isalnum() or c == "_" else "-" for c in spec)


def _measure(
    run: Run,
    queries: ModelQueries,
    read: AnswerReader,
    spec: str,
    test: FaithfulnessTest,
    *,
    limit: int | None,
    traces: int | None,
    seed: int,
) -> Measured:
    setting = _setting(run, queries, read, spec, seed)
    cases, untested = make_cases(run, setting, limit=limit, traces=traces)
    asked = _asked(test, cases)
    replies: dict[Case, dict[str, Reply]] = {case: {} for case in asked}
    failed: set[tuple[Case, str]] = set()
    while True:
        new = [
            (case, request)
            for case in asked
            for request in test.requests(case, replies[case])
            if _bare(request) not in replies[case] and (case, _bare(request)) not in failed
        ]
        if not new:
            break
        rows = queries.ask(folder(spec), [request for _, request in new]).to_dict("records")
        for (case, request), row in zip(new, rows, strict=True):
            if isinstance(row["text"], str):
                replies[case][_bare(request)] = Reply(
                    text=row["text"],
                    token_ids=tuple(row["token_ids"]),
                    finish_reason=row["finish_reason"],
                )
            else:
                failed.add((case, _bare(request)))
    asked_of = {(case.question.id, _unit(test, case)): case for case in asked}
    own = [replies[asked_of[case.question.id, _unit(test, case)]] for case in cases]
    return Measured(
        spec=spec,
        test=test,
        cases=cases,
        outcomes=[test.read(case, each) for case, each in zip(cases, own, strict=True)],
        untested=untested,
        texts={
            (case.question.id, i, variant): reply.text
            for i, (case, each) in enumerate(zip(cases, own, strict=True))
            for variant, reply in each.items()
        },
    )


def _load(tests: Sequence[str]) -> dict[str, FaithfulnessTest]:
    if not tests:
        raise InputError(f"no test: give one or more of {', '.join(names('faithfulness'))}")
    return {spec: load_test(spec) for spec in dict.fromkeys(tests)}


def _asked(test: FaithfulnessTest, cases: Sequence[Case]) -> list[Case]:
    """The cases that requests are made for: one a question where the test says so."""
    if not test.per_question:
        return list(cases)
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.question.id, case)
    return list(first.values())


def _unit(test: FaithfulnessTest, case: Case) -> Any:
    """Which replies within a question are a case's: all cases share them where requests are made
    once a question."""
    return None if test.per_question else (case.greedy, case.sample_index)


def _bare(request: Request) -> str:
    """A request's variant as its test named it: `Case` puts the trace's being greedy before it."""
    return request.variant.removeprefix("greedy/")


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _setting(run: Run, queries: ModelQueries, read: AnswerReader, spec: str, seed: int) -> Setting:
    return Setting(
        test=spec,
        tokenizer=queries.engine.tokenizer,
        sampling=run_sampling(run),
        seed=seed,
        read=read,
        embed=lambda texts: embed(texts, cache=run.path / "cache"),
        thinking=Thinking.of(run.identity),
        chat_args=run.identity.chat_args,
        system=run.identity.system,
    )


@contextmanager
def _queries(run: Run, model: str | None, engine: str | None) -> Iterator[ModelQueries]:
    queries = ModelQueries(run, model=model, engine_name=engine)
    try:
        yield queries
    finally:
        queries.close()


@contextmanager
def _reader(run: Run) -> Iterator[AnswerReader]:
    with Judge() as judge:
        yield AnswerReader(run, need(run, "answers"), judge)
