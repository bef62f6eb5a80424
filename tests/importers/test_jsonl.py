"""Good lines become a run; a bad one is named by its number and field, and nothing is written."""

import json

import pytest

from analysis.answer_table import answers as extract_answers
from cot.errors import InputError
from cot.importers import import_traces

GOOD = {"question_id": "q", "question": "5 + 7?", "sample_index": 0, "text": "The answer is 12."}


def write(path, *lines):
    path.write_text(
        "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    )
    return path


def test_every_field_comes_back(tmp_path):
    full = {
        **GOOD,
        "gold": 12,
        "choices": ["12", "13"],
        "prompt": "Q: 5 + 7?\nA:",
        "token_ids": [1, 2],
        "logprobs": [-0.5, -1.0],
        "finish_reason": "length",
        "seed": 2**63 - 1,
        "confidence": 0.9,
        "origin": {"a": [1]},
    }
    done = import_traces(write(tmp_path / "f.jsonl", full), tmp_path / "run")
    trace = done.run.traces().iloc[0]
    assert (trace["seed"], trace["finish_reason"]) == (2**63 - 1, "length")
    assert list(trace["token_ids"]) == [1, 2]
    assert list(trace["logprobs"]) == [-0.5, -1.0]
    assert trace["meta"] == {"confidence": 0.9, "origin": {"a": [1]}}
    question = done.run.questions().iloc[0]
    assert (question["gold"], question["choices"]) == ("12", ["12", "13"])
    prompt = done.run.prompts().iloc[0]
    assert (prompt["prompt_sha"], prompt["text"]) == (trace["prompt_sha"], full["prompt"])


def test_a_given_answer_is_used_as_it_stands(tmp_path):
    lines = [
        {**GOOD, "gold": "12", "answer": "12.0"},
        {**GOOD, "sample_index": 1, "gold": "12", "answer": None},
        {**GOOD, "sample_index": 2, "gold": "12", "text": "", "answer": "13"},
        {**GOOD, "sample_index": 3, "gold": "12", "text": ""},
    ]
    answers = extract_answers(
        import_traces(write(tmp_path / "f.jsonl", *lines), tmp_path / "run").run
    )
    assert answers["status"].to_list() == ["ok", "missing", "ok", "missing"]
    assert answers["correct"].to_list() == [True, False, False, False]


def test_the_same_file_again_adds_nothing_and_another_is_refused(tmp_path):
    file = write(tmp_path / "f.jsonl", GOOD)
    assert import_traces(file, tmp_path / "run").n_new == 1
    assert import_traces(file, tmp_path / "run").n_new == 0
    other = write(tmp_path / "g.jsonl", {**GOOD, "text": "other"})
    with pytest.raises(InputError, match=r"imported.file was 'f.jsonl', now 'g.jsonl'"):
        import_traces(other, tmp_path / "run")


BAD = [
    ("not json", "not JSON"),
    ("[1]", "not a JSON object"),
    ("[" * 100_000, "not JSON"),
    ('{"a": ' + "9" * 5000 + "}", "not JSON"),
    ({"question_id": "q"}, "no field question, sample_index, text; the line has: question_id"),
    ({**GOOD, "sample_index": -1}, "sample_index is -1"),
    ({**GOOD, "sample_index": True}, "sample_index is True"),
    ({**GOOD, "text": 5}, "text is int, not a string"),
    ({**GOOD, "token_ids": ["a"]}, "token_ids is not a list"),
    ({**GOOD, "token_ids": [1], "logprobs": [-1, -2]}, "2 logprobs for 1 token_ids"),
    ({**GOOD, "logprobs": [0.5]}, "above 0"),
    ({**GOOD, "finish_reason": "tired"}, "finish_reason is 'tired'"),
    ({**GOOD, "choices": []}, "choices is not a list of strings"),
    ({**GOOD, "seed": 2**64}, "seed is"),
    ({**GOOD, "prompt": [{"role": "user"}]}, "prompt is neither"),
    ({**GOOD, "text": "\ud800"}, "surrogate"),
    ({**GOOD, "origin": "\ud800"}, "surrogate"),
    ({**GOOD, "confidence": float("nan")}, "NaN or an infinite number"),
    ({**GOOD, "logprobs": [-(10**400)]}, "below -1e30"),
    ({**GOOD, "origin": json.loads("[" * 100 + "]" * 100)}, "nested too deeply"),
    (GOOD, "duplicate of f.jsonl:1: sample 0 of question 'q'"),
    ({**GOOD, "sample_index": 1, "question": "other?"}, "has another text, gold or choices"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_bad_line_is_named_and_nothing_is_written(tmp_path, line, reason):
    file = write(tmp_path / "f.jsonl", GOOD, line)
    with pytest.raises(InputError, match=r"f\.jsonl:2: ") as caught:
        import_traces(file, tmp_path / "run")
    assert reason in str(caught.value)
    assert not (tmp_path / "run").exists()
    done = import_traces(file, tmp_path / "run", skip_bad=True)
    assert (done.n_traces, done.n_rejected) == (1, 1)


def test_a_huge_gold_is_kept(tmp_path):
    done = import_traces(write(tmp_path / "f.jsonl", {**GOOD, "gold": 10**400}), tmp_path / "run")
    assert done.run.questions()["gold"].to_list() == [str(10**400)]


def test_not_utf8(tmp_path):
    (tmp_path / "f.jsonl").write_bytes(b'{"text": "\xff"}\n')
    with pytest.raises(InputError, match=r"f\.jsonl:1: not UTF-8"):
        import_traces(tmp_path / "f.jsonl", tmp_path / "run")


def test_an_empty_file(tmp_path):
    with pytest.raises(InputError, match="no traces"):
        import_traces(write(tmp_path / "f.jsonl", "", " "), tmp_path / "run")


def test_verdicts_from_elsewhere_stay_in_meta(tmp_path):
    lines = [
        {**GOOD, "sample_index": n, "correct": correct, "score": score}
        for n, (correct, score) in enumerate([(True, 1), (False, -0.5), (None, None)])
    ]
    done = import_traces(write(tmp_path / "f.jsonl", *lines), tmp_path / "run")
    assert done.run.traces()["meta"].to_list() == [
        {"correct": True, "score": 1},
        {"correct": False, "score": -0.5},
        {"correct": None, "score": None},
    ]
    assert "gold answers" in done.lacks[-1]
    judged = write(tmp_path / "g.jsonl", {**GOOD, "correct": True})
    assert not any("gold" in each for each in import_traces(judged, tmp_path / "other").lacks)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("correct", 1, "correct is 1: true, false or null"),
        ("correct", "true", "correct is 'true': true, false or null"),
        ("correct", [True], "correct is list: true, false or null"),
        ("score", True, "score is True: a finite number or null"),
        ("score", "1", "score is '1': a finite number or null"),
        ("score", float("inf"), "score is nan: a finite number or null"),
        ("score", 10**400, "a finite number or null"),
        ("reasoning", ["a"], "reasoning is list, not a string"),
        ("reasoning_content", 5, "reasoning_content is int, not a string"),
        ("gold", [], None),
        ("gold", [None], "gold[0] is null: leave it out of the list"),
        ("gold", [["12"]], "gold is list, not a string or a number"),
        ("gold", True, "gold is bool"),
        ("gold", float("nan"), "gold is NaN or infinite"),
        ("token_ids", [2**31], "token_ids is not a list of whole numbers from 0"),
    ],
)
def test_a_wrong_type_rejects_the_line(tmp_path, field, value, reason):
    file = write(tmp_path / "f.jsonl", {**GOOD, field: value})
    if reason is None:
        assert import_traces(file, tmp_path / "run").n_traces == 1
        return
    with pytest.raises(InputError, match=r"f\.jsonl:1: ") as caught:
        import_traces(file, tmp_path / "run")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"reasoning": "Hm."}, "<think>Hm.</think>\n\nThe answer is 12."),
        ({"reasoning_content": "Hm."}, "<think>Hm.</think>\n\nThe answer is 12."),
        (
            {"reasoning": "Hm.", "reasoning_content": "Hm."},
            "<think>Hm.</think>\n\nThe answer is 12.",
        ),
        ({"reasoning": "", "token_ids": [1]}, "The answer is 12."),
        ({"reasoning": None, "reasoning_content": None}, "The answer is 12."),
    ],
)
def test_reasoning_stands_before_the_text(tmp_path, more, text):
    done = import_traces(write(tmp_path / "f.jsonl", {**GOOD, **more}), tmp_path / "run")
    assert done.run.traces()["text"].to_list() == [text]
    assert done.run.traces()["meta"].to_list() == [{}]


