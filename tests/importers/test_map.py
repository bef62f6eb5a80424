"""Columns under other names: found by a path, named where they are missing, never guessed."""

import hashlib
import json

import pytest

from analysis.answer_table import answers as extract_answers
from cot.cli import main
from cot.errors import InputError
from cot.importers import import_traces

ASKED = hashlib.sha256(b"5 + 7?").hexdigest()[:16]


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def imported(folder, *lines, **options):
    return import_traces(write(folder / "f.jsonl", *lines), folder / "run", **options)


def test_paths_lead_into_objects_and_lists(tmp_path):
    line = {
        "problem": "5 + 7?",
        "doc": {"answer": 12, "level": 3},
        "output": {"choices": ["The answer is 12.", "other"], "model": "m"},
    }
    mapping = {"question": "problem", "gold": "doc.answer", "text": "output.choices.0"}
    done = imported(tmp_path, line, line, map=mapping)
    assert done.run.identity.imported.map == mapping
    traces = done.run.traces()
    assert traces["text"].to_list() == ["The answer is 12."] * 2
    assert traces["question_id"].to_list() == [ASKED, ASKED]
    assert traces["sample_index"].to_list() == [0, 1]
    assert traces["meta"][0] == {
        "doc": {"level": 3},
        "output": {"choices": [None, "other"], "model": "m"},
    }
    assert extract_answers(done.run)["correct"].to_list() == [True, True]


def test_ids_are_those_of_a_dataset_of_the_same_questions(tmp_path):
    from cot.datasets import load

    line = {"problem": " 5 + 7? ", "response": "12"}
    done = imported(tmp_path, line, map={"question": "problem", "text": "response"})
    (question,) = load(str(write(tmp_path / "questions.jsonl", {"question": " 5 + 7? "})))
    assert done.run.questions()["question_id"].to_list() == [question.id]


def test_a_list_of_texts_is_a_question_with_its_samples(tmp_path):
    line = {"q": "5 + 7?", "ys": ["12", "13"], "infos": [{"r": 1}, {"r": 0, "a": 13}], "cost": 3}
    mapping = {"question": "q", "text": "ys", "correct": "infos.*.r"}
    done = imported(tmp_path, line, line, map=mapping)
    traces = done.run.traces()
    assert traces["text"].to_list() == ["12", "13"] * 2
    assert traces["sample_index"].to_list() == [0, 1, 2, 3]
    assert (
        traces["meta"].to_list()
        == [
            {"correct": True, "infos": {}},
            {"correct": False, "infos": {"a": 13}},
        ]
        * 2
    )
    assert done.run.questions()["meta"].to_list() == [{"cost": 3}]


def test_what_is_left_of_a_list_never_becomes_an_answer(tmp_path):
    line = {"q": "5 + 7?", "answer": [{"said": "12", "n": 1}, {"said": "13", "n": 2}]}
    done = imported(tmp_path, line, map={"question": "q", "text": "answer.*.said"})
    assert done.run.traces()["meta"].to_list() == [{}, {}]
    assert done.run.questions()["meta"][0] == {"answer": [{"n": 1}, {"n": 2}]}


def test_the_samples_usual_names_are_known(tmp_path):
    done = imported(
        tmp_path, {"q": "?", "responses": ["12", {"text": "13"}]}, map={"question": "q"}
    )
    assert done.run.traces()["text"].to_list() == ["12", "13"]


def test_a_name_with_dots_comes_before_a_way_into_objects(tmp_path):
    line = {"q": "?", "out.text": "12", "out": {"text": "13"}}
    done = imported(tmp_path, line, map={"question": "q", "text": "out.text"})
    assert done.run.traces()["text"].to_list() == ["12"]


def test_a_field_that_is_mapped_away_is_kept_under_its_name(tmp_path):
    line = {"q": "?", "text": "the passage", "response": "12"}
    done = imported(tmp_path, line, map={"question": "q", "text": "response"})
    assert done.run.traces()["text"].to_list() == ["12"]
    assert done.run.traces()["meta"].to_list() == [{"text": "the passage"}]


