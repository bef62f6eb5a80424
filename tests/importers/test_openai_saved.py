"""Completions and responses saved as they came: what was asked must stand beside them."""

import json

import pytest

from cot.errors import InputError
from cot.importers import import_traces

ASKED = [{"role": "user", "content": "5 + 7?"}]


def completion(*texts, **more):
    choices = [
        {"index": n, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for n, text in enumerate(texts)
    ]
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": choices, **more}


def imported(folder, *lines, **options):
    file = folder / "f.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return import_traces(file, folder / "run", **options)


def test_samples_are_counted_over_the_lines_of_a_question(tmp_path):
    lines = [
        completion("12", "13", messages=ASKED, gold=["12", "twelve"], usage={"total_tokens": 9}),
        {"request": {"messages": ASKED}, "response": completion("14"), "gold": ["12", "twelve"]},
        completion("15", question="6 + 7?", question_id="other"),
    ]
    done = imported(tmp_path, *lines)
    traces = done.run.traces()
    assert done.run.identity.imported.format == "openai"
    assert traces["text"].to_list() == ["12", "13", "14", "15"]
    assert traces["sample_index"].to_list() == [0, 1, 2, 0]
    assert traces["meta"][0] == {"id": "c", "model": "m", "usage": {"total_tokens": 9}}
    questions = done.run.questions()
    assert questions["text"].to_list() == ["5 + 7?", "6 + 7?"]
    assert questions["question_id"][1] == "other"
    assert questions["meta"][0] == {"targets": ["12", "twelve"]}
    assert done.run.prompts()["messages"].to_list() == [ASKED]


def test_a_response_and_a_plain_completion(tmp_path):
    output = [{"type": "message", "content": [{"type": "output_text", "text": "12"}]}]
    lines = [
        {"object": "response", "status": "completed", "output": output, "input": "5 + 7?"},
        {"object": "text_completion", "prompt": "Q: 6 + 7?", "choices": [{"text": "13"}]},
    ]
    done = imported(tmp_path, *lines)
    assert done.run.traces()["text"].to_list() == ["12", "13"]
    assert done.run.questions()["text"].to_list() == ["5 + 7?", "Q: 6 + 7?"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (completion("12"), "it does not say what was asked"),
        (completion("12", messages=[]), "no message of the user holds text"),
        (completion("12", question=5), "question is int"),
        (completion("12", messages=ASKED, answer="12"), "name it gold"),
        (completion("12", messages=ASKED, correct="yes"), "correct is 'yes'"),
        (completion(messages=ASKED), "no choices and no output"),
        (completion(5, messages=ASKED), "choices[0]: a message's content is neither"),
        (completion("12", messages=ASKED) | {"choices": 5}, "no choices and no output"),
        ({"object": "response", "output": [], "status": "queued", "input": "?"}, "is 'queued'"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, reason):
    with pytest.raises(InputError, match=r"f\.jsonl:2: ") as caught:
        imported(tmp_path, completion("12", messages=ASKED), line)
    assert reason in str(caught.value)
