"""Layouts of known tools, as tables of columns, and which layout a file has.

A layout says under which of the tool's columns our fields stand (see `cot.importers.mapped`). What
each tool writes was read from its source:

- `qwen-math`: Qwen2.5-Math, evaluation/math_eval.py at a45202b. `gt` is the reference, `code` holds
  the n texts, `pred` the answers that the tool extracted, `score` its verdicts.
- `verl`: verl, `_dump_generations` in trainer/ppo/ray_trainer.py at b178a3c (`validation_data_dir`,
  `rollout_data_dir`). `input` is the decoded prompt without special tokens, which is what was asked
  but not the prompt that the model saw; `score` is a reward; `acc`, where a reward function gives
  it, is the verdict.
- `nemo-skills`: NeMo-Skills, inference/generate.py and evaluation/evaluator/math.py at 0b012df.
  Where the tool has cut the reasoning out of `generation`, `_full_generation` is the text.
- `open-r1`: Open-R1, scripts/generate_reasoning.py at 1416fa0, and the data set OpenR1-Math-220k,
  which adds the verdicts `correctness_math_verify`.
- `vllm`: vLLM 0.32, `RequestOutput` and `CompletionOutput` (outputs.py) as JSON. `logprobs` may be
  one number a token, or an object a token as vLLM has it, by token id.
- `zeroeval`: ZeroEval, `save_outputs` in src/unified_utils.py at 570c626. `answer` is the gold
  (`# 18` for GSM8K); with `choices`, `correct_answer` is the text of one of them.

A verdict of theirs that is true or false, or 0 or 1, is kept as `correct`, another number as it
stands. The answer that a tool extracted is kept in meta under the tool's name for it, and is not
used as the trace's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from cot.datasets import cells
from cot.errors import InputError
from cot.importers.fields import BadRecordError, listed
from cot.importers.jsonl import EACH, REQUIRED, SHARED
from cot.importers.lines import records
from cot.importers.record_paths import MissingError, find
from cot.importers.wide import LISTS, find_list

__all__ = ["LAYOUTS", "OWN", "Layout", "UnknownLayoutError", "detect"]


class UnknownLayoutError(InputError):
    """No format fits a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where a tool keeps what we read."""

    has: tuple[tuple[str, ...], ...]
    """Columns that tell it: all those of one of these sets are there."""
    columns: Mapping[str, tuple[str, ...]]
    """Our field to the tool's columns; the first that is there counts. Of a text that is a list,
    each entry is a sample, and the other per-trace fields are lists of as many values."""
    each: tuple[str, ...] = ()
    """Further columns with one value for each sample, kept in the traces' meta."""
    beside: str = "question"
    """Whose meta keeps the other columns where a record holds several samples: question or trace.
    """
    adapt: Callable[[dict[str, Any]], dict[str, Any]] = field(default=lambda fields: fields)
    """Changes a record before its columns are read."""


def _zeroeval(fields: dict[str, Any]) -> dict[str, Any]:
    gold, choices = fields.get("answer"), None
    if isinstance(gold, str):
        gold = gold.lstrip("#").strip() if gold.startswith("#") else gold
    if isinstance(fields.get("choices"), list) and "correct_answer" in fields:
        try:
            choices = cells.options(fields["choices"])
            gold = cells.choice(fields["correct_answer"], choices or (), None, "", "correct_answer")
        except InputError as error:
            raise BadRecordError(str(error).lstrip(": ")) from None
    prompt = fields.get("model_input")
    if prompt == "n/a":  # an API's client: the chat is what was asked
        chat = fields.get("chat_history")
        roles = ("user", "assistant")
        prompt = (
            [{"role": roles[turn % 2], "content": said} for turn, said in enumerate(chat)]
            if isinstance(chat, list) and all(isinstance(said, str) for said in chat)
            else None
        )
    read = {"gold": gold, "choices": list(choices) if choices else None, "prompt": prompt}
    used = ("answer", "choices", "correct_answer", "model_input", "chat_history")
    return {**{name: fields[name] for name in fields if name not in used}, **read}


def _vllm(fields: dict[str, Any]) -> dict[str, Any]:
    """Log-probabilities of the sampled tokens, out of those of the likeliest."""
    outputs = fields.get("outputs")
    if not isinstance(outputs, list) or not all(isinstance(each, dict) for each in outputs):
        raise BadRecordError("outputs is not a list of objects")
    return {**fields, "outputs": [{**each, "logprobs": _of_sampled(each)} for each in outputs]}


def _of_sampled(output: Mapping[str, Any]) -> Any:
    given, ids = output.get("logprobs"), output.get("token_ids")
    if not (isinstance(given, list) and isinstance(ids, list) and len(given) == len(ids)):
        return given
    if not all(isinstance(each, dict) for each in given):
        return given
    chosen = [each.get(str(token)) for each, token in zip(given, ids, strict=True)]
    return [each.get("logprob") if isinstance(each, dict) else each for each in chosen]


