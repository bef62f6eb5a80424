"""Samples of lm-evaluation-harness: repeats apart, filters once, every version's layout."""

import json
from pathlib import Path

import pytest

from analysis.answer_table import answers as extract_answers
from cot.datasets import cells
from cot.errors import InputError
from cot.importers import import_traces

DATA = Path(__file__).parent / "data"
SETTINGS = {"until": ["Q:"], "temperature": 0.7}
LINE = {
    "doc_id": 0,
    "doc": {"question": "5 + 7?", "note": "x"},
    "target": "12",
    "arguments": {"gen_args_0": {"arg_0": "Q: 5 + 7?\nA:", "arg_1": SETTINGS}},
    "resps": [["The answer is 12.", "The answer is 13."]],
    "filtered_resps": ["12"],
    "filter": "strict",
}


def imported(folder, *lines, **options):
    file = folder / "f.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return import_traces(file, folder / "run", **options)


def test_what_the_harness_writes(tmp_path):
    done = import_traces(DATA / "samples_repeats.jsonl", tmp_path / "run")
    assert (done.n_questions, done.n_traces, done.n_rejected) == (2, 6, 0)
    questions = done.run.questions()
    assert questions["question_id"].to_list() == ["0", "1"]
    assert questions["text"].to_list() == ["5 + 7?", "6 + 7?"]
    assert questions["gold"].to_list() == ["12", "13"]
    assert questions["meta"][0]["note"] == "café"
    traces = done.run.traces()
    assert traces["sample_index"].to_list() == [0, 1, 2] * 2
    assert traces["meta"][0]["filters"] == ["score-first", "maj@3"]
    assert done.run.prompts()["text"][0] == "Q: 5 + 7?\nA:"
    assert extract_answers(done.run)["correct"].to_list() == [True, False, True, False, True, False]


def test_log_likelihoods_hold_no_text(tmp_path):
    with pytest.raises(InputError, match=r"loglikelihood\.jsonl:1: .*import a task that gen"):
        import_traces(DATA / "samples_loglikelihood.jsonl", tmp_path / "run")
    rolling = {**LINE, "arguments": {"gen_args_0": {"arg_0": "5"}}, "resps": [["-12.5"]]}
    with pytest.raises(InputError, match="log-likelihoods"):
        imported(tmp_path, rolling)


@pytest.mark.parametrize(
    "arguments",
    [
        [["Q: 5 + 7?\nA:", SETTINGS]],
        {"gen_args_0": {"arg_0": "Q: 5 + 7?\nA:", "arg_1": SETTINGS}},
        {"gen_args_0": {"arg_0": ["Q: 5 + 7?\nA:"], "arg_1": str(SETTINGS)}},
    ],
)
def test_arguments_of_every_version(tmp_path, arguments):
    done = imported(tmp_path, {**LINE, "arguments": arguments})
    assert done.run.prompts()["text"].to_list() == ["Q: 5 + 7?\nA:"]


def test_the_json_list_of_old_versions(tmp_path):
    old = {name: value for name, value in LINE.items() if name != "filter"}
    old = {**old, "arguments": [["Q: 5 + 7?\nA:", SETTINGS]], "target": 12}
    file = tmp_path / "gsm8k.jsonl"
    file.write_text(json.dumps([old, {**old, "filtered_resps": ["13"]}, 5], indent=2))
    with pytest.raises(InputError, match=r"gsm8k\.jsonl:entry 3: not a JSON object"):
        import_traces(file, tmp_path / "run")
    done = import_traces(file, tmp_path / "run", skip_bad=True)
    assert (done.n_traces, done.n_rejected) == (2, 1)
    assert "filters" not in done.run.traces()["meta"][0]


def test_a_chat_template_leaves_messages(tmp_path):
    messages = [{"role": "user", "content": "5 + 7?"}]
    first = [json.dumps(messages)]
    done = imported(tmp_path, {**LINE, "arguments": [[first, SETTINGS]]})
    assert done.run.prompts()["messages"].to_list() == [messages]


