"""Every format: found by itself, answered, voted on; imported again it adds nothing."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis.answer_table import answers as extract_answers
from analysis.voting import vote
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


def openai(folder):
    choices = [{"index": n, "message": {"content": text}} for n, text in enumerate(TEXTS)]
    asked = {"messages": [{"role": "user", "content": "5 + 7?"}], "gold": 12}
    return write(folder / "f.jsonl", {**asked, "object": "chat.completion", "choices": choices}), {}


def qwen_math(folder):
    line = {"idx": 0, "question": "5 + 7?", "gt_cot": "5 + 7 = 12", "gt": "12", "solution": "12"}
    judged = {"pred": ["12", "13", "12"], "report": [None] * 3, "score": [True, False, True]}
    return write(folder / "f.jsonl", {**line, "answer": "12", "code": TEXTS, **judged}), {}


def verl(folder):
    scores = [1.0, 0.0, 1.0]
    lines = [
        {
            "input": "user\n5 + 7?\nassistant\n",
            "output": text,
            "gts": "12",
            "score": score,
            "step": 8,
        }
        for text, score in zip(TEXTS, scores, strict=True)
    ]
    return write(folder / "f.jsonl", *lines), {}


def nemo_skills(folder):
    asked = {"id": "q", "problem": "5 + 7?", "expected_answer": "12"}
    lines = [{**asked, "generation": text, "num_generated_tokens": 6} for text in TEXTS]
    return write(folder / "f.jsonl", *lines), {}


def open_r1(folder):
    line = {"problem": "5 + 7?", "solution": "5 + 7 = 12", "answer": "12", "uuid": "u"}
    judged = {"correctness_math_verify": [True, False, True], "finish_reasons": None}
    return write(folder / "f.jsonl", {**line, "generations": TEXTS, **judged}), {}


def vllm(folder):
    outputs = [
        {
            "index": n,
            "text": text,
            "token_ids": [1, 2],
            "cumulative_logprob": None,
            "logprobs": None,
        }
        for n, text in enumerate(TEXTS)
    ]
    line = {"request_id": "0", "prompt": "5 + 7?", "prompt_token_ids": [5], "outputs": outputs}
    return write(folder / "f.jsonl", {**line, "finished": True, "gold": 12}), {}


def zeroeval(folder):
    entry = {
        "session_id": "gsm#0",
        "chat_history": ["Answer: 5 + 7?"],
        "model_input": "n/a",
        "output": TEXTS,
        "generator": "m",
        "configs": {},
        "dataset": "gsm",
        "id": "gsm#0",
        "question": "5 + 7?",
        "answer": "# 12",
    }
    (folder / "f.json").write_text(json.dumps([entry], indent=2))
    return folder / "f.json", {}


MAKERS = {
    "jsonl": jsonl,
    "wide": wide,
    "lm-eval": lm_eval,
    "inspect": inspect,
    "openai-batch": openai_batch,
    "openai": openai,
    "qwen-math": qwen_math,
    "verl": verl,
    "nemo-skills": nemo_skills,
    "open-r1": open_r1,
    "vllm": vllm,
    "zeroeval": zeroeval,
}


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_an_import_is_found_answered_and_voted_on(tmp_path, format):
    file, options = MAKERS[format](tmp_path)
    done = import_traces(file, tmp_path / "run", **options)
    assert (done.n_questions, done.n_traces, done.n_new, done.n_rejected) == (1, 3, 3, 0)
    assert done.run.identity.imported.format == format
    traces = done.run.traces()
    assert traces["sample_index"].to_list() == [0, 1, 2]
    assert traces["text"].to_list() == TEXTS
    assert extract_answers(done.run)["correct"].to_list() == [True, False, True]
    votes = vote(done.run, rule=["majority"])
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


@pytest.mark.parametrize(
    "format",
    ["jsonl", "wide", "lm-eval", "qwen-math", "verl", "nemo-skills", "open-r1"],
)
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
        ("f.json", '[1, {"b": 1}]', "entry 2 has b"),
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


def test_a_json_list_and_a_parquet_file_hold_records_too(tmp_path):
    file, _ = jsonl(tmp_path)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    (tmp_path / "g.json").write_text("\ufeff \n" + json.dumps(lines, indent=1) + "\n")
    pq.write_table(pa.Table.from_pylist(lines), tmp_path / "h.parquet")
    for name in ("g.json", "h.parquet"):
        done = import_traces(tmp_path / name, tmp_path / name[0])
        assert done.run.traces()["text"].to_list() == TEXTS
        assert done.run.identity.imported.format == "jsonl"
    (tmp_path / "i.json").write_text(json.dumps([*lines, 5, {}]))
    with pytest.raises(
        InputError, match=r"i\.json:entry 4: not a JSON object; .*entry 5: no field"
    ):
        import_traces(tmp_path / "i.json", tmp_path / "run")
    assert import_traces(tmp_path / "i.json", tmp_path / "run", skip_bad=True).n_traces == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'[{"a": 1} {"a": 2}]', "entry 1 is followed by neither a comma nor ]"),
        (b'[{"a": 1}, {"a": ]', "entry 2: not JSON"),
        (b'[{"a": 1},]', "entry 2: not JSON"),
        (b'[{"a": 1}', "entry 1 is followed by neither a comma nor ]"),
        (b'[{"a": 1}] {"b": 2}', "more follows the end of its JSON list"),
        (b'[{"a": ' + b"9" * 5000 + b"}]", "entry 1: not JSON that can be read"),
        (b"[" * 100_000, "entry 1: not JSON: nested too deeply"),
        (b'[{"a": "\xff"}]', "not UTF-8"),
        (b"PAR1, but no table", "not Parquet that can be read"),
    ],
)
def test_a_list_or_table_that_cannot_be_read_is_refused_whole(tmp_path, content, said):
    (tmp_path / "f.json").write_bytes(content)
    for format in ("jsonl", "lm-eval"):
        with pytest.raises(InputError) as caught:
            import_traces(tmp_path / "f.json", tmp_path / "run", format=format, skip_bad=True)
        assert said in str(caught.value)


def test_what_a_file_lacks_is_said_in_one_line(tmp_path, caplog):
    caplog.set_level("INFO", logger="cot")
    file, _ = jsonl(tmp_path)
    done = import_traces(file, tmp_path / "run")
    assert [each.partition(" (")[0] for each in done.lacks] == [
        "finish reasons",
        "token ids",
        "log-probabilities",
        "prompts",
    ]
    (line,) = [each for each in caplog.messages if "lacks" in each]
    assert line.startswith("f.jsonl lacks finish reasons (a trace without one doesn't count as")
    full = {"prompt": "Q", "token_ids": [1], "logprobs": [-1], "finish_reason": "stop"}
    asked = {**ASKED, **full, "text": "12"}
    nothing = {"question_id": "r", "question": "?", "sample_index": 0, "text": "13"}
    file = write(tmp_path / "g.jsonl", {**asked, "sample_index": 0}, nothing)
    assert import_traces(file, tmp_path / "some").lacks[-1] == (
        "gold answers for 1 of 2 questions (a question without one is not scored)"
    )
    file = write(tmp_path / "h.jsonl", {**asked, "sample_index": 0})
    assert not import_traces(file, tmp_path / "all").lacks


def test_the_model_is_named_once(tmp_path):
    file, _ = jsonl(tmp_path)
    done = import_traces(file, tmp_path / "run", model="some/model")
    assert done.run.identity.model == "some/model"
    assert import_traces(file, tmp_path / "run", model="some/model").n_new == 0
    with pytest.raises(InputError, match="model was 'some/model', now 'other/model'"):
        import_traces(file, tmp_path / "run", model="other/model")


def test_large_imports_go_to_few_shards_and_come_back_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("cot.importers.SHARD_SIZE", 5_000)
    lines = [{**ASKED, "sample_index": n, "text": f"{n} " * 40} for n in range(300)]
    done = import_traces(write(tmp_path / "f.jsonl", *lines), tmp_path / "run")
    assert done.run.traces()["text"].to_list() == [line["text"] for line in lines]


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