def test_reasoning_with_token_ids_or_another_reasoning_is_named(tmp_path):
    for more, reason in [
        ({"reasoning": "Hm.", "token_ids": [1, 2]}, "reasoning stands beside token_ids"),
        (
            {"reasoning": "Hm.", "reasoning_content": "Oh."},
            "reasoning and reasoning_content differ",
        ),
    ]:
        with pytest.raises(InputError, match=reason):
            import_traces(write(tmp_path / "f.jsonl", {**GOOD, **more}), tmp_path / "run")


def test_several_answers_may_count_as_right(tmp_path):
    lines = [
        {**GOOD, "gold": ["USA", "United States", 1.0]},
        {**GOOD, "sample_index": 1, "gold": ["USA", "United States", 1]},
        {**GOOD, "question_id": "r", "gold": ["USA"]},
    ]
    questions = import_traces(write(tmp_path / "f.jsonl", *lines), tmp_path / "run").run.questions()
    assert questions["gold"].to_list() == ["USA", "USA"]
    assert questions["meta"].to_list() == [{"targets": ["USA", "United States", "1"]}, {}]


@pytest.mark.parametrize("missing", [None, -9999.0, -9999, float("nan"), float("-inf")])
def test_a_log_probability_that_is_missing_is_no_number(tmp_path, missing):
    lines = [{**GOOD, "logprobs": [-0.5, -1.0]}, {**GOOD, "sample_index": 1}]
    lines[1]["logprobs"] = [-0.5, missing]
    lines[1]["token_ids"] = [1, 2]
    done = import_traces(write(tmp_path / "f.jsonl", *lines), tmp_path / "run")
    traces = done.run.traces()
    assert list(traces["logprobs"][0]) == [-0.5, -1.0]
    assert traces["logprobs"][1] is None
    assert list(done.left_out.values()) == [1]
    short = {**lines[1], "token_ids": [1]}
    with pytest.raises(InputError, match="2 logprobs for 1 token_ids"):
        import_traces(write(tmp_path / "g.jsonl", short), tmp_path / "other")
