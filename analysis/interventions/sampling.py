"""Traces that are sampled under a change, beside those of the unchanged model.

Each question is sampled on from its own prompt with the run's sampling settings, and sample i draws
with the seed of the run's trace i: under every variant, and under none. So a pair of traces differs
by the change alone. The edit acts on every generated token of one layer.

    variants = [Variant(name="steering/correct/8/0.5", method="steering", target="correct", layer=8,
                        strength=0.5, edit=Add(vector), questions=frozenset(names), n=6)]
    count_changed(run, variants)         # what that would cost
    sample_changed(run, variants)        # the table `interventions_sampled`

Samples go to samples/intervene, keyed by question, sample and variant, and none is drawn twice.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis.catalogue import need
from analysis.faithfulness_tests.trace_selection import AnswerReader
from analysis.hidden_states.edits import Edit
from analysis.hidden_states.planning import prompt_ids
from analysis.interventions.changed_engine import ChangedEngine, ChangedRequest, changed_engines
from analysis.model_queries import ModelQueries, run_sampling
from cot.answers.judge import Judge
from cot.answers.reasoning import Thinking
from cot.engines import Engine
from cot.errors import InputError
from cot.models import ResolvedModel, load_config
from cot.sampling.sampler import trace_seed
from cot.store.run import Run
from cot.types import Request

__all__ = ["ChangedCount", "Variant", "count_changed", "repetition", "sample_changed"]

log = logging.getLogger("cot")

PURPOSE = "intervene"
"""Where the samples lie, under samples/."""
UNCHANGED = "unchanged"
"""The baseline's variant, and its `control`."""
GRAM = 4
"""Tokens of the n-grams whose repetition is counted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variant:
    """A change under which questions are sampled again."""

    name: str
    """A part of the samples' key, no other variant's; a digest of the edit's numbers follows it."""
    method: str
    """The intervention."""
    target: str = ""
    """What a direction tells apart; empty where there is none."""
    layer: int
    """Blocks before the states that are edited."""
    strength: float | None = None
    """Of a direction, in mean norms of the states; None where it has none."""
    control: str = ""
    """Which control it is; empty for the change itself."""
    draw: int = 0
    """Number of a random direction."""
    edit: Edit = field(repr=False)
    """What becomes of each generated token's state: a dataclass of numbers and arrays."""
    questions: frozenset[str] = field(repr=False)
    """The questions that it is sampled for."""
    n: int
    """Samples a question."""


@dataclass(frozen=True, kw_only=True)
class ChangedCount:
    """What `sample_changed` would sample."""

    n_samples: int
    """All that are asked for, the unchanged ones included."""
    n_stored: int
    """Those of them that are there already."""
    max_tokens: int
    """Most tokens that the others can have."""
    estimated_tokens: int | None
    """The same if they are as long as the run's traces on average; None where the run has no token
    ids."""


