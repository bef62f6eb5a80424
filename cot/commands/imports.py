"""`cot import`."""

from __future__ import annotations

from pathlib import Path

from cot.console import Output, emit, listen
from cot.errors import InputError
from cot.importers import import_traces

__all__ = ["import_file"]


def import_file(
    file: Path,
    /,
    *,
    out: Path,
    format: str = "auto",
    questions: Path | None = None,
    map: tuple[str, ...] = (),
    model: str | None = None,
    skip_bad: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Make a run from samples made elsewhere.

    Parameters
    ----------
    file
        Samples in one of the formats: JSON lines, one JSON list, or Parquet.
    out
        The run's folder.
    format
        auto (by suffix and first records); jsonl: one trace a line (question_id, question,
        sample_index, text; optional gold, choices, answer, prompt, token_ids, logprobs,
        finish_reason, seed, confidence, reasoning, correct, score); wide: one question a line,
        with samples, a list of texts or of such traces; lm-eval: samples_*.jsonl of
        lm-evaluation-harness --log_samples; inspect: an .eval or .json log; openai-batch: a
        batch's output, with --questions; openai: completions and responses as they were
        answered, with what was asked; or what a known tool writes: qwen-math, verl, nemo-skills,
        open-r1, vllm, zeroeval.
    questions
        For openai-batch: the batch's input file, which holds what was asked.
    map
        NAME=COLUMN, given again for each: where one of jsonl's fields stands in the file, such as
        text=response, gold=doc.answer, text=outputs.*.text (a list: each entry is a sample).
    model
        The model that wrote the traces, a folder or a hub id, which later commands then use.
    skip_bad
        Store the good samples although there are bad ones.
    """
    listen()
    done = import_traces(
        file,
        out,
        format=format,
        questions=questions,
        map=_mapping(map),
        model=model,
        skip_bad=skip_bad,
    )
    result = {
        "run": done.run.path,
        "n_questions": done.n_questions,
        "n_traces": done.n_traces,
        "n_new": done.n_new,
        "n_rejected": done.n_rejected,
    }
    said = {"lacks": done.lacks, "left_out": done.left_out}
    emit(output, {**result, **said}, rows=[result])


def _mapping(given: tuple[str, ...]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for each in given:
        name, mark, column = each.partition("=")
        if not mark:
            raise InputError(f"--map {each}: write NAME=COLUMN, such as text=response")
        if name in mapping:
            raise InputError(f"--map {each}: {name} is {mapping[name]} already")
        mapping[name] = column
    return mapping
