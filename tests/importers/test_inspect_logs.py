"""Inspect's logs, as it writes them today and packed otherwise: epochs are samples."""

import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from analysis.answer_table import answers as extract_answers
from cot.errors import InputError
from cot.importers import import_traces

DATA = Path(__file__).parent / "data"


def sample(text="The answer is 12.", **changes):
    choice = {"message": {"role": "assistant", "content": text}, "stop_reason": "stop"}
    output = {"model": "m", "choices": [choice], "completion": text}
    return {"id": 1, "epoch": 1, "input": "5 + 7?", "target": "12", "output": output, **changes}


def packed(path, samples, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("header.json", "{}")
        for name, content in samples.items():
            archive.writestr(f"samples/{name}.json", content)
    return path


def imported(folder, *samples, **options):
    contents = {str(n): json.dumps(each) for n, each in enumerate(samples)}
    return import_traces(packed(folder / "f.eval", contents), folder / "run", **options)


def test_what_inspect_writes(tmp_path):
    with zipfile.ZipFile(DATA / "epochs.eval") as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {93}
    done = import_traces(DATA / "epochs.eval", tmp_path / "run")
    assert (done.n_questions, done.n_traces, done.n_rejected) == (2, 4, 0)
    traces = done.run.traces().sort_values(["question_id", "sample_index"], ignore_index=True)
    assert traces["question_id"].to_list() == ["2", "2", "q/1 é", "q/1 é"]
    assert traces["sample_index"].to_list() == [0, 1, 0, 1]
    assert traces["text"][0] == "<think>5 and 7 make 12</think>\n\nThe answer is 12."
    assert traces["finish_reason"].to_list() == ["length", "stop", "stop", "stop"]
    assert traces["meta"][1]["stop_reason"] == "content_filter"
    assert traces["meta"][2] == {
        "scores": {"match": {"value": "C", "answer": "12"}},
        "metadata": {"level": 1},
        "model": "mockllm/model",
        "stop_reason": "stop",
    }
    questions = done.run.questions().set_index("question_id")
    assert questions.loc["2", ["text", "gold"]].to_list() == ["6 + 7?", "13"]
    assert questions.loc["2", "meta"] == {"targets": ["13", "thirteen"]}
    assert {"role": "system", "content": "Be brief."} in done.run.prompts()["messages"][1]
    answers = extract_answers(done.run)
    assert sorted(zip(answers["question_id"], answers["correct"], strict=True)) == [
        ("2", False),
        ("2", True),
        ("q/1 é", False),
        ("q/1 é", True),
    ]


def test_a_json_log_of_multiple_choice(tmp_path):
    done = import_traces(DATA / "choices.json", tmp_path / "run")
    question = done.run.questions().iloc[0]
    assert (question["gold"], question["choices"]) == ("B", ["11", "12"])
    assert "ANSWER: $LETTER" in done.run.prompts()["messages"][0][0]["content"]
    assert extract_answers(done.run)["correct"].to_list() == [True]


def test_a_log_says_the_same_packed_or_not(tmp_path):
    samples = [sample(epoch=n, target=float("nan") if n == 1 else "12") for n in (1, 2)]
    log = tmp_path / "f.json"
    log.write_text(json.dumps({"version": 2, "eval": {}, "samples": samples}))
    assert import_traces(log, tmp_path / "one", skip_bad=True).n_traces == 1
    assert imported(tmp_path, *samples, skip_bad=True).n_traces == 1


@pytest.mark.parametrize(
    ("stop", "limit", "finish"),
    [
        ("max_tokens", None, "length"),
        ("model_length", None, "length"),
        ("unknown", None, "stop"),
        ("tool_calls", None, "stop"),
        ("tool_calls", {"type": "message", "limit": 5}, "length"),
    ],
)
def test_why_it_stopped(tmp_path, stop, limit, finish):
    one = sample(limit=limit)
    one["output"]["choices"][0]["stop_reason"] = stop
    trace = imported(tmp_path, one).run.traces().iloc[0]
    assert (trace["finish_reason"], trace["meta"]["stop_reason"]) == (finish, stop)


def test_a_prompt_that_is_more_than_text_is_unknown(tmp_path):
    said = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "5 + 7?"}]},
        {"role": "assistant", "content": "The answer is 12."},
    ]
    done = imported(tmp_path, sample(input=said[:1], messages=said))
    assert done.run.questions()["text"].to_list() == ["5 + 7?"]
    assert done.run.traces()["prompt_sha"].isna().all()


def test_log_probabilities(tmp_path):
    one = sample()
    tokens = [{"token": "The", "logprob": -0.5, "bytes": None}]
    one["output"]["choices"][0]["logprobs"] = {"content": tokens}
    assert list(imported(tmp_path, one).run.traces()["logprobs"][0]) == [-0.5]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"error": {"message": "ValueError('boom')"}}, "the sample failed: \"ValueError('boom')\""),
        ({"output": {"choices": []}}, "the model said nothing"),
        ({"epoch": 0}, "epoch is 0"),
        ({"epoch": True}, "epoch is True"),
        ({"id": [1]}, "id is list"),
        ({"input": 5}, "input is neither"),
        ({"input": [5]}, "no message of the user"),
        ({"target": [{}]}, "gold is dict"),
        ({"choices": [1]}, "choices is not a list of strings"),
        ({"metadata": {"a": "\ud800"}}, "surrogate"),
        ({"metadata": json.loads('{"a": 1e999}')}, "NaN or an infinite number"),
        ({"epoch": 1, "input": "5 + 8?"}, "duplicate of f.eval:samples/0.json"),
        ({"epoch": 2, "input": "5 + 8?"}, "has another text, gold or choices"),
    ],
)
def test_a_bad_sample_is_named(tmp_path, changes, reason):
    bad = sample(**changes)
    contents = {"0": json.dumps(sample()), "1": json.dumps(bad).replace("Infinity", "1e999")}
    file = packed(tmp_path / "f.eval", contents)
    with pytest.raises(InputError, match=r"f\.eval:samples/1\.json: ") as caught:
        import_traces(file, tmp_path / "run")
    assert reason in str(caught.value)
    done = import_traces(file, tmp_path / "run", skip_bad=True)
    assert (len(done.run.traces()), done.n_rejected) == (1, 1)


