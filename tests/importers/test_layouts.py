"""What known tools write: whose field is the text, the gold, the verdict, and what is only kept."""

import json

import pytest

from analysis.answer_table import answers as extract_answers
from cot.errors import InputError
from cot.importers import import_traces


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def imported(folder, *lines, **options):
    return import_traces(write(folder / "f.jsonl", *lines), folder / "run", **options)


def metas(done):
    return done.run.traces()["meta"].to_list()


QWEN = {
    "idx": 7,
    "question": "5 + 7?",
    "gt_cot": "5 + 7 = 12",
    "gt": "12",
    "level": "Level 1",
    "solution": "5 + 7 = 12",
    "answer": "12",
    "code": ["So $\\boxed{12}$.", "It is 13."],
    "pred": ["12", "13"],
    "report": [None, "Done"],
    "score": [True, False],
}


def test_qwen_math(tmp_path):
    done = imported(tmp_path, QWEN)
    assert done.run.identity.imported.format == "qwen-math"
    question = done.run.questions().iloc[0]
    assert (question["question_id"], question["text"], question["gold"]) == ("7", "5 + 7?", "12")
    assert question["meta"] == {
        "gt_cot": "5 + 7 = 12",
        "level": "Level 1",
        "solution": "5 + 7 = 12",
        "answer": "12",
    }
    assert metas(done) == [
        {"correct": True, "pred": "12", "report": None},
        {"correct": False, "pred": "13", "report": "Done"},
    ]


def test_the_answer_that_a_tool_extracted_is_not_ours(tmp_path):
    done = imported(tmp_path, {**QWEN, "pred": ["99", "99"], "score": [None, None]})
    assert extract_answers(done.run)["answer"].to_list() == ["12", "13"]


def test_lists_of_another_length_are_named(tmp_path):
    with pytest.raises(InputError, match=r"f\.jsonl:1: correct is 1 values for 2 samples"):
        imported(tmp_path, {**QWEN, "score": [True]})
    done = imported(tmp_path, {**QWEN, "report": ["Done"]})
    assert metas(done) == [{"correct": True, "pred": "12"}, {"correct": False, "pred": "13"}]
    assert done.run.questions()["meta"][0]["report"] == ["Done"]


VERL = {"input": "user\n5 + 7?\nassistant\n", "output": "12", "gts": "12", "score": 1.0, "step": 9}


def test_verl(tmp_path):
    lines = [
        {**VERL, "acc": True, "pred": "12"},
        {**VERL, "output": "13", "score": -1.0, "acc": 0.0, "reward": -1.0},
        {**VERL, "input": "other", "output": "14", "score": 0.25, "acc": 0.5},
    ]
    done = imported(tmp_path, *lines)
    traces = done.run.traces()
    assert traces["sample_index"].to_list() == [0, 1, 0]
    assert traces["question_id"].nunique() == 2
    assert done.run.questions()["gold"].to_list() == ["12", "12"]
    assert traces["prompt_sha"].isna().all()
    assert metas(done) == [
        {"correct": True, "score": 1.0, "step": 9, "pred": "12"},
        {"correct": False, "score": -1.0, "step": 9, "reward": -1.0},
        {"acc": 0.5, "score": 0.25, "step": 9},
    ]


def test_a_reward_alone_is_no_verdict(tmp_path):
    assert metas(imported(tmp_path, VERL)) == [{"score": 1.0, "step": 9}]
    (tmp_path / "g.jsonl").write_text(json.dumps({**VERL, "score": float("nan")}))
    with pytest.raises(InputError, match="score is nan: a finite number or null"):
        import_traces(tmp_path / "g.jsonl", tmp_path / "other")


NEMO = {
    "id": "aime-1",
    "problem": "5 + 7?",
    "expected_answer": 12,
    "generation": "So \\boxed{12}",
    "predicted_answer": "12",
    "symbolic_correct": True,
    "finish_reason": "stop",
    "num_generated_tokens": 5,
}