def test_given_ids_and_indices_stay(tmp_path):
    line = {"question_id": 3, "q": "?", "sample_index": 5, "seed": 1, "r": "12"}
    traces = imported(tmp_path, line, map={"question": "q", "text": "r"}).run.traces()
    assert traces[["question_id", "sample_index"]].iloc[0].to_list() == ["3", 5]
    assert traces["seed"].to_list() == [1]


LINE = {"q": "5 + 7?", "r": "12", "doc": {"a": 1, "list": ["x"]}}
MAP = {"question": "q", "text": "r"}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"gold": "answer"}, "--map gold=answer: the line has no answer; it has: doc, q, r"),
        ({"gold": "doc.b"}, "--map gold=doc.b: doc has no b; it has: a, list"),
        ({"gold": "doc.a.b"}, "--map gold=doc.a.b: doc.a is int and holds no b"),
        ({"gold": "doc.list.1"}, "--map gold=doc.list.1: doc.list is a list of 1 and has no 1"),
        ({"gold": "doc.list.x"}, "doc.list is a list of 1 and has no x"),
        ({"correct": "doc.list.*.r"}, "doc.list.0 is str and holds no r"),
        ({"gold": "doc"}, "gold is dict"),
        ({"text": "doc.list"}, None),
        ({"question": "doc.a"}, "question is int, not a string"),
        ({"correct": "r"}, "correct is '12': true, false or null"),
        ({"score": "r"}, "score is '12': a finite number or null"),
    ],
)
def test_what_is_missing_is_named_by_line_field_and_what_is_there(tmp_path, more, reason):
    if reason is None:
        assert imported(tmp_path, LINE, map={**MAP, **more}).n_traces == 1
        return
    with pytest.raises(InputError, match=r"f\.jsonl:1: ") as caught:
        imported(tmp_path, LINE, map={**MAP, **more})
    assert reason in str(caught.value)


def test_an_answer_that_is_not_mapped_is_asked_about(tmp_path):
    line = {**LINE, "answer": "13", "gold": "12"}
    with pytest.raises(InputError, match=r"--map gold=answer where it is the reference"):
        imported(tmp_path, line, map=MAP)
    done = imported(tmp_path, line, map={**MAP, "answer": "answer"})
    assert extract_answers(done.run)["correct"].to_list() == [False]


@pytest.mark.parametrize(
    ("mapping", "reason"),
    [
        ({"txt": "r"}, "--map txt=r: write NAME=COLUMN, NAME of question_id, question"),
        ({"text": ""}, "--map text=: write NAME=COLUMN"),
    ],
)
def test_a_wrong_map_says_the_names(tmp_path, mapping, reason):
    with pytest.raises(InputError) as caught:
        imported(tmp_path, LINE, map=mapping)
    assert reason in str(caught.value)


def test_a_map_is_for_tables_only(tmp_path):
    batch = {"custom_id": "q", "response": {}}
    with pytest.raises(InputError, match=r"--map is for jsonl, wide, qwen-math.*is openai-batch"):
        imported(tmp_path, batch, map=MAP)


def test_a_map_overrides_a_known_layout(tmp_path):
    line = {"id": 1, "problem": "?", "hint": "5 + 7?", "expected_answer": "12", "generation": "12"}
    done = imported(tmp_path, line, map={"question": "hint"})
    assert done.run.identity.imported.format == "nemo-skills"
    assert done.run.questions()["text"].to_list() == ["5 + 7?"]
    assert done.run.traces()["meta"].to_list() == [{"problem": "?"}]


def test_the_command(tmp_path, capsys):
    file = write(tmp_path / "f.jsonl", {"problem": "5 + 7?", "a": {"text": "12"}, "gold": 12})
    command = ["import", str(file), "--out", str(tmp_path / "run"), "--json"]
    mapping = ["--map", "question=problem", "--map", "text=a.text", "--model", "m"]
    assert main([*command, *mapping]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["n_traces"], said["n_new"], said["left_out"]) == (1, 1, {})
    assert main([*command, *mapping]) == 0
    assert json.loads(capsys.readouterr().out)["n_new"] == 0
    for wrong, reason in [
        (["--map", "text"], "--map text: write NAME=COLUMN"),
        (["--map", "text=a", "--map", "text=b"], "text is a already"),
        (mapping[:2], "no text or samples or responses"),
    ]:
        assert main([*command, *wrong]) == 2
        assert reason in capsys.readouterr().err