def sample_changed(
    run: Run,
    variants: Sequence[Variant],
    *,
    model: str | None = None,
    engine: str | None = None,
    device: str | None = None,
    workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Sample what is missing, and return the table `interventions_sampled`.

    One row a trace, in the order of the questions, samples and variants: question_id, sample_index,
    method, target, layer, position, strength, control, draw (as the variant says; of the unchanged
    traces, which all variants share, `control` is "unchanged" and the others are empty); answer,
    status, correct (as the run's answers are read and graded); baseline_answer (of the unchanged
    trace of the same question and sample), finish_reason, n_tokens; repetition (share of the
    trace's 4-grams of tokens that stood in it before; missing where there is none); perplexity
    (exp of the mean negative log-probability of its tokens under the unchanged model).

    Args:
        variants: names are unique. Each is sampled for the questions that it names; sample indices
            are those of the question's first `n` traces, and others from 0 on where it has fewer.
        model: the model to sample; by default the run's own.
        engine: `transformers`, or None; `vllm` gets a notice.
        device: a torch device; CUDA by default where there is one.
        workers: processes on a Ray cluster that share the samples; by default this one alone.
        limit: the first so many questions of the run only.
        seed: of sampling, where the run was imported and has none.

    Raises:
        InputError: an engine that states can't be written into, a layer that the model doesn't
            have, no question with a prompt, or answers that a verifier read.
        RuntimeError: the engine wrote other states than were meant.
    """
    if not variants:
        return _typed([])
    _check_engine(run, engine)
    with _queries(run, model, device, workers) as queries:
        asked = _asked(run, variants, queries, limit, seed)
        rows = queries.ask(PURPOSE, [request for _, request in asked])
    table = _table(run, [variant for variant, _ in asked], rows)
    if failed := len(asked) - len(table):
        log.warning("%d samples are left out, as their prompt fills the model's context", failed)
    return table


def count_changed(
    run: Run,
    variants: Sequence[Variant],
    *,
    model: str | None = None,
    engine: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> ChangedCount:
    """What `sample_changed` would sample; loads no weights. The arguments are its own."""
    if not variants:
        return ChangedCount(n_samples=0, n_stored=0, max_tokens=0, estimated_tokens=0)
    _check_engine(run, engine)
    with _queries(run, model, None) as queries:
        requests = [each for _, each in _asked(run, variants, queries, limit, seed)]
        n_stored = queries.stored(PURPOSE, requests)
    left = len(requests) - n_stored
    lengths = [len(ids) for ids in run.traces(["token_ids"])["token_ids"] if ids is not None]
    return ChangedCount(
        n_samples=len(requests),
        n_stored=n_stored,
        max_tokens=left * run_sampling(run).max_tokens,
        estimated_tokens=round(left * float(np.mean(lengths))) if lengths else None,
    )


def repetition(token_ids: Sequence[int]) -> float:
    """Share of the 4-grams of tokens that stood in the trace before; NaN where there is none.

    >>> repetition([1, 2, 3, 4, 1, 2, 3, 4])  # 5 of them, the last is the first again
    0.2
    """
    ids = [int(token) for token in token_ids]
    grams = [tuple(ids[i : i + GRAM]) for i in range(len(ids) - GRAM + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else float("nan")


# -- what is asked ---------------------------------------------------------------------------------


def _check_engine(run: Run, engine: str | None) -> None:
    """Say it where another engine was asked for or has sampled the run.

    Raises:
        InputError: an engine that runs no weights here.
    """
    if engine not in (None, "transformers", "vllm"):
        raise InputError(
            f"--engine {engine}: states can be written with transformers only; leave it out"
        )
    named = engine or run.identity.engine
    if named not in (None, "transformers"):
        whose = "was asked for" if engine else "sampled the run"
        log.warning(
            "the engine %s %s, but states can't be written into it: what is sampled under a change "
            "is sampled with transformers here, and so is the unchanged model beside it",
            *(named, whose),
        )


def _queries(
    run: Run, model: str | None, device: str | None, workers: int | None = None
) -> ModelQueries:
    make: Callable[..., Engine] = partial(ChangedEngine, device=device)
    if workers is not None:
        make = partial(changed_engines, workers=workers, device=device)
    return ModelQueries(run, model=model, engine_name="transformers", make_engine=make)


def _asked(
    run: Run, variants: Sequence[Variant], queries: ModelQueries, limit: int | None, seed: int
) -> list[tuple[Variant | None, Request]]:
    """Each sample's variant (None: unchanged) and request, by question, sample and variant."""
    engine: Any = queries.engine
    _check_variants(variants, engine.model)
    sampling = run_sampling(run)
    own_seed = seed if run.identity.seed is None else run.identity.seed
    names = run.questions()["question_id"].tolist()[:limit]
    wanted = {
        name: [each for each in variants if name in each.questions and each.n > 0] for name in names
    }
    prompts = _prompts(run, [name for name in names if wanted[name]], engine.tokenizer)
    asked: list[tuple[Variant | None, Request]] = []
    for name, by_sample in prompts.items():
        most = max(each.n for each in wanted[name])
        first = next(iter(by_sample.values()))
        others = (i for i in range(most) if i not in by_sample)
        for place, index in enumerate([*by_sample, *others][:most]):
            common: dict[str, Any] = {
                "question_id": name,
                "sample_index": index,
                "prompt": by_sample.get(index, first),
                "sampling": sampling,
                "seed": trace_seed(own_seed, name, index),
            }
            asked.append((None, Request(**common, variant=UNCHANGED)))
            for each in wanted[name]:
                if place < each.n:
                    own = {**common, "variant": _key(each), "layer": each.layer, "edit": each.edit}
                    asked.append((each, ChangedRequest(**own)))
    return asked


def _check_variants(variants: Sequence[Variant], model: ResolvedModel) -> None:
    names = [UNCHANGED, *(each.name for each in variants)]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"variants of the same name: {', '.join(twice)}")
    n_blocks = int(load_config(model).num_hidden_layers)
    if high := [each.layer for each in variants if not 0 <= each.layer <= n_blocks]:
        raise InputError(f"layer {high[0]}: {model.name} has layers 0 to {n_blocks}")


def _prompts(
    run: Run, names: Sequence[str], tokenizer: Any
) -> dict[str, dict[int, tuple[int, ...]]]:
    """question_id to each trace's sample_index, ascending, and the token ids of its prompt.

    Raises:
        InputError: no question has a trace with a prompt.
    """
    traces = run.traces(["prompt_sha"])
    traces = traces[traces["question_id"].isin(names)]
    stored = prompt_ids(run, set(traces["prompt_sha"].dropna()), tokenizer)
    found: dict[str, dict[int, tuple[int, ...]]] = {name: {} for name in names}
    columns = ("question_id", "sample_index", "prompt_sha")
    for name, index, sha in sorted(zip(*(traces[each] for each in columns), strict=True)):
        if sha in stored:
            found[name][int(index)] = tuple(int(token) for token in stored[sha])
    if without := [name for name in names if not found[name]]:
        log.warning(
            "%d questions none of whose traces has a prompt are not sampled under a change",
            len(without),
        )
    if names and len(without) == len(names):
        raise InputError(
            f"{run.path}: no trace has a prompt to sample on from: give the field `prompt` when "
            "importing"
        )
    return {name: by_sample for name, by_sample in found.items() if by_sample}


def _key(variant: Variant) -> str:
    """The variant's part of the key: another edit of the same name is another variant."""
    digest = hashlib.blake2b(f"{variant.layer}".encode(), digest_size=8)
    for part in _parts(variant.edit):
        digest.update(part)
    return f"{variant.name}:{digest.hexdigest()}"


def _parts(edit: Any) -> Iterator[bytes]:
    if not is_dataclass(edit):
        raise TypeError(f"{type(edit).__name__} is no dataclass, so that its numbers aren't known")
    yield f"{type(edit).__module__}.{type(edit).__qualname__}".encode()
    for each in fields(edit):
        value = getattr(edit, each.name)
        if isinstance(value, np.ndarray):
            # in the precision in which it is applied
            yield f"{each.name}{value.shape}".encode()
            yield np.ascontiguousarray(value, dtype=np.float32).tobytes()
        elif is_dataclass(value):
            yield from _parts(value)
        else:
            yield f"{each.name}={value!r}".encode()


# -- what came back --------------------------------------------------------------------------------

TYPES = {
    "layer": "Int64",
    "draw": "Int64",
    "sample_index": "int64",
    "n_tokens": "int64",
    "strength": "float64",
    "repetition": "float64",
    "perplexity": "float64",
    "correct": "boolean",
}
TEXTS = (
    *("question_id", "method", "target", "position", "control", "answer", "status"),
    *("baseline_answer", "finish_reason"),
)
COLUMNS = [
    *("question_id", "sample_index", "method", "target", "layer", "position", "strength"),
    *("control", "draw", "answer", "status", "correct", "baseline_answer", "finish_reason"),
    *("n_tokens", "repetition", "perplexity"),
]


def _table(run: Run, variants: Sequence[Variant | None], rows: pd.DataFrame) -> pd.DataFrame:
    thinking = Thinking.of(run.identity)
    # where the prompt opens the reasoning, the reader must be told: it reads a text by itself
    lead = (thinking.tags or ("<think>",))[0] if thinking.opened else ""
    made = []
    baseline: dict[tuple[str, int], str | None] = {}
    with Judge() as judge:
        read = AnswerReader(run, need(run, "answers"), judge)
        grade = _Grader(run, read, judge)
        for variant, row in zip(variants, rows.to_dict("records"), strict=True):
            if not isinstance(row["text"], str):
                continue
            name, index = row["question_id"], int(row["sample_index"])
            answer, status = read(name, lead + row["text"], row["finish_reason"])
            if variant is None:
                baseline[name, index] = answer
            made.append(
                {
                    "question_id": name,
                    "sample_index": index,
                    "method": variant.method if variant else "",
                    "target": variant.target if variant else "",
                    "layer": variant.layer if variant else None,
                    "position": "generated",
                    "strength": variant.strength if variant else None,
                    "control": variant.control if variant else UNCHANGED,
                    "draw": variant.draw if variant else 0,
                    "answer": answer,
                    "status": status,
                    "correct": grade(name, answer),
                    "baseline_answer": baseline[name, index],
                    "finish_reason": row["finish_reason"],
                    "n_tokens": len(row["token_ids"]),
                    "repetition": repetition(row["token_ids"]),
                    # float64: a sum of thousands of float32 loses digits
                    "perplexity": float(np.exp(-np.mean(row["logprobs"], dtype=np.float64))),
                }
            )
    return _typed(made)


def _typed(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS).astype(TYPES | dict.fromkeys(TEXTS, "str"))


class _Grader:
    """Whether an answer's class is right, as the table `answers` has it: False where there is no
    answer, None without gold and without a verdict on it."""

    def __init__(self, run: Run, read: AnswerReader, judge: Judge) -> None:
        answers = need(run, "answers")
        judged = answers[answers["answer"].notna() & answers["correct"].notna()]
        columns = (judged[name] for name in ("question_id", "answer", "correct"))
        self._known = {
            (name, form): bool(right) for name, form, right in zip(*columns, strict=True)
        }
        self._asked = read.asked
        self._judge = judge

    def __call__(self, question_id: str, answer: str | None) -> bool | None:
        reading = self._asked[question_id]
        if answer is not None and (question_id, answer) in self._known:
            return self._known[question_id, answer]
        if not reading.golds:
            return None
        if answer is not None and reading.format == "latex":
            return any(self._judge.equal(answer, gold) for gold in reading.golds)
        return answer in {reading.class_of(gold) for gold in reading.golds}
