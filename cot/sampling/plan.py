"""What a sampling call will do: questions, prompt, engine, settings, what is still missing."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import prompts
from cot import datasets
from cot.answers.reasoning import Thinking, closing
from cot.chat_templates import (
    arguments_of,
    check_chat_args,
    closer_of,
    reasoning_is_closed,
    reasons,
    template_of,
)
from cot.engines import ServerFacts, server_facts
from cot.errors import InputError
from cot.registry import find
from cot.sampling.settings import RECOMMENDED, SampleSettings, pairs
from cot.stopping import StoppingRule, make_rule
from cot.store.identity import AdaptiveIdentity, Identity, SamplingIdentity
from cot.store.manifest import check_free
from cot.store.run import Run, create_run, open_run
from cot.types import TRACE_KEY, FinishReason, Question, Sampling

if TYPE_CHECKING:
    from cot.engines import Engine
    from cot.sampling.adaptive import AdaptiveSampler

__all__ = ["Plan", "matching_exemplars", "plan", "read_answer", "render", "stored_keys"]

log = logging.getLogger("cot")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sampling call, decided but not begun."""

    questions: Sequence[Question]
    """What will be asked."""
    part: str | None
    """Which part of the questions that is, as `k/m`; None for all of them."""
    positions: Mapping[str, int]
    """question_id to its place among the questions of all parts, in the order of the run."""
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
    engine = _engine(name, settings)
    form = settings.form
    if form == "auto":
        templated = getattr(engine.tokenizer, "chat_template", None)
        form = "chat" if templated or getattr(engine, "applies_template", False) else "text"
    stop = (*settings.stop, *(template.stop if form == "text" else ()))
    prompt_sha256 = template.sha256
    if settings.system is not None:
        template = replace(template, system=settings.system)
    shown = _first_prompt(template, form, chosen, engine.tokenizer, settings.chat_args)
    thinking = Thinking(
        tags=settings.think_tags,
        opened=shown is not None
        and closing("", shown, Thinking(tags=settings.think_tags)) is not None,
    )
    recommended = _recommended(settings, engine)
    sampling = settings.sampling(
        stop,
        context=engine.context,
        recommended=recommended,
        think_end=_think_end(settings, engine, form, shown or "", thinking),
    )
    facts = server_facts(engine)
    if facts is not None:
        _check_server(facts, sampling)
    if form == "chat" and shown is not None:
        _warn_of_reasoning(settings, engine, shown, thinking)
    rule = _load_rule(settings.adaptive)
    adaptive = None
    if settings.adaptive is not None:
        adaptive = AdaptiveIdentity(rule=settings.adaptive, format=_answer_format(questions))
    own = engine.model.adapter if engine.model else None
    rounded = engine.model.quantize if engine.model else settings.quantize
    identity = Identity(
        model=settings.model,
        revision=engine.model.checkpoint if engine.model else None,
        adapter=settings.adapter,
        adapter_revision=own.revision if own else None,
        quantize=rounded if facts is None else None,
        # copies of an engine sample what it samples: one or the other may go on with the run
        engine=getattr(engine, "stands_for", name),
        dtype=engine.dtype if facts is None else None,
        served=None if facts is None else facts.renamed,
        api=None if facts is None else facts.api,
        prompt=template.name,
        prompt_sha256=prompt_sha256,
        form=form,
        system=settings.system,
        chat_args=settings.chat_args or None,
        think_tags=settings.think_tags,
        think_opened=None if shown is None else thinking.opened,
        sampling=_sampling_identity(sampling, facts),
        generation_config=recommended or None,
        dataset=Path(dataset).name if Path(dataset).exists() else dataset,
        dataset_sha256=datasets.fingerprint(questions),
        seed=settings.seed,
        adaptive=adaptive,
    )
    positions = {question.id: place for place, question in enumerate(chosen)}
    chosen = _part(questions, chosen, settings)
    run = create_run(folder, identity, dry_run=True)
    greedy = stored_keys(run, "samples/greedy") if settings.greedy else set()
    if rule is None or adaptive is None:
        sampler = None
        there = stored_keys(run, "traces")
        open_samples = {
            q.id: [i for i in range(settings.n) if (q.id, i) not in there] for q in chosen
        }
    else:
        sampler = _adaptive_sampler(run, rule, chosen, settings)
        open_samples = sampler.open()
    return Plan(
        questions=chosen,
        part=settings.part,
        positions=positions,
        template=template,
        form=form,
        sampling=sampling,
        engine=engine,
        identity=identity,
        missing=[(q, i) for q in chosen for i in open_samples.get(q.id, ())],
        missing_greedy=[q for q in chosen if settings.greedy and (q.id, 0) not in greedy],
        adaptive=sampler,
    )


