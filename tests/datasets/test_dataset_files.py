"""Questions from files: each layout, and each wrong file with its place."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cot import datasets
from cot.errors import InputError

ROWS = [
    {"id": "a", "problem": "1 + 1?", "answer": 2.0, "source": "mine"},
    {"id": "b", "problem": "1 / 2?", "answer": 0.5, "source": None},
]


def write(path: Path, rows: list[Any]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        lines = [list(rows[0]), *([row[key] or "" for key in row] for row in rows)]
        path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_typed_files_say_the_same(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"mine{suffix}", ROWS)
    first, second = datasets.load(str(path))
    assert (first.id, first.text, first.gold, first.choices) == ("a", "1 + 1?", "2", None)
    assert (first.dataset, first.meta) == (f"mine{suffix}", {"source": "mine"})
    assert (second.gold, second.meta) == ("0.5", {"source": None})


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        '\ufeffQuestion,Answer,Options\n"Which, of\nthese?",B,"[""x"", ""y""]"\nHow?,,\n'
    )
    first, second = datasets.load(str(path))
    assert (first.text, first.gold, first.choices) == ("Which, of\nthese?", "B", ("x", "y"))
    assert (second.text, second.gold, second.choices) == ("How?", None, None)


def test_json_object_that_holds_one_list(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"version": 2, "examples": ROWS}))
    assert [question.id for question in datasets.load(str(path))] == ["a", "b"]


def test_named_columns(tmp_path: Path) -> None:
    rows = [{"nr": 7, "q": "Which?", "a": "y", "opts": ["x", "y"], "answer": "unused"}]
    (question,) = datasets.load(
        str(write(tmp_path / "mine.jsonl", rows)),
        question_column="q",
        answer_column="a",
        choices_column="opts",
        id_column="nr",
    )
    assert (question.id, question.text, question.gold) == ("7", "Which?", "B")
    assert question.meta == {"answer": "unused"}


@pytest.mark.parametrize(
    ("choices", "answer", "gold"),
    [
        (["4", "2", "1"], 1, "B"),
        (["4", "2", "8"], "8", "C"),
        (["x", "y"], "(B)", "B"),
        (["x", "y"], None, None),
        (["A. x", "B. y"], "y", "B"),
        ({"text": ["x", "y"], "label": ["1", "2"]}, "2", "B"),
        (["3", "5", "9"], 9, "C"),
    ],
)
def test_gold_choice(tmp_path: Path, choices: Any, answer: Any, gold: str | None) -> None:
    rows = [{"question": "Which?", "choices": choices, "answer": answer}]
    (question,) = datasets.load(str(write(tmp_path / "mine.jsonl", rows)))
    assert question.gold == gold
    assert question.choices is not None
    assert not any(text.startswith("A.") for text in question.choices)


def test_gold_outside_the_choices(tmp_path: Path) -> None:
    path = write(tmp_path / "m.jsonl", [{"question": "?!", "choices": ["x", "y"], "answer": "z"}])
    with pytest.raises(InputError, match=r"m\.jsonl:1: column answer is 'z', which is none"):
        datasets.load(str(path))


@pytest.mark.parametrize(
    ("answer", "gold"),
    [("so\n#### 1,018", "1018"), (True, "true"), (7, "7"), (" x ", "x"), ("", None), (None, None)],
)
def test_gold(tmp_path: Path, answer: Any, gold: str | None) -> None:
    path = write(tmp_path / "mine.jsonl", [{"question": "How?", "answer": answer}])
    assert datasets.load(str(path))[0].gold == gold


def test_missing_ids_are_hashes_of_the_text_and_repeats_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.jsonl", [{"question": "How?"}, {"question": "How?"}])
    digest = sha256(b"How?").hexdigest()[:16]
    assert [question.id for question in datasets.load(str(path))] == [digest, f"{digest}-2"]


def test_questions_without_answers_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "mine.jsonl", [{"question": "How?", "author": "me"}])
    with caplog.at_level("INFO", logger="cot"):
        (question,) = datasets.load(str(path))
    assert question.gold is None
    assert "--answer-column takes one of question, author" in caplog.text


def test_meta_can_be_stored_as_json(tmp_path: Path) -> None:
    path = tmp_path / "mine.parquet"
    pq.write_table(
        pa.table({"question": ["How?"], "when": pa.array([0], pa.date32()), "x": [float("nan")]}),
        path,
    )
    assert datasets.load(str(path))[0].meta == {"when": "1970-01-01", "x": None}


def test_gsm8k_layout(tmp_path: Path) -> None:
    answer = "He has 3*400=<<3*400=1200>>1200.\nThen 1200/2=<<1200/2=600>>600\n#### 1,600"
    path = write(tmp_path / "mine.jsonl", [{"question": "How many?", "answer": answer}])
    by_name = datasets.load(str(path), preset="gsm8k")
    assert by_name == datasets.load(str(path))
    assert by_name[0].gold == "1600"
    assert by_name[0].meta == {
        "solution": "He has 3*400=1200.\nThen 1200/2=600",
        "gold_steps": [1200, 600],
    }


SVAMP = {"ID": "chal-9", "Equation": "( 76.0 - 25.0 )", "Type": "Subtraction"}


@pytest.mark.parametrize(
    ("body", "question", "text"),
    [
        ("Al has 5 cups.", "How many?", "Al has 5 cups. How many?"),
        ("Al has 5 cups", "How many?", "Al has 5 cups. How many?"),
        (
            "A cup is 5. If Al buys 2",
            "How much is it?",
            "A cup is 5. If Al buys 2, how much is it?",
        ),
    ],
)
@pytest.mark.parametrize("answer", [51.0, "51.0", 51])
def test_svamp_layout(tmp_path: Path, body: str, question: str, text: str, answer: Any) -> None:
    rows = [{**SVAMP, "Body": body, "Question": question, "Answer": answer}]
    (found,) = datasets.load(str(write(tmp_path / "mine.json", rows)))
    assert (found.id, found.text, found.gold) == ("chal-9", text, "51")
    assert found.meta == {"Equation": "( 76.0 - 25.0 )", "Type": "Subtraction"}


def test_aqua_layout(tmp_path: Path) -> None:
    rows = [
        {
            "question": "How long?",
            "options": ["A)5(√3 + 1)", "B) 6", "C)7", "D)A) odd", "E)None of these"],
            "rationale": "It is 6.",
            "correct": "B",
        }
    ]
    (question,) = datasets.load(str(write(tmp_path / "mine.jsonl", rows)))
    assert question.choices == ("5(√3 + 1)", "6", "7", "A) odd", "None of these")
    assert (question.gold, question.meta) == ("B", {"rationale": "It is 6."})


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("m.jsonl", '{"question": "a"}\n{"question"\n', {}, r"m\.jsonl:2: is not JSON"),
        ("m.jsonl", "[1]\n", {}, r"m\.jsonl:1: must be an object"),
        ("m.jsonl", "\n", {}, r"m\.jsonl: holds no question"),
        (
            "m.jsonl",
            '{"word": "a", "n": 1}\n',
            {},
            r"m\.jsonl:1: .*-column, one of word, n",
        ),
        ("m.jsonl", '{"question": 3}\n', {}, r"m\.jsonl:1: column question must be a text"),
        ("m.jsonl", '{"question": "a"}\n{"x": 1}\n', {}, r"m\.jsonl:2: there is no column 'quest"),
        (
            "m.jsonl",
            '{"question": "a"}\n',
            {"answer_column": "gold"},
            r"no column 'gold' for --answer-column; there are: question",
        ),
        (
            "m.jsonl",
            '{"id": 1, "question": "a"}\n\n{"id": "1", "question": "b"}\n',
            {},
            r"m\.jsonl:3: duplicate question id '1': .*m\.jsonl:1 has it",
        ),
        (
            "m.jsonl",
            '{"question": "a"}\n',
            {"preset": "svamp"},
            r"m\.jsonl:1: there is no column '\w+'; there are: question",
        ),
        ("m.jsonl", '{"question": "a", "answer": "7"}\n', {"preset": "gsm8k"}, r"has no '#### '"),
        ("m.jsonl", '{"question": "a"}\n', {"preset": "gsm"}, "choose from aqua, gsm8k, svamp"),
        ("m.jsonl", '{"question": "a"}\n', {"split": "test"}, "a file has no subset and no split"),
        ("m.jsonl", '{"question": "a", "choices": "b"}\n', {}, "column choices must be a list"),
        ("m.json", "{}", {}, r"m\.json: must be a list of objects"),
        ("m.json", '[\n{"question": }]', {}, r"m\.json:2: is not JSON"),
        ("m.csv", "question,answer\na,1\nb\n", {}, r"m\.csv:3: has more or fewer fields"),
        ("m.csv", "question,answer\n", {}, r"m\.csv: holds no question"),
        ("m.parquet", "question", {}, r"m\.parquet: is not Parquet"),
        ("m.txt", "question", {}, r"m\.txt: questions are read from \.jsonl, \.json, \.csv"),
    ],
)
def test_bad_files(
    tmp_path: Path, name: str, content: str, options: dict[str, str], said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        datasets.load(str(tmp_path / name), **options)
    assert "\n" not in str(caught.value)


def test_no_such_file_and_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        datasets.load(str(tmp_path / "absent.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "\xe9"}')
    with pytest.raises(InputError, match=r"latin\.jsonl: is not UTF-8"):
        datasets.load(str(tmp_path / "latin.jsonl"))


def test_fingerprint_sees_what_is_asked_and_the_order(tmp_path: Path) -> None:
    questions = datasets.load("arithmetic")[:5]
    same = datasets.fingerprint(questions)
    assert same == datasets.fingerprint(iter(questions))
    assert same != datasets.fingerprint(questions[::-1])
    assert same != datasets.fingerprint(questions[:4])


def test_select() -> None:
    questions = datasets.load("arithmetic")
    assert datasets.select(questions) == questions
    assert datasets.select(questions, limit=3) == questions[:3]
    shuffled = datasets.select(questions, shuffle=1)
    assert shuffled != questions
    assert sorted(q.id for q in shuffled) == sorted(q.id for q in questions)
    assert datasets.select(questions, shuffle=1, limit=9) == shuffled[:9]
    with pytest.raises(InputError, match="--limit is 0"):
        datasets.select(questions, limit=0)


def test_registered_by_path() -> None:
    assert datasets.load("cot.datasets.arithmetic:load") == datasets.load("arithmetic")
