"""Batches: choices are samples, the input file says what was asked, and failures are named."""

import json

import pytest

from cot.errors import InputError
from cot.importers import import_traces

ASKED = {
    "custom_id": "q1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "5 + 7?"}]},
        ],
        "metadata": {"gold": "12"},
    },
}


def choice(text, index=0, **more):
    message = {"role": "assistant", "content": text}
    return {"index": index, "message": message, "finish_reason": "stop", **more}


def answer(*choices, custom_id="q1", **more):
    body = {"model": "m-1", "choices": list(choices)}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": custom_id, "response": response, "error": None, **more}


def imported(folder, lines, questions=(ASKED,), **options):
    for name, content in (("f.jsonl", lines), ("in.jsonl", questions)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in content))
    return import_traces(
        folder / "f.jsonl", folder / "run", questions=folder / "in.jsonl", **options
    )


def test_choices_are_samples(tmp_path):
    logprobs = {"content": [{"token": "It", "logprob": -0.5}, {"token": ".", "logprob": -1.0}]}
    done = imported(
        tmp_path,
        [
            answer(
                choice("It.", 1, logprobs=logprobs, finish_reason="length"),
                choice("The answer is 12."),
            )
        ],
    )
    traces = done.run.traces().sort_values("sample_index", ignore_index=True)
    assert traces["text"].to_list() == ["The answer is 12.", "It."]
    assert traces["finish_reason"].to_list() == ["stop", "length"]
    assert list(traces["logprobs"][1]) == [-0.5, -1.0]
    assert traces["token_ids"].isna().all()
    assert traces["meta"][0] == {"model": "m-1"}
    question = done.run.questions().iloc[0]
    assert (question["text"], question["gold"]) == ("5 + 7?", "12")
    assert done.run.prompts()["messages"][0] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "5 + 7?"},
    ]


def test_reasoning_stands_before_the_text(tmp_path):
    thought = choice("The answer is 12.")
    thought["message"]["reasoning_content"] = "The answer is 13."
    cut = choice(None, 1, finish_reason="length")
    cut["message"]["reasoning"] = "Hm."
    done = imported(tmp_path, [answer(thought, cut)])
    assert done.run.traces()["text"].to_list() == [
        "<think>The answer is 13.</think>\n\nThe answer is 12.",
        "<think>Hm.</think>\n\n",
    ]


def test_a_refusal_is_a_text_and_a_filter_is_kept(tmp_path):
    refused = choice(None, finish_reason="content_filter")
    refused["message"]["refusal"] = "I can't."
    trace = imported(tmp_path, [answer(refused)]).run.traces().iloc[0]
    assert (trace["text"], trace["finish_reason"]) == ("I can't.", "stop")
    assert trace["meta"]["finish_reason"] == "content_filter"


def test_plain_completions(tmp_path):
    asked = {"custom_id": "q1", "body": {"prompt": "Q: 5 + 7?"}, "choices": ["12", "13"]}
    plain = {"index": 0, "text": "It", "logprobs": {"token_logprobs": [-0.5]}}
    done = imported(tmp_path, [answer(plain)], [asked])
    assert done.run.questions()["choices"][0] == ["12", "13"]
    assert list(done.run.traces()["logprobs"][0]) == [-0.5]
    assert done.run.prompts()["text"].to_list() == ["Q: 5 + 7?"]


def asked(name, text="5 + 7?"):
    body = {"messages": [{"role": "user", "content": text}]}
    return {"custom_id": name, "body": body, "gold": 12}


@pytest.mark.parametrize("mark", ["-", "_", "#", "/", ":"])
def test_numbered_ids_of_one_prompt_are_samples(tmp_path, mark):
    names = [f"q-1{mark}0", f"q-1{mark}2", f"q-2{mark}0"]
    questions = [asked(names[0]), asked(names[1]), asked(names[2], "6 + 7?")]
    done = imported(tmp_path, [answer(choice("12"), custom_id=name) for name in names], questions)
    traces = done.run.traces()
    assert traces["question_id"].to_list() == ["q-1", "q-1", "q-2"]
    assert traces["sample_index"].to_list() == [0, 2, 0]


@pytest.mark.parametrize(
    "questions",
    [[asked("q-0"), asked("q-1", "6 + 7?")], [asked("q-0"), asked("q-1"), asked("other")]],
)
def test_numbered_ids_of_other_prompts_are_questions(tmp_path, questions):
    names = [each["custom_id"] for each in questions]
    done = imported(tmp_path, [answer(choice("12"), custom_id=name) for name in names], questions)
    assert done.run.questions()["question_id"].to_list() == names


FAILED = {"status_code": 429, "body": {"error": {"message": "too many"}}}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (answer(custom_id="q9"), "custom_id 'q9' is not in"),
        ({"response": {}, "custom_id": 5}, "custom_id is int"),
        (answer(response=FAILED), "the request failed (status 429): 'too many'"),
        (answer(response=None, error={"message": "expired"}), "(status None): 'expired'"),
        (answer(), "the body has no choices"),
        (answer(5), "choices[0]: not an object"),
        (answer(choice(5)), "content is neither a string nor a list"),
        (answer(choice("12", finish_reason="tired")), "finish_reason is 'tired'"),
        (answer(choice("12", index=-1)), "sample_index is -1"),
        (answer(choice("12", logprobs={"content": [{}]})), "logprobs is not a list of numbers"),
        (answer(choice("12", logprobs={"content": 5})), "logprobs.content is not a list"),
        (answer(choice("12")), "sample 0 of question 'q1' stands in f.jsonl:1"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, reason):
    lines = [answer(choice("12"), choice("13", 1)), line]
    with pytest.raises(InputError, match=r"f\.jsonl:2: ") as caught:
        imported(tmp_path, lines)
    assert reason in str(caught.value)
    assert imported(tmp_path, lines, skip_bad=True).n_traces == 2


@pytest.mark.parametrize(
    ("questions", "reason"),
    [
        ([{"custom_id": "q1"}], "in.jsonl:1: not a batch request: no custom_id and body"),
        ([ASKED, ASKED], "in.jsonl:2: custom_id 'q1' stands here a second time"),
        ([{"custom_id": "q1", "body": {}}], "body has neither messages nor a prompt"),
        ([{"custom_id": "q1", "body": {"messages": []}}], "no message of the user holds text"),
        ([{**ASKED, "gold": [[1]]}], "gold is list"),
    ],
)
def test_bad_questions_are_named(tmp_path, questions, reason):
    with pytest.raises(InputError) as caught:
        imported(tmp_path, [answer(choice("12"))], questions)
    assert reason in str(caught.value)


def test_without_questions_the_option_is_named(tmp_path):
    (tmp_path / "f.jsonl").write_text(json.dumps(answer(choice("12"))))
    with pytest.raises(InputError, match=r"no questions: name its input file \(--questions\)"):
        import_traces(tmp_path / "f.jsonl", tmp_path / "run")
    with pytest.raises(InputError, match="no such file"):
        import_traces(tmp_path / "f.jsonl", tmp_path / "run", questions=tmp_path / "none")
    imported(tmp_path, [answer(choice("12"))])
    with pytest.raises(InputError, match="questions_sha256"):
        imported(tmp_path, [answer(choice("12"))], [{**ASKED, "gold": "13"}])