LAYOUTS: dict[str, Layout] = {
    "qwen-math": Layout(
        has=(("question", "gt", "code", "pred"),),
        columns={
            "question_id": ("idx",),
            "question": ("question",),
            "gold": ("gt",),
            "text": ("code",),
            "correct": ("score",),
        },
        each=("pred", "report"),
    ),
    "verl": Layout(
        has=(("input", "output", "score", "step"),),
        columns={
            "question": ("input",),
            "gold": ("gts",),
            "text": ("output",),
            "correct": ("acc",),
            "score": ("score",),
        },
    ),
    "nemo-skills": Layout(
        has=(("generation", "expected_answer"),),
        columns={
            "question_id": ("id",),
            "question": ("problem", "question"),
            "gold": ("expected_answer",),
            "text": ("_full_generation", "generation"),
            "reasoning": ("reasoning_content",),
            "correct": ("symbolic_correct",),
            "finish_reason": ("finish_reason",),
            "logprobs": ("logprobs",),
        },
    ),
    "open-r1": Layout(
        has=(("generations", "correctness_math_verify"), ("generations", "finish_reasons")),
        columns={
            "question_id": ("uuid",),
            "question": ("problem", "question", "prompt"),
            "gold": ("answer",),
            "text": ("generations",),
            "correct": ("correctness_math_verify",),
            "finish_reason": ("finish_reasons",),
        },
        each=("correctness_llama", "is_reasoning_complete", "api_metadata"),
    ),
    "vllm": Layout(
        has=(("prompt", "outputs.0.text"), ("request_id", "outputs.0.text")),
        columns={
            **{name: (name,) for name in ("question_id", "gold", "choices")},
            "question": ("question", "prompt"),
            "prompt": ("prompt",),
            "prompt_ids": ("prompt_token_ids",),
            "text": ("outputs.*.text",),
            "token_ids": ("outputs.*.token_ids",),
            "logprobs": ("outputs.*.logprobs",),
            "finish_reason": ("outputs.*.finish_reason",),
        },
        each=("outputs.*.stop_reason", "outputs.*.cumulative_logprob"),
        beside="trace",
        adapt=_vllm,
    ),
    "zeroeval": Layout(
        has=(("session_id", "chat_history", "output", "generator"),),
        columns={
            "question_id": ("id", "session_id"),
            "question": ("question", "problem", "puzzle", "instruction"),
            "gold": ("gold",),
            "choices": ("choices",),
            "prompt": ("prompt",),
            "text": ("output",),
        },
        adapt=_zeroeval,
    ),
}
OWN = Layout(
    has=(),
    columns={
        **{name: (name,) for name in (*SHARED, *EACH) if name != "answer"},
        "text": ("text", *LISTS),
    },
)
"""Our own names, which --map changes. An `answer` may be the reference or the trace's own, so that
--map must say which."""
LOOKED_FOR = {
    "jsonl": "question_id, question, sample_index, text",
    "wide": "question_id, question and a list: " + ", ".join(LISTS),
    "lm-eval": "doc_id and resps",
    "inspect": "a zip with samples/, or eval and samples",
    "openai-batch": "custom_id and response",
    "openai": "object, which is chat.completion, text_completion or response",
    **{name: ", ".join(layout.has[0]) for name, layout in LAYOUTS.items()},
}
SAVED = ("chat.completion", "text_completion", "response")
FIRST = 20
"""Records that are looked at."""


def detect(path: Path) -> str:
    """The file's format.

    Raises:
        UnknownLayoutError: none fits; the message says what was looked for, and what the file has.
        InputError: a JSON list or a Parquet file that cannot be read.
    """
    with open(path, "rb") as handle:
        head = handle.read(4096)
    if path.suffix == ".eval" or head.startswith(b"PK"):
        return "inspect"
    first = ""
    for place, fields in islice(records(path), FIRST):
        if isinstance(fields, BadRecordError):
            continue
        if found := _match(fields):
            return found
        line = f"line {place}" if place.isdecimal() else place
        first = first or f"{line} has {listed(fields.keys())}"
    if not first and head.lstrip().startswith(b"["):
        first = "the file is one JSON list, and its first entries are no objects"
    if first:
        raise _unknown(path, first)
    if b'"version"' in head and b'"eval"' in head:
        return "inspect"
    return "jsonl"  # whose reader says what is wrong with the lines


def _match(fields: Mapping[str, Any]) -> str | None:
    there = fields.keys()
    if {"custom_id", "response"} <= there:
        return "openai-batch"
    if {"doc_id", "resps"} <= there:
        return "lm-eval"
    if {"eval", "version"} <= there:
        return "inspect"
    saved = (fields, fields.get("response"))
    if any(isinstance(body, dict) and body.get("object") in SAVED for body in saved):
        return "openai"
    if {"question_id", "question"} <= there and find_list(fields):
        return "wide"
    if len(there & set(REQUIRED)) >= 3:
        return "jsonl"
    for name, layout in LAYOUTS.items():
        if any(all(_has(fields, column) for column in columns) for columns in layout.has):
            return name
    return "wide" if "question" in fields and find_list(fields) else None


def _has(fields: Mapping[str, Any], column: str) -> bool:
    try:
        find(fields, column)
    except MissingError:
        return False
    return True


def _unknown(path: Path, there: str) -> UnknownLayoutError:
    formats = "; ".join(f"{name} ({what})" for name, what in LOOKED_FOR.items())
    return UnknownLayoutError(
        f"{path}: unknown layout: {there}. Looked for: {formats}. See --format and --map"
    )
