"""Every bundled exemplar is right, and a user's file is read or refused with its place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import prompts
from prompts.library import ROOM

EQUATION = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


def bundled(name: str) -> tuple[prompts.Exemplar, ...]:
    return prompts.load("few_shot_cot", exemplars=name).exemplars


def check_equations(exemplar: prompts.Exemplar) -> list[str]:
    found = EQUATION.findall(exemplar.reasoning)
    assert exemplar.reasoning.count("=") == len(found), exemplar.reasoning
    for left, operation, right, result in found:
        assert OPERATIONS[operation](int(left), int(right)) == int(result), exemplar.reasoning
    return [result for *_, result in found]


def test_sets_are_large_enough() -> None:
    assert prompts.exemplar_sets() == ["arithmetic", "multiple_choice", "yes_no"]
    assert len(bundled("arithmetic")) >= 8
    assert len(bundled("multiple_choice")) >= 4
    assert len(bundled("yes_no")) >= 4


@pytest.mark.parametrize("exemplar", bundled("arithmetic"), ids=lambda e: e.question[:20])
def test_arithmetic(exemplar: prompts.Exemplar) -> None:
    results = check_equations(exemplar)
    assert 1 <= len(results) <= 3
    assert results[-1] == exemplar.answer
    assert exemplar.choices is None


@pytest.mark.parametrize("exemplar", bundled("multiple_choice"), ids=lambda e: e.question[:20])
def test_multiple_choice(exemplar: prompts.Exemplar) -> None:
    check_equations(exemplar)
    assert exemplar.choices is not None
    assert len(set(exemplar.choices)) == len(exemplar.choices)
    chosen = exemplar.choices["ABCDEFGH".index(exemplar.answer)]
    assert exemplar.reasoning.rstrip(".").endswith(chosen)


def test_multiple_choice_answers_vary() -> None:
    assert len({exemplar.answer for exemplar in bundled("multiple_choice")}) >= 4


@pytest.mark.parametrize("exemplar", bundled("yes_no"), ids=lambda e: e.question[:20])
def test_yes_no(exemplar: prompts.Exemplar) -> None:
    check_equations(exemplar)
    assert exemplar.answer in ("yes", "no")


def test_yes_no_is_balanced() -> None:
    answers = [exemplar.answer for exemplar in bundled("yes_no")]
    assert answers.count("yes") == answers.count("no")


def test_every_file_in_the_room_is_a_set() -> None:
    assert {path.stem for path in (ROOM / "exemplars").iterdir()} == set(prompts.exemplar_sets())


ENTRY = {"question": "1 + 1?", "reasoning": "1 + 1 = 2.", "answer": 2}


def test_users_jsonl_and_toml_say_the_same(tmp_path: Path) -> None:
    lines = tmp_path / "mine.jsonl"
    lines.write_text(json.dumps(ENTRY) + "\n\n")
    toml = tmp_path / "mine.toml"
    toml.write_text('[[exemplar]]\nquestion = "1 + 1?"\nreasoning = "1 + 1 = 2."\nanswer = 2\n')
    ours = [prompts.load("few_shot_cot", exemplars=path) for path in (lines, toml)]
    assert ours[0].exemplars[0].answer == "2"
    assert ours[0] == ours[1]
    assert ours[0].sha256 == ours[1].sha256


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("{", r"mine\.jsonl:3: is not JSON"),
        ("[1]", r"mine\.jsonl:3: must be an object"),
        (json.dumps({**ENTRY, "gold": 1}), r"mine\.jsonl:3: unknown field gold"),
        (
            json.dumps({"question": "q", "answer": "1"}),
            r"mine\.jsonl:3: field reasoning is missing",
        ),
        (json.dumps({**ENTRY, "answer": True}), r"mine\.jsonl:3: field answer must be a text"),
        (json.dumps({**ENTRY, "question": " "}), r"mine\.jsonl:3: field question must be a text"),
        (json.dumps({**ENTRY, "choices": "ab"}), r"mine\.jsonl:3: field choices must be a list"),
        (
            json.dumps({**ENTRY, "choices": ["x", "y"], "answer": "C"}),
            r"mine\.jsonl:3: field answer is 'C', but must be a letter of AB",
        ),
    ],
)
def test_bad_jsonl_is_refused_with_its_line(tmp_path: Path, second: str, said: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(f"{json.dumps(ENTRY)}\n\n{second}\n")
    with pytest.raises(prompts.PromptError, match=said):
        prompts.load("few_shot_cot", exemplars=path)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("[[exemplar]\n", r"mine\.toml: is not TOML: .*line 1"),
        ("", r"mine\.toml: holds no exemplar"),
        ("[exemplar]\nquestion = 'q'\n", r"mine\.toml: only \[\[exemplar\]\]"),
        ("[[exemplar]]\nquestion = 'q'\n", r"mine\.toml: exemplar 1: field answer is missing"),
    ],
)
def test_bad_toml_is_refused_with_its_entry(tmp_path: Path, source: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(source)
    with pytest.raises(prompts.PromptError, match=said):
        prompts.load("few_shot_cot", exemplars=path)


def test_other_file_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("question,answer\n")
    with pytest.raises(prompts.PromptError, match=r"\.toml or \.jsonl"):
        prompts.load("few_shot_cot", exemplars=path)
