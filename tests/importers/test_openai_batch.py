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
        (answer(choice("12")), "duplicate of f.jsonl:1: sample 0 of question 'q1'"),
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


def test_parts_that_are_reasoning_text_or_neither(tmp_path, caplog):
    parts = [
        {"type": "thinking", "thinking": "Five", "signature": "s"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "and seven."}]},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Twelve."}]},
        {"type": "output_text", "text": "It is 12."},
        {"type": "refusal", "refusal": "No more."},
        {"type": "poem", "text": "Twelve, oh twelve"},
        {"text": "no type"},
    ]
    done = imported(tmp_path, [answer(choice(parts), choice([parts[5]], 1), choice([], 2))])
    assert done.run.traces()["text"].to_list() == [
        "<think>Five\nand seven.\nTwelve.</think>\n\nIt is 12.\nNo more.",
        "",
        "",
    ]
    assert done.left_out == {"parts of type 'None'": 1, "parts of type 'poem'": 2}
    assert "left out of 2 traces: parts of type 'poem'" in caplog.messages


def test_tool_calls_are_counted(tmp_path):
    calls = choice(None, finish_reason="tool_calls")
    calls["message"]["tool_calls"] = [{"id": "c", "type": "function", "function": {}}]
    done = imported(tmp_path, [answer(calls)])
    assert done.left_out == {"tool calls": 1}
    assert done.run.traces()["finish_reason"].to_list() == ["stop"]


def test_missing_log_probabilities_are_missing(tmp_path):
    def tokens(*values):
        return {"content": [{"token": "a", "logprob": value} for value in values]}

    choices = [
        choice("12", 0, logprobs=tokens(-0.5, None)),
        choice("13", 1, logprobs=tokens(-9999.0, -0.5)),
        choice("14", 2, logprobs=tokens(-0.5, -0.25)),
        choice("15", 3, logprobs={"content": None}),
    ]
    done = imported(tmp_path, [answer(*choices)])
    stored = done.run.traces()["logprobs"]
    assert [each is None for each in stored] == [True, True, False, True]
    assert list(done.left_out.values()) == [2]


def test_token_ids_of_vllm_are_those_of_the_whole_reply(tmp_path):
    thought = choice("13", 1, token_ids=[3, 4])
    thought["message"]["reasoning"] = "Hm."
    line = answer(choice("12", token_ids=[1, 2]), thought)
    line["response"]["body"]["prompt_token_ids"] = [9, 8]
    done = imported(tmp_path, [line])
    ids = done.run.traces()["token_ids"]
    assert (list(ids[0]), ids[1]) == ([1, 2], None)
    assert "token ids" in next(iter(done.left_out))
    assert list(done.run.prompts()["token_ids"][0]) == [9, 8]
    line["response"]["body"]["choices"][0]["logprobs"] = {"content": [{"logprob": -1}]}
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match=r"choices\[0\]: 1 logprobs for 2 token_ids"):
        imported(tmp_path / "other", [line])


def test_several_gold_answers(tmp_path):
    done = imported(tmp_path, [answer(choice("12"))], [{**ASKED, "gold": ["12", "twelve"]}])
    question = done.run.questions().iloc[0]
    assert (question["gold"], question["meta"]) == ("12", {"targets": ["12", "twelve"]})


def responded(*items, status="completed", **more):
    body = {"object": "response", "model": "m-1", "status": status, "output": list(items), **more}
    return {"custom_id": "q1", "response": {"status_code": 200, "body": body}, "error": None}


def said(text, **more):
    return {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": [], **more}],
    }


THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Five and seven."}]}
RESPONSES_ASKED = {
    "custom_id": "q1",
    "url": "/v1/responses",
    "body": {"model": "m", "instructions": "Be brief.", "input": "5 + 7?"},
}


def test_responses(tmp_path):
    tokens = [{"token": "It", "logprob": -0.5}]
    line = responded(
        THOUGHT, {"type": "web_search_call", "id": "w"}, said("It is 12.", logprobs=tokens)
    )
    done = imported(tmp_path, [line], [RESPONSES_ASKED])
    trace = done.run.traces().iloc[0]
    assert trace["text"] == "<think>Five and seven.</think>\n\nIt is 12."
    assert list(trace["logprobs"]) == [-0.5]
    assert trace["meta"] == {"model": "m-1", "finish_reason": "completed"}
    assert done.left_out == {"items of type 'web_search_call'": 1}
    assert done.run.questions()["text"].to_list() == ["5 + 7?"]
    assert done.run.prompts()["messages"][0] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "5 + 7?"},
    ]


@pytest.mark.parametrize(
    ("details", "finish"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "stop"),
        (None, "length"),
    ],
)
def test_a_response_that_is_incomplete(tmp_path, details, finish):
    line = responded(THOUGHT, status="incomplete", incomplete_details=details)
    trace = imported(tmp_path, [line], [RESPONSES_ASKED]).run.traces().iloc[0]
    assert (trace["text"], trace["finish_reason"]) == ("<think>Five and seven.</think>\n\n", finish)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            responded(status="failed", error={"message": "overloaded"}),
            "failed (status 200): 'overloaded'",
        ),
        (responded(status="in_progress"), "output: the response is 'in_progress'"),
        (responded(said("12"), status="odd"), "output: finish_reason is 'odd'"),
        (responded(said(5)), "a part of a message is not a string"),
        (responded({"type": "message", "content": 5}), "content is neither a string nor a list"),
        (responded(said("12", logprobs=[{"token": "1"}])), "a token has no logprob"),
        (responded(said("12", logprobs=[5])), "logprobs.content is not a list of objects"),
    ],
)
def test_a_bad_response_is_named(tmp_path, line, reason):
    with pytest.raises(InputError, match=r"f\.jsonl:1: ") as caught:
        imported(tmp_path, [line], [RESPONSES_ASKED])
    assert reason in str(caught.value)
