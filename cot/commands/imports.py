"""`cot import`."""

from __future__ import annotations

from pathlib import Path

from cot.console import Output, emit, listen
from cot.importers import import_traces

__all__ = ["import_file"]


def import_file(
    file: Path,
    /,
    *,
    out: Path,
    format: str = "auto",
    questions: Path | None = None,
    skip_bad: bool = False,
    output: Output = Output(),  # noqa: B008 - frozen
) -> None:
    """Make a run from samples made elsewhere.

    Parameters
    ----------
    file
        Samples in one of the formats.
    out
        The run's folder.
    format
        auto (by suffix and first records); jsonl: one trace a line (question_id, question,
        sample_index, text; optional gold, choices, answer, prompt, token_ids, logprobs,
        finish_reason, seed, confidence); wide: one question a line, with samples, a list of texts
        or of such traces; lm-eval: samples_*.jsonl of lm-evaluation-harness --log_samples;
        inspect: an .eval or .json log; openai-batch: a batch's output, with --questions.
    questions
        For openai-batch: the batch's input file, which holds what was asked.
    skip_bad
        Store the good samples although there are bad ones.
    """
    listen()
    done = import_traces(file, out, format=format, questions=questions, skip_bad=skip_bad)
    result = {
        "run": done.run.path,
        "n_questions": done.n_questions,
        "n_traces": done.n_traces,
        "n_new": done.n_new,
        "n_rejected": done.n_rejected,
    }
    emit(output, result, rows=[result])