def test_nemo_skills(tmp_path):
    cut = {
        **NEMO,
        "generation": "",
        "_full_generation": "Hm",
        "_generation_finished_thinking": False,
        "finish_reason": "length",
        "predicted_answer": None,
        "symbolic_correct": False,
    }
    apart = {**NEMO, "reasoning_content": "Five and seven."}
    done = imported(tmp_path, NEMO, cut, apart)
    traces = done.run.traces()
    assert traces["text"].to_list() == [
        "So \\boxed{12}",
        "Hm",
        "<think>Five and seven.</think>\n\nSo \\boxed{12}",
    ]
    assert traces["finish_reason"].to_list() == ["stop", "length", "stop"]
    assert done.run.questions()["gold"].to_list() == ["12"]
    assert metas(done)[0] == {
        "correct": True,
        "predicted_answer": "12",
        "num_generated_tokens": 5,
    }
    assert metas(done)[1]["generation"] == ""


def test_open_r1(tmp_path):
    line = {
        "problem": "5 + 7?",
        "solution": "12",
        "answer": "12",
        "uuid": "u-1",
        "generations": ["<think>\nHm.\n</think>\n\n\\boxed{12}", "<think>\nWell"],
        "correctness_math_verify": [True, False],
        "correctness_llama": None,
        "finish_reasons": ["stop", "length"],
        "is_reasoning_complete": [True, False],
        "api_metadata": [{"completion_tokens": 9}, {"completion_tokens": 8}],
        "source": "olympiads",
    }
    done = imported(tmp_path, line)
    traces = done.run.traces()
    assert traces["finish_reason"].to_list() == ["stop", "length"]
    assert metas(done) == [
        {
            "correct": True,
            "is_reasoning_complete": True,
            "api_metadata": {"completion_tokens": 9},
        },
        {
            "correct": False,
            "is_reasoning_complete": False,
            "api_metadata": {"completion_tokens": 8},
        },
    ]
    question = done.run.questions().iloc[0]
    assert (question["question_id"], question["gold"]) == ("u-1", "12")
    assert question["meta"] == {
        "solution": "12",
        "source": "olympiads",
        "correctness_llama": None,
    }


def test_a_question_that_comes_again_goes_on_counting(tmp_path):
    line = {"problem": "5 + 7?", "uuid": "u", "generations": ["12", "13"], "finish_reasons": None}
    done = imported(tmp_path, line, line)
    assert done.run.traces()["sample_index"].to_list() == [0, 1, 2, 3]


def output(n, text, **more):
    return {"index": n, "text": text, "token_ids": [7, 8], "finish_reason": "stop", **more}


def test_vllm(tmp_path):
    likeliest = [
        {"7": {"logprob": -0.5, "rank": 1, "decoded_token": "1"}, "9": {"logprob": -1.5}},
        {"9": {"logprob": -0.25}, "8": {"logprob": -2.0, "rank": 2, "decoded_token": "2"}},
    ]
    first = {
        "request_id": "0",
        "prompt": "Q: 5 + 7?\nA:",
        "prompt_token_ids": [1, 2, 3],
        "prompt_logprobs": None,
        "outputs": [
            output(0, "12", logprobs=likeliest, cumulative_logprob=-2.5, stop_reason="\n"),
            output(1, "13", finish_reason="repetition", logprobs=[-1.0, -9999.0]),
        ],
        "finished": True,
    }
    again = {**first, "request_id": "1", "outputs": [output(0, "14", finish_reason="abort")]}
    done = imported(tmp_path, first, again)
    traces = done.run.traces()
    assert traces["text"].to_list() == ["12", "13", "14"]
    assert traces["sample_index"].to_list() == [0, 1, 2]
    assert traces["finish_reason"].to_list() == ["stop", "length", "length"]
    assert [list(ids) for ids in traces["token_ids"]] == [[7, 8]] * 3
    assert list(traces["logprobs"][0]) == [-0.5, -2.0]
    assert traces["logprobs"][1] is None
    assert done.left_out == {
        "log-probabilities with a value that is null or not finite (all of the trace's)": 1
    }
    assert [meta["request_id"] for meta in metas(done)] == ["0", "0", "1"]
    assert [meta.get("outputs") for meta in metas(done)] == [
        {"index": 0},
        {"index": 1},
        {"index": 0},
    ]
    assert metas(done)[0]["stop_reason"] == "\n"
    assert metas(done)[0]["cumulative_logprob"] == -2.5
    assert metas(done)[1]["finish_reason"] == "repetition"
    prompt = done.run.prompts().iloc[0]
    assert (prompt["text"], list(prompt["token_ids"])) == ("Q: 5 + 7?\nA:", [1, 2, 3])