def test_two_tasks_in_one_file_stay_apart(tmp_path):
    prompt = {"gen_args_0": {"arg_0": "Other: 5 + 7?", "arg_1": SETTINGS}}
    lines = [
        LINE,
        {**LINE, "arguments": prompt},
        {**LINE, "doc": {"question": "6 + 7?"}, "target": "13"},
        {**LINE, "filter": "flexible"},
    ]
    done = imported(tmp_path, *lines)
    assert done.run.questions()["question_id"].to_list() == ["0", "0-2", "0-3"]
    assert done.n_traces == 6
    metas = done.run.traces()["meta"]
    assert [meta["filters"] for meta in metas] == [["strict", "flexible"]] * 2 + [["strict"]] * 4


def test_the_same_line_or_another_run_of_the_task_is_a_clash(tmp_path):
    for again in (LINE, {**LINE, "resps": [["other"]]}):
        with pytest.raises(InputError, match=r"f\.jsonl:2: duplicate of f\.jsonl:1"):
            imported(tmp_path, LINE, again)


@pytest.mark.parametrize(
    ("doc", "target", "gold", "choices"),
    [
        ({"question": "?", "choices": ["3", "4"]}, "B", "B", ["3", "4"]),
        ({"question": "?", "choices": ["3", "4"]}, 1, "B", ["3", "4"]),
        ({"question": "?", "choices": ["3", "4"]}, "1", "B", ["3", "4"]),
        ({"question": "?", "choices": ["3", "4"]}, "4", "B", ["3", "4"]),
        ({"question": "?", "options": ["A) 3", "B) 4"]}, "(A)", "A", ["3", "4"]),
        (
            {"question": "?", "choices": {"text": ["3", "4"], "label": ["1", "2"]}},
            "1",
            "A",
            ["3", "4"],
        ),
        ({"question": "?", "choices": ["3", "4"]}, "even", "even", None),
        ({"Problem": "?"}, "So 12.\n#### 1,012", "1012", None),
        ({"Problem": "?"}, "['12', 'twelve']", "12", None),
        ({"Problem": "?"}, ["12", "twelve"], "12", None),
        ({"Problem": "?"}, "[1, 2]", "[1, 2]", None),
        ({"Problem": "?"}, 12.0, "12", None),
        ({"Problem": "?", "choices": [1, 10**400]}, 10**400, "B", ["1", str(10**400)]),
        ({"Problem": "?"}, None, None, None),
    ],
)
def test_gold_and_choices(tmp_path, doc, target, gold, choices):
    question = imported(tmp_path, {**LINE, "doc": doc, "target": target}).run.questions()
    assert question[["text", "choices"]].iloc[0].to_list() == ["?", choices]
    assert question["gold"].isna()[0] if gold is None else question["gold"][0] == gold


def test_without_a_question_the_prompt_is_it(tmp_path):
    done = imported(tmp_path, {**LINE, "doc": {"n": float("nan")}})
    assert done.run.questions()["text"].to_list() == ["Q: 5 + 7?\nA:"]
    assert done.run.questions()["meta"].to_list() == [{"n": None}]


def deep(levels):
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"resps": []}, "resps is not a list of lists"),
        ({"resps": [[]]}, "resps is empty"),
        ({"resps": [["12"], ["13"]]}, "resps answer 2 prompts"),
        ({"resps": [["\ud800"]]}, "surrogate"),
        ({"arguments": {}}, "arguments holds no request"),
        ({"arguments": [[5, {}]]}, "the prompt in arguments is not a string"),
        ({"doc_id": None}, "doc_id is NoneType"),
        ({"doc": {"question": "?", "a": deep(100)}}, "nested too deeply"),
        ({"doc": {"question": "?", "a": deep(900)}}, "nested too deeply"),
    ],
)
def test_a_bad_line_is_named(tmp_path, changes, reason):
    with pytest.raises(InputError, match=r"f\.jsonl:2: ") as caught:
        imported(tmp_path, LINE, {**LINE, "doc_id": 1, **changes})
    assert reason in str(caught.value)


def test_one_null_among_the_repeats_is_rejected_alone(tmp_path):
    line = {**LINE, "resps": [["The answer is 12.", None, "The answer is 13."]]}
    with pytest.raises(
        InputError, match=r"f\.jsonl:1: resps\[0\]\[1\] is null: the model returned"
    ):
        imported(tmp_path, line)
    done = imported(tmp_path, line, skip_bad=True)
    assert done.run.traces()["sample_index"].to_list() == [0, 2]
    assert (done.n_traces, done.n_rejected) == (2, 1)