def test_a_log_that_is_none(tmp_path):
    (tmp_path / "f.eval").write_bytes(b"PK, but no zip")
    with pytest.raises(InputError, match="not a zip that can be read"):
        import_traces(tmp_path / "f.eval", tmp_path / "run")
    with pytest.raises(InputError, match="no samples/ in it"):
        import_traces(packed(tmp_path / "f.eval", {}), tmp_path / "run")
    (tmp_path / "f.json").write_text('{"version": 2, "eval": {}, "status": "started"}')
    with pytest.raises(InputError, match="no Inspect log with samples; it has: eval, status"):
        import_traces(tmp_path / "f.json", tmp_path / "run")
    (tmp_path / "f.json").write_text('{\n"version": 2,\n"eval": {')
    with pytest.raises(InputError, match="no Inspect log: not JSON"):
        import_traces(tmp_path / "f.json", tmp_path / "run")


def zstd(path, content, size=None):
    """A zip whose sample is packed with zstd, written by hand."""
    data = pa.Codec("zstd").compress(content, asbytes=True)
    packed(path, {"a": data}, zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("samples/a.json")
    central = raw.rindex(b"PK\x01\x02")
    raw[central + 10 : central + 12] = (93).to_bytes(2, "little")
    raw[central + 16 : central + 20] = zipfile.crc32(content).to_bytes(4, "little")
    raw[central + 24 : central + 28] = (size or len(content)).to_bytes(4, "little")
    raw[entry.header_offset + 8 : entry.header_offset + 10] = (93).to_bytes(2, "little")
    path.write_bytes(raw)
    return path, central


def test_hostile_archives(tmp_path):
    good = json.dumps(sample()).encode()
    file, central = zstd(tmp_path / "f.eval", good)
    assert import_traces(file, tmp_path / "run").n_traces == 1
    for changes, reason in [
        ({16: b"\0\0\0\0"}, "checksum"),
        ({8: b"\1\0"}, "encrypted"),
        ({10: b"\x63\0"}, "packed by method 99"),
        ({24: b"\xff\xff\xff\xf0"}, "at most 1073741824 are read"),
        ({24: b"\x01\0\0\0"}, "cannot be unpacked"),
    ]:
        raw = bytearray(file.read_bytes())
        for offset, value in changes.items():
            raw[central + offset : central + offset + len(value)] = value
        (tmp_path / "g.eval").write_bytes(raw)
        with pytest.raises(InputError, match=r"g\.eval:samples/a\.json: ") as caught:
            import_traces(tmp_path / "g.eval", tmp_path / "other")
        assert reason in str(caught.value)


def test_any_of_several_targets_counts(tmp_path):
    question = imported(tmp_path, sample(target=["USA", "United States"])).run.questions().iloc[0]
    assert (question["gold"], question["meta"]) == ("USA", {"targets": ["USA", "United States"]})


def test_choices_that_are_right_together_are_no_gold(tmp_path):
    done = imported(tmp_path, sample(target=["A", "B"], choices=["12", "twelve", "13"]))
    question = done.run.questions().iloc[0]
    assert question["gold"] is None or question["gold"] != question["gold"]
    assert question["meta"] == {"chosen": ["A", "B"]}
    assert list(done.left_out) == ["gold answers of several choices, all of which must be chosen"]


def test_several_scorers_and_what_a_reply_holds_beside_text(tmp_path):
    scores = {
        "match": {"value": "C", "answer": "12", "explanation": "The answer is 12."},
        "judge": {"value": {"grade": 0.5}, "answer": None},
    }
    one = sample(scores=scores)
    one["output"]["choices"].append(one["output"]["choices"][0])
    one["output"]["choices"][0]["message"] = {
        "role": "assistant",
        "content": [
            {
                "type": "reasoning",
                "reasoning": "hidden",
                "summary": "Seven and five",
                "redacted": True,
            },
            {"type": "tool_use", "name": "search", "arguments": "{}", "result": "12"},
            {"type": "text", "text": "The answer is 12."},
        ],
        "tool_calls": [{"id": "c", "function": "calculator", "arguments": {}}],
    }
    done = imported(tmp_path, one)
    trace = done.run.traces().iloc[0]
    assert trace["text"] == "<think>Seven and five</think>\n\nThe answer is 12."
    assert trace["meta"]["scores"] == {
        "match": {"value": "C", "answer": "12"},
        "judge": {"value": {"grade": 0.5}, "answer": None},
    }
    assert done.left_out == {
        "choices after the first, which is the one that Inspect scores": 1,
        "parts of type 'tool_use'": 1,
        "tool calls": 1,
    }