def test_vllm_log_probabilities_without_the_sampled_token_are_missing(tmp_path):
    other = [{"9": {"logprob": -1.0}}, {"8": {"logprob": -1.0}}]
    line = {"request_id": "0", "prompt": "?", "outputs": [output(0, "12", logprobs=other)]}
    assert imported(tmp_path, line).run.traces()["logprobs"][0] is None


def test_vllm_without_a_prompt_in_text_needs_a_question(tmp_path):
    line = {"request_id": "0", "prompt": None, "outputs": [output(0, "12")], "asked": "5 + 7?"}
    with pytest.raises(InputError, match=r"no question or prompt; .*--map question=COLUMN"):
        imported(tmp_path, line)
    done = imported(tmp_path, line, map={"question": "asked"})
    assert done.run.questions()["text"].to_list() == ["5 + 7?"]
    assert done.run.identity.imported.format == "vllm"


ZERO = {
    "session_id": "s#0",
    "chat_history": ["Answer in JSON: 5 + 7?"],
    "model_input": "n/a",
    "output": ['{"reasoning": "", "answer": "12"}'],
    "generator": "m",
    "configs": {"temperature": 0.0},
    "dataset": "gsm",
    "id": "q#0",
    "question": "5 + 7?",
    "answer": "# 12",
}


def test_zeroeval(tmp_path):
    done = imported(tmp_path, ZERO)
    question = done.run.questions().iloc[0]
    assert (question["question_id"], question["gold"]) == ("q#0", "12")
    assert question["meta"]["generator"] == "m"
    assert done.run.prompts()["messages"].to_list() == [
        [{"role": "user", "content": "Answer in JSON: 5 + 7?"}]
    ]
    file = write(tmp_path / "g.jsonl", {**ZERO, "model_input": "<user>5 + 7?"})
    templated = import_traces(file, tmp_path / "other")
    assert templated.run.prompts()["text"].to_list() == ["<user>5 + 7?"]


def test_zeroeval_with_choices(tmp_path):
    line = {key: ZERO[key] for key in ZERO if key != "answer"}
    line = {**line, "choices": ["11", "12"], "correct_answer": "12"}
    question = imported(tmp_path, line).run.questions().iloc[0]
    assert (question["gold"], question["choices"]) == ("B", ["11", "12"])
    other = write(tmp_path / "g.jsonl", {**line, "correct_answer": "13"})
    with pytest.raises(InputError, match=r"g\.jsonl:1: column correct_answer is '13', which is no"):
        import_traces(other, tmp_path / "other")


def test_our_own_names_come_first(tmp_path):
    line = {"question_id": "q", "question": "5 + 7?", "sample_index": 0, "text": "12"}
    one = imported(tmp_path, {**line, "generation": "13", "expected_answer": "12"})
    assert one.run.identity.imported.format == "jsonl"
    assert one.run.traces()["text"].to_list() == ["12"]
    asked = {"question_id": "q", "question": "5 + 7?", "generations": ["12"]}
    many = write(tmp_path / "g.jsonl", {**asked, "finish_reasons": ["stop"]})
    done = import_traces(many, tmp_path / "many")
    assert done.run.identity.imported.format == "wide"


@pytest.mark.parametrize("outputs", [5, "12", [5], [], {"0": {"text": "12"}}, [{"text": 5}], [{}]])
def test_hostile_outputs(tmp_path, outputs):
    good = {"request_id": "0", "prompt": "?", "outputs": [output(0, "12")]}
    with pytest.raises(InputError, match=r"f\.jsonl:2: "):
        imported(tmp_path, good, {**good, "outputs": outputs})


@pytest.mark.parametrize("field", ["chat_history", "output", "choices", "id", "question"])
@pytest.mark.parametrize("value", [5, [5], {"a": [1]}, [[]], {}])
def test_hostile_entries_are_read_or_named(tmp_path, field, value):
    lines = [ZERO, {**ZERO, "id": "q#1", "correct_answer": "12", field: value}]
    done = imported(tmp_path, *lines, skip_bad=True)
    assert done.n_traces + done.n_rejected >= 2
    assert done.run.questions()["question_id"][0] == "q#0"
