"""One line a question: each of its samples is checked, kept and named by itself."""

import json

import pytest

from cot.errors import InputError
from cot.importers import import_traces

ASKED = {"question_id": "q", "question": "5 + 7?"}


def imported(folder, *lines, **options):
    file = folder / "f.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return import_traces(file, folder / "run", **options)


def test_samples_may_be_texts_or_traces(tmp_path):
    rich = {
        "text": "The answer is 12.",
        "answer": "12",
        "token_ids": [1, 2],
        "logprobs": [-0.5, -1.0],
        "finish_reason": "length",
        "seed": 7,
        "confidence": 0.9,
    }
    line = {**ASKED, "gold": 12, "prompt": "Q: 5 + 7?", "level": 3, "samples": ["13", rich]}
    done = imported(tmp_path, line)
    traces = done.run.traces()
    assert traces["text"].to_list() == ["13", "The answer is 12."]
    assert traces["finish_reason"].to_list() == ["stop", "length"]
    assert list(traces["logprobs"][1]) == [-0.5, -1.0]
    assert traces["meta"].to_list() == [{}, {"answer": "12", "confidence": 0.9}]
    assert traces["prompt_sha"].nunique() == len(done.run.prompts()) == 1
    assert done.run.questions()["meta"].to_list() == [{"level": 3}]


@pytest.mark.parametrize("name", ["responses", "completions", "outputs", "generations"])
def test_other_names_hold_texts(tmp_path, name):
    assert imported(tmp_path, {**ASKED, name: ["12", ""]}).n_traces == 2


def test_one_bad_sample_leaves_the_others_their_places(tmp_path):
    line = {**ASKED, "samples": ["12", 5, {"text": "13", "logprobs": [0.5]}, "14"]}
    with pytest.raises(InputError, match=r"f\.jsonl:1: samples\[1\]: neither a string nor"):
        imported(tmp_path, line)
    done = imported(tmp_path, line, skip_bad=True)
    assert done.run.traces()["sample_index"].to_list() == [0, 3]
    assert done.n_rejected == 2


GOOD = {**ASKED, "samples": ["12"]}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({**ASKED, "question_id": "r", "samples": []}, "samples is empty"),
        ({**ASKED, "outputs": [{"text": "12"}]}, "no list of samples"),
        ({"question_id": "r", "samples": ["12"]}, "samples[0]: no field question"),
        ({**ASKED, "answer": "12", "samples": ["12"]}, "name it gold"),
        ({**ASKED, "logprobs": [], "samples": ["12"]}, "logprobs stands beside samples"),
        (GOOD, "duplicate of f.jsonl:1: sample 0 of question 'q'"),
        ({**ASKED, "samples": [{"text": "12", "sample_index": 0}]}, "duplicate of f.jsonl:1"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, reason):
    with pytest.raises(InputError, match=r"f\.jsonl:2: ") as caught:
        imported(tmp_path, GOOD, line)
    assert reason in str(caught.value)


def test_lists_beside_the_samples_are_taken_apart(tmp_path):
    line = {
        **ASKED,
        "gold": ["12", "twelve"],
        "responses": ["12", "13"],
        "correct": [True, False],
        "score": [0.5, None],
        "finish_reason": ["eos", "max_tokens"],
        "logprobs": [[-1.0, -2.0], None],
        "reasoning": ["Hm.", ""],
        "level": [1, 2],
    }
    done = imported(tmp_path, line)
    traces = done.run.traces()
    assert traces["text"].to_list() == ["<think>Hm.</think>\n\n12", "13"]
    assert traces["finish_reason"].to_list() == ["stop", "length"]
    assert list(traces["logprobs"][0]) == [-1.0, -2.0]
    assert traces["meta"].to_list() == [
        {"correct": True, "score": 0.5, "finish_reason": "eos"},
        {"correct": False, "score": None, "finish_reason": "max_tokens"},
    ]
    question = done.run.questions().iloc[0]
    assert question["meta"] == {"level": [1, 2], "targets": ["12", "twelve"]}


def test_a_bad_value_in_such_a_list_rejects_its_sample(tmp_path):
    line = {**ASKED, "samples": ["12", "13"], "correct": [True, "no"]}
    with pytest.raises(InputError, match=r"f\.jsonl:1: samples\[1\]: correct is 'no'"):
        imported(tmp_path, line)
    done = imported(tmp_path, line, skip_bad=True)
    assert done.run.traces()["text"].to_list() == ["12"]
