"""Why a trace ended, in the words of every server; other words are refused with the list."""

import json

import pytest

from analysis.answer_table import answers as extract_answers
from cot.errors import InputError
from cot.importers import import_traces
from cot.importers.fields import BadRecordError, finish_reason

ENDED = [
    *("stop", "eos", "eos_token", "end_turn", "end", "stop_sequence", "stop_string", "complete"),
    *("completed", "STOP", "COMPLETE", "tool_calls", "tool_use", "function_call"),
    *("content_filter", "refusal", "SAFETY", "RECITATION", "unknown", {"type": "stop"}, None),
]
CUT = [
    *("length", "max_tokens", "MAX_TOKENS", "max_length", "model_length", "max_output_tokens"),
    *("incomplete", "repetition", "abort", "aborted", "cancelled", "timeout", "pause_turn"),
    *("model_context_window_exceeded", {"type": "length", "length": 9}, {"type": "abort"}),
]


@pytest.mark.parametrize(
    ("reason", "finish"), [*((one, "stop") for one in ENDED), *((one, "length") for one in CUT)]
)
def test_every_servers_word(reason, finish):
    assert finish_reason(reason) == finish


@pytest.mark.parametrize(
    "reason", ["error", "tired", "", 1, True, ["stop"], {"type": 5}, "İ" * 999]
)
def test_other_words_are_refused_with_the_list(reason):
    with pytest.raises(
        BadRecordError, match=r"one of stop, eos, .* or length, max_tokens, "
    ) as caught:
        finish_reason(reason)
    assert len(str(caught.value)) < 700


def test_a_trace_that_was_aborted_is_truncated_and_its_reason_kept(tmp_path):
    asked = {"question_id": "q", "question": "5 + 7?", "gold": 12}
    reasons = ["stop", "length", "abort", "end_turn", None]
    lines = [
        {**asked, "sample_index": n, "text": "Hm, well", "finish_reason": reason}
        for n, reason in enumerate(reasons)
    ]
    file = tmp_path / "f.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = import_traces(file, tmp_path / "run")
    kept = [meta.get("finish_reason") for meta in done.run.traces()["meta"]]
    assert kept == [None, None, "abort", "end_turn", None]
    status = extract_answers(done.run)["status"].to_list()
    assert status == ["missing", "truncated", "truncated", "missing", "missing"]
    assert "finish reasons for 1 of 5 traces" in done.lacks[0]


def test_a_failed_request_is_named(tmp_path):
    line = {
        "question_id": "q",
        "question": "?",
        "sample_index": 0,
        "text": "",
        "finish_reason": "error",
    }
    (tmp_path / "f.jsonl").write_text(json.dumps(line))
    with pytest.raises(InputError, match=r"f\.jsonl:1: finish_reason is 'error': one of stop"):
        import_traces(tmp_path / "f.jsonl", tmp_path / "run")
