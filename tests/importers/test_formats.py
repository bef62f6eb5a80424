"""Every format: found by itself, answered, voted on; imported again it adds nothing."""

import json
from pathlib import Path

import pytest

from analysis.voting import vote
from cot.answers import extract_answers
from cot.errors import InputError
from cot.importers import FORMATS, import_traces

DATA = Path(__file__).parent / "data"
TEXTS = ["The answer is 12.", "The answer is 13.", "The answer is 12."]
ASKED = {"question_id": "q", "question": "5 + 7?", "gold": 12}


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def jsonl(folder):
    lines = [{**ASKED, "sample_index": n, "text": text} for n, text in enumerate(TEXTS)]
    return write(folder / "f.jsonl", *lines), {}


def wide(folder):
    return write(folder / "f.jsonl", {**ASKED, "responses": TEXTS}), {}


def lm_eval(folder):
    line = {
        "doc_id": 0,
        "doc": {"question": "5 + 7?"},
        "target": "12",
        "arguments": {"gen_args_0": {"arg_0": "5 + 7?", "arg_1": {"until": []}}},
        "resps": [TEXTS],
        "filter": "none",
    }
    return write(folder / "f.jsonl", line), {}


def inspect(folder):
    samples = [
        {
            "id": 1,
            "epoch": number,
            "input": "5 + 7?",
            "target": "12",
            "output": {"choices": [{"message": {"role": "assistant", "content": text}}]},
        }
        for number, text in enumerate(TEXTS, start=1)
    ]
    log = {"version": 2, "eval": {}, "samples": samples}
    (folder / "f.json").write_text(json.dumps(log, indent=2))
    return folder / "f.json", {}


def openai_batch(folder):
    choices = [{"index": n, "message": {"content": text}} for n, text in enumerate(TEXTS)]
    answer = {"status_code": 200, "body": {"choices": choices}}
    body = {"messages": [{"role": "user", "content": "5 + 7?"}]}
    questions = write(folder / "in.jsonl", {"custom_id": "q", "body": body, "gold": "12"})
    line = {"custom_id": "q", "response": answer, "error": None}
    return write(folder / "f.jsonl", line), {"questions": questions}


MAKERS = {
    "jsonl": jsonl,
    "wide": wide,
    "lm-eval": lm_eval,
    "inspect": inspect,
    "openai-batch": openai_batch,
}


@pytest.mark.parametrize("format", FORMATS)
def test_an_import_is_found_answered_and_voted_on(tmp_path, format):
    file, options = MAKERS[format](tmp_path)
    done = import_traces(file, tmp_path / "run", **options)
    assert (done.n_questions, done.n_traces, done.n_new, done.n_rejected) == (1, 3, 3, 0)
    assert done.run.identity["imported"]["format"] == format
    traces = done.run.traces()
    assert traces["sample_index"].to_list() == [0, 1, 2]
    assert traces["text"].to_list() == TEXTS
    assert extract_answers(done.run)["correct"].to_list() == [True, False, True]
    votes = vote(done.run, rules=["majority"])
    assert votes["answer"].to_list() == ["12"]
    assert votes["correct"].to_list() == [True]
    assert import_traces(file, tmp_path / "run", format=format, **options).n_new == 0


LINES = [
    (b"not json", "not JSON"),
    (b'{"a": "\xff"}', "not UTF-8"),
    (b'{"a": ' + b"9" * 5000 + b"}", "not JSON that can be read"),
    (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON: nested too deeply"),
    (b"[1]", "not a JSON object"),
    (b"{}", "the line has: none"),
]


@pytest.mark.parametrize("format", ["jsonl", "wide", "lm-eval"])
@pytest.mark.parametrize(("line", "reason"), LINES)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path, format, line, reason):
    file, _ = MAKERS[format](tmp_path)
    before = file.read_bytes()
    number = before.count(b"\n") + 1
    file.write_bytes(before + line + b"\n")
    with pytest.raises(InputError, match=rf"f\.jsonl:{number}: .*{reason}"):
        import_traces(file, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    done = import_traces(file, tmp_path / "run", skip_bad=True)
    assert (len(done.run.traces()), done.n_rejected) == (3, 1)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("f.jsonl", '\n{"b": 1, "a": 2}\n', "line 2 has a, b"),
        ("f.jsonl", '{"question": "5 + 7?", "answer": "12"}\n', "line 1 has answer, question"),
        ("f.json", "[1, 2]", "the file is one JSON list"),
        ("f.jsonl", json.dumps({"a\n" * 90: 0, **{str(n): 0 for n in range(20)}}), "and 9 more"),
    ],
)
def test_an_unknown_layout_says_what_was_looked_for(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        import_traces(tmp_path / name, tmp_path / "run")
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    for format in FORMATS:
        assert f"{format} (" in message


def test_a_good_line_after_bad_ones_decides(tmp_path):
    file, _ = wide(tmp_path)
    file.write_text("oops\n" + file.read_text())
    with pytest.raises(InputError, match=r"f\.jsonl:1: not JSON"):
        import_traces(file, tmp_path / "run")
    assert import_traces(file, tmp_path / "run", skip_bad=True).n_traces == 3


def test_wrong_options(tmp_path):
    file, _ = wide(tmp_path)
    with pytest.raises(InputError, match="choose from auto, jsonl, wide, lm-eval, inspect"):
        import_traces(file, tmp_path / "run", format="csv")
    with pytest.raises(InputError, match="--questions is for openai-batch; this file is wide"):
        import_traces(file, tmp_path / "run", questions=file)


def test_a_clash_that_is_skipped_is_not_stored(tmp_path):
    lines = [
        {**ASKED, "sample_index": 0, "text": "12"},
        {**ASKED, "sample_index": 1, "text": "13", "question": "6 + 7?"},
        {**ASKED, "sample_index": 0, "text": "14"},
    ]
    file = write(tmp_path / "f.jsonl", *lines)
    done = import_traces(file, tmp_path / "run", skip_bad=True)
    assert (done.n_traces, done.n_rejected) == (1, 2)
    assert done.run.traces()["text"].to_list() == ["12"]


def test_another_reading_of_the_file_is_another_run(tmp_path):
    lines = [{**ASKED, "sample_index": 0, "text": "12"}, {**ASKED, "samples": ["13"]}]
    file = write(tmp_path / "f.jsonl", *lines)
    import_traces(file, tmp_path / "run", skip_bad=True)
    with pytest.raises(InputError, match=r"imported\.format was 'jsonl', now 'wide'"):
        import_traces(file, tmp_path / "run", format="wide", skip_bad=True)