def test_a_bad_repeat_is_rejected_alone(tmp_path):
    done = imported(tmp_path, {**LINE, "resps": [["12", "\ud800"]]}, skip_bad=True)
    assert (done.n_traces, done.n_rejected) == (1, 1)


@pytest.mark.parametrize("resps", [[[["-0.1", "False"]]], [[-1.5]], [[None, -1.5]]])
def test_numbers_are_log_likelihoods_and_the_remedy_is_named(tmp_path, resps):
    with pytest.raises(InputError, match=r"log-likelihoods.*output_type generate_until"):
        imported(tmp_path, {**LINE, "resps": resps})


@pytest.mark.parametrize(
    ("target", "targets"),
    [
        ("['United States', 'USA']", ["United States", "USA"]),
        (["United States", "USA"], ["United States", "USA"]),
        ('["O\'Brien", "Brien"]', ["O'Brien", "Brien"]),
        ("[('3',), ('three',)]", ["3", "three"]),
        ("('3',),('three',)", ["3", "three"]),
        ("['3'],['three']", ["3", "three"]),
        ("[('Ann', 'Bob'), ('Bob',)]", ["Ann, Bob", "Bob"]),
        ("['So\\n#### 1,200', '1200']", ["1200", "1200"]),
        ([12, 12.5], ["12", "12.5"]),
    ],
)
def test_several_targets_count_all(tmp_path, target, targets):
    question = imported(tmp_path, {**LINE, "target": target}).run.questions().iloc[0]
    assert question["gold"] == targets[0]
    assert question["meta"]["targets"] == targets


@pytest.mark.parametrize(
    "target",
    [
        "(4, -1)",
        "[1, 2]",
        "[3,8)",
        "(C)",
        "('x')",
        "[]",
        "[(1,), (2,)]",
        "(1)(2)",
        "['\\q'",
        "(" * 900,
    ],
)
def test_an_answer_that_looks_like_a_list_is_one_answer(tmp_path, target):
    question = imported(tmp_path, {**LINE, "target": target}).run.questions().iloc[0]
    assert question["gold"] == target
    assert "targets" not in question["meta"]


def test_a_tuple_alone_is_one_answer_of_several_spans(tmp_path):
    question = imported(tmp_path, {**LINE, "target": "('Ann', 'Bob')"}).run.questions().iloc[0]
    assert (question["gold"], "targets" in question["meta"]) == ("Ann, Bob", False)


def test_what_each_filter_scored_is_kept(tmp_path):
    lines = [
        {**LINE, "metrics": ["exact_match"], "exact_match": 1.0, "doc_hash": "x"},
        {**LINE, "filter": "flexible", "exact_match": 0.0, "f1": float("nan")},
    ]
    meta = imported(tmp_path, *lines).run.traces()["meta"][1]
    assert meta["scores"] == {
        "strict": {"exact_match": 1.0},
        "flexible": {"exact_match": 0.0, "f1": None},
    }
    assert "correct" not in meta


def test_a_gold_that_goes_on_after_its_mark(tmp_path):
    target = "6 * 7 = 42.\n#### 42\nThe answer is: 42"
    question = imported(tmp_path, {**LINE, "target": target}).run.questions().iloc[0]
    assert question["gold"] == "42"


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        ("6 * 7 = 42.\n#### 42\nThe answer is: 42", "42"),
        ("6 * 7 = 42.\r\n#### 42\r\nThe answer is: 42", "42"),
        ("So.\n####  1,042 \n\nmore", "1042"),
        ("So.\n####\n42\nmore", "42"),
        ("#### 1\nNo.\n#### 2\nYes.", "2"),
        ("#### 3 apples", "3 apples"),
        ("So.\n####", ""),
    ],
)
def test_only_the_line_of_the_last_mark_is_the_final_answer(answer, final):
    stated = cells.worked(answer)
    assert stated is not None
    assert stated[1] == final
    assert stated[0] == answer.rpartition("####")[0].strip()