def _part(
    questions: Sequence[Question], chosen: Sequence[Question], settings: SampleSettings
) -> list[Question]:
    """Those chosen that are of this part: every m-th question of the dataset.

    A question's part follows from its place in the whole dataset, which the run's identity fixes,
    and not from its place among those chosen: another --limit or --shuffle moves none from one
    part to another, and parts are of one size, as they would not be by a hash of the id.
    """
    k, m = settings.part_of
    mine = {question.id for question in questions[k - 1 :: m]}
    found = [question for question in chosen if question.id in mine]
    if not found:
        raise InputError(
            f"--part {settings.part} holds none of the {len(chosen)} questions: ask for fewer parts"
        )
    return found


def stored_keys(run: Run, source: str) -> set[tuple[str, int]]:
    """(question_id, sample_index) of what `traces` or `samples/PURPOSE` holds."""
    from cot.store.shards import read_shards

    table = read_shards(run.path / source, TRACE_KEY)
    return set(zip(*(table[name].to_pylist() for name in table.column_names), strict=True))


def read_answer(
    question: Question, identity: Identity, text: str, finish_reason: FinishReason
) -> str | None:
    """The class of a trace's answer as an adaptive run reads it; None without a valid one."""
    from cot.answers.table import reading_of

    assert identity.adaptive is not None
    reading = reading_of(question, identity.adaptive.format, Thinking.of(identity))
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
            answer = read_answer(by_id[name], run.identity, row["text"], row["finish_reason"])
            stored[name][row["sample_index"]] = (answer, len(row["token_ids"] or ()))
    return AdaptiveSampler(rule, n=settings.n, ahead=settings.ahead, stored=stored)


def render(template: prompts.Template, form: str, question: Question) -> Any:
    """The question's prompt: messages or text."""
    write = template.messages if form == "chat" else template.text
    return write(question.text, question.choices)


def _first_prompt(
    template: prompts.Template,
    form: str,
    questions: Sequence[Question],
    tokenizer: Any,
    chat_args: Mapping[str, Any],
) -> str | None:
    """What the first question's prompt is as the model sees it; None where that isn't known."""
    from cot.models import encode

    if form == "text" and chat_args:
        raise InputError("--chat-arg goes to the chat template, which --form text doesn't use")
    check_chat_args(tokenizer, chat_args)
    if tokenizer is None or not questions:
        return None
    ids = encode(tokenizer, render(template, form, questions[0]), chat_args)
    return str(tokenizer.decode(list(ids)))


def _recommended(settings: SampleSettings, engine: Engine) -> dict[str, float]:
    """What the checkpoint recommends for the settings that were not given; it is said."""
    from cot.models import load_generation_config

    if settings.generation_config == "none":
        return {}
    if engine.model is None:
        raise InputError(f"--generation-config model: engine {engine.name!r} runs no model")
    file, found = load_generation_config(engine.model)
    taken = {
        name: found[name]
        for name in RECOMMENDED
        if found.get(name) is not None and getattr(settings, name) is None
    }
    try:
        replace(settings, **taken)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in taken.items())
    log.info("taken from generation_config.json: %s", said or "nothing")
    return taken


