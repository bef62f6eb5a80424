"""What a sampling call will do: questions, prompt, engine, settings, what is still missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prompts
from cot import datasets
from cot.errors import InputError
from cot.registry import find
from cot.sampling.settings import SampleSettings
from cot.stopping import StoppingRule, make_rule
from cot.store.identity import AdaptiveIdentity, Identity, SamplingIdentity
from cot.store.manifest import check_free
from cot.store.run import Run, create_run, open_run
from cot.types import TRACE_KEY, FinishReason, Question, Sampling

if TYPE_CHECKING:
    from cot.engines import Engine
    from cot.sampling.adaptive import AdaptiveSampler

__all__ = ["Plan", "matching_exemplars", "plan", "read_answer", "stored_keys"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sampling call, decided but not begun."""

    questions: Sequence[Question]
    """What will be asked."""
    template: prompts.Template
    """How it will be asked."""
    form: str
    """`chat` or `text`."""
    sampling: Sampling
    """Settings, stop strings included."""
    engine: Engine
    """Resolved, not loaded."""
    identity: Identity
    """What a later call must not change."""
    missing: Sequence[tuple[Question, int]]
    """(question, sample_index) still to be sampled; with a rule, at most."""
    missing_greedy: Sequence[Question]
    """Questions without a greedy trace."""
    adaptive: AdaptiveSampler | None
    """What asks a stopping rule for the samples to draw; None where all of them are drawn."""


def plan(dataset: str, out: str | Path, settings: SampleSettings) -> Plan:
    """Decide what to sample; writes nothing and loads no weights."""
    folder = Path(out)
    check_free(folder)
    questions = datasets.load(
        dataset,
        subset=settings.subset,
        split=settings.split,
        preset=settings.preset,
        question_column=settings.question_column,
        answer_column=settings.answer_column,
        choices_column=settings.choices_column,
        id_column=settings.id_column,
    )
    chosen = datasets.select(questions, limit=settings.limit, shuffle=settings.shuffle)
    template = _load_template(settings, questions)
    old = open_run(folder) if (folder / "run.json").exists() else None
    name = settings.engine or (old.identity.engine if old else None) or _default_engine()
    engine: Engine = find("engines", name)(
        settings.model,
        dtype=settings.dtype,
        **({"verbose": True} if settings.verbose else {}),
        **_engine_arguments(settings.engine_arg),
    )
    form = settings.form
    if form == "auto":
        form = "chat" if getattr(engine.tokenizer, "chat_template", None) else "text"
    stop = (*settings.stop, *(template.stop if form == "text" else ()))
    sampling = settings.sampling(stop)
    rule = _load_rule(settings.adaptive)
    adaptive = None
    if settings.adaptive is not None:
        adaptive = AdaptiveIdentity(rule=settings.adaptive, format=_answer_format(questions))
    identity = Identity(
        model=settings.model,
        revision=engine.model.revision if engine.model else None,
        engine=name,
        dtype=engine.dtype,
        prompt=template.name,
        prompt_sha256=template.sha256,
        form=form,
        sampling=SamplingIdentity(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_tokens,
            stop=sampling.stop,
            top_logprobs=sampling.top_logprobs,
        ),
        dataset=Path(dataset).name if Path(dataset).exists() else dataset,
        dataset_sha256=datasets.fingerprint(questions),
        seed=settings.seed,
        adaptive=adaptive,
    )
    run = create_run(folder, identity, dry_run=True)
    greedy = stored_keys(run, "samples/greedy") if settings.greedy else set()
    if rule is None or adaptive is None:
        sampler = None
        there = stored_keys(run, "traces")
        open_samples = {
            q.id: [i for i in range(settings.n) if (q.id, i) not in there] for q in chosen
        }
    else:
        sampler = _adaptive_sampler(run, rule, chosen, adaptive.format, settings)
        open_samples = sampler.open()
    return Plan(
        questions=chosen,
        template=template,
        form=form,
        sampling=sampling,
        engine=engine,
        identity=identity,
        missing=[(q, i) for q in chosen for i in open_samples.get(q.id, ())],
        missing_greedy=[q for q in chosen if settings.greedy and (q.id, 0) not in greedy],
        adaptive=sampler,
    )


def stored_keys(run: Run, source: str) -> set[tuple[str, int]]:
    """(question_id, sample_index) of what `traces` or `samples/PURPOSE` holds."""
    from cot.store.shards import read_shards

    table = read_shards(run.path / source, TRACE_KEY)
    return set(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))


def read_answer(
    question: Question, format: str, text: str, finish_reason: FinishReason
) -> str | None:
    """The class of a trace's answer as an adaptive run reads it; None without a valid one."""
    from cot.answers.table import reading_of

    reading = reading_of(question, format)
    form = reading.read(text, finish_reason).canonical
    return None if form is None else reading.class_of(form)


def _load_rule(spec: str | None) -> StoppingRule | None:
    if spec is None:
        return None
    rule: StoppingRule = make_rule(spec)
    rule(())  # one that can't be asked while sampling says so
    return rule


def _answer_format(questions: Sequence[Question]) -> str:
    """The format in which an adaptive run reads answers: of the whole dataset, as `cot answers`."""
    from cot.answers import choose_format

    return choose_format([q.gold for q in questions], [q.choices for q in questions]).format


def _adaptive_sampler(
    run: Run,
    rule: StoppingRule,
    questions: Sequence[Question],
    format: str,
    settings: SampleSettings,
) -> AdaptiveSampler:
    """A rule where the stored traces have brought it."""
    from cot.sampling.adaptive import AdaptiveSampler, Drawn
    from cot.store.shards import read_shards

    stored: dict[str, dict[int, Drawn]] = {question.id: {} for question in questions}
    by_id = {question.id: question for question in questions}
    columns = ["question_id", "sample_index", "text", "finish_reason", "token_ids"]
    for row in read_shards(run.path / "traces", columns).to_pylist():
        name = row["question_id"]
        if name in stored:
            answer = read_answer(by_id[name], format, row["text"], row["finish_reason"])
            stored[name][row["sample_index"]] = (answer, len(row["token_ids"] or ()))
    return AdaptiveSampler(rule, n=settings.n, ahead=settings.ahead, stored=stored)


def _load_template(settings: SampleSettings, questions: Sequence[Question]) -> prompts.Template:
    template = prompts.load(settings.prompt)
    if not template.uses_exemplars:
        return prompts.load(settings.prompt, exemplars=settings.exemplars, shots=settings.shots)
    exemplars = settings.exemplars or matching_exemplars(questions)
    return prompts.load(settings.prompt, exemplars=exemplars, shots=settings.shots)


def matching_exemplars(questions: Sequence[Question]) -> str:
    """The bundled set that shows this dataset's kind of answer."""
    if any(question.choices for question in questions):
        return "multiple_choice"
    golds = [question.gold.strip().lower() for question in questions if question.gold]
    return "yes_no" if golds and set(golds) <= {"yes", "no", "true", "false"} else "arithmetic"


def _default_engine() -> str:
    return "vllm" if find_spec("vllm") else "transformers"


def _engine_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """`key=value` strings; a value is read as JSON where it is JSON, else as it stands."""
    arguments = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise InputError(f"--engine-arg {pair!r}: write it as key=value")
        try:
            arguments[key.replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            arguments[key.replace("-", "_")] = value
    return arguments