def _think_end(
    settings: SampleSettings, engine: Engine, form: str, prompt: str, thinking: Thinking
) -> str | None:
    """The text that a budget forces: what closes the reasoning, and a blank line after a tag."""
    if settings.think_budget is None:
        return None
    template = template_of(engine.tokenizer) if form == "chat" else ""
    closer = closer_of(template, prompt, thinking)
    if closer is None:
        raise InputError(
            f"--think-budget {settings.think_budget}: neither the chat template nor the prompt "
            "shows what ends this model's reasoning: give --think-tags"
        )
    # a channel's head is followed by its text, a closing tag by a blank line
    return closer if closer.endswith("<|message|>") else f"{closer}\n\n"


def _warn_of_reasoning(
    settings: SampleSettings, engine: Engine, prompt: str, thinking: Thinking
) -> None:
    """Say what would go wrong with a model that reasons, before anything is sampled."""
    template = template_of(engine.tokenizer)
    if not (settings.think_tags or reasons(template)) or reasoning_is_closed(prompt):
        return
    if settings.max_tokens == DEFAULT_MAX_TOKENS:
        off = [name for name in ("enable_thinking", "thinking") if name in arguments_of(template)]
        switch = f", or no reasoning: --chat-arg {off[0]}=false" if off else ""
        log.warning(
            "this model's chat template has it reason before it answers, and the %d tokens of "
            "--max-tokens cut most traces off before their answer: give --max-tokens auto (what "
            "the context leaves) or a number%s",
            DEFAULT_MAX_TOKENS,
            switch,
        )
    closer = closer_of(template, prompt, thinking)
    if closer in getattr(engine.tokenizer, "all_special_tokens", ()):
        log.warning(
            "%s is a special token of this model's, and a trace's text holds none: reasoning and "
            "answer can't be told apart by it",
            closer,
        )


DEFAULT_MAX_TOKENS = SampleSettings().max_tokens


def _check_server(facts: ServerFacts, sampling: Sampling) -> None:
    """Refuse settings that the server would leave out."""
    plain = Sampling()
    for name in sorted(facts.lacks):
        value = getattr(sampling, name)
        if value != getattr(plain, name):
            raise InputError(
                f"--{name.replace('_', '-')} {value}: the server ({facts.kind}) can't apply it: "
                "leave it out, or use another server"
            )


def _sampling_identity(sampling: Sampling, facts: ServerFacts | None) -> SamplingIdentity:
    """The settings as a run's identity has them: all but n and the seed; without what a server
    doesn't take, whose value there is not known."""
    known = {each.name for each in fields(SamplingIdentity)}
    given = {name: value for name, value in asdict(sampling).items() if name in known}
    if sampling.think_budget is None:
        given.pop("think_end")
    if facts is not None and "top_k" in facts.lacks:
        given.pop("top_k")
    return SamplingIdentity(**given)


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


def _engine(name: str, settings: SampleSettings) -> Engine:
    """The engine, with the arguments that were given."""
    make = find("engines", name)
    given = pairs("--engine-arg", settings.engine_arg)
    arguments = {key.replace("-", "_"): value for key, value in given.items()}
    takes = inspect.signature(make).parameters
    for option, unset in (("revision", None), ("adapter", None), ("quantize", "none")):
        value = getattr(settings, option)
        if value != unset and option not in takes:
            raise InputError(f"--{option} {value}: engine {name!r} takes none")
        if value != unset:
            arguments[option] = value
    if settings.url:
        if "url" not in takes:
            raise InputError(f"--url: engine {name!r} asks no server: give --engine endpoint")
        arguments["url"] = settings.url
    if settings.verbose:
        arguments["verbose"] = True
    engine: Engine = make(settings.model, dtype=settings.dtype, **arguments)
    return engine
