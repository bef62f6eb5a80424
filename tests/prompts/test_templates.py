"""Templates render as said, in both forms, and treat questions as text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts

NAMES = ["answer_only", "few_shot_cot", "zero_shot", "zero_shot_cot"]


def test_names() -> None:
    assert prompts.names() == NAMES


def test_exported_members_are_there_and_sorted() -> None:
    assert prompts.__all__ == sorted(prompts.__all__)
    assert all(hasattr(prompts, name) for name in prompts.__all__)


def test_text_form_exactly() -> None:
    template = prompts.load("few_shot_cot", exemplars="multiple_choice", shots=1)
    assert template.text("Which is red?", ["sky", "blood"]) == (
        "Question: Lena has 8 tickets and gives away 3. How many tickets does she have left?\n"
        "(A) 11\n(B) 5\n(C) 6\n(D) 3\n"
        "Answer: Lena has 8 tickets and gives away 3, so 8 - 3 = 5. The answer is (B).\n"
        "\n"
        "Question: Which is red?\n(A) sky\n(B) blood\n"
        "Answer:"
    )


def test_chat_form_exactly() -> None:
    template = prompts.load("answer_only", exemplars="yes_no", shots=1)
    assert template.messages("Is ice cold?") == (
        {
            "role": "user",
            "content": "Can a full moon be seen from inside a cave without an opening?",
        },
        {"role": "assistant", "content": "The answer is no."},
        {"role": "user", "content": "Is ice cold?"},
    )


def test_prefill_begins_the_answer_in_both_forms() -> None:
    template = prompts.load("zero_shot_cot")
    assert template.text("Why?").endswith("\nAnswer: Let's think step by step.")
    last = template.messages("Why?")[-1]
    assert last == {"role": "assistant", "content": "Let's think step by step."}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("choices", [None, ["x", "y"]])
def test_every_form_ends_where_the_model_goes_on(name: str, choices: list[str] | None) -> None:
    template = prompts.load(name)
    text = template.text("Why?", choices)
    assert text == text.rstrip()
    assert text.startswith("Question: ")
    assert text.count("\nAnswer:") == len(template.exemplars) + 1
    for form in (text, chat(template, choices)):
        assert ("(A) x\n(B) y" in form) == bool(choices)
    assert template.stop == ("\n\nQuestion:", "\nQuestion:")
    assert template.description
    assert template.uses_exemplars == bool(template.exemplars)


def chat(template: prompts.Template, choices: list[str] | None) -> str:
    return "\n".join(turn["content"] for turn in template.messages("Why?", choices))


@pytest.mark.parametrize("exemplars", ["arithmetic", "multiple_choice", "yes_no"])
def test_every_solution_states_its_answer_last(exemplars: str) -> None:
    template = prompts.load("few_shot_cot", exemplars=exemplars)
    solved = [turn["content"] for turn in template.messages("?") if turn["role"] == "assistant"]
    for exemplar, content in zip(template.exemplars, solved, strict=True):
        stated = f"({exemplar.answer})" if exemplar.choices else exemplar.answer
        assert content == f"{exemplar.reasoning} The answer is {stated}."


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip))
def test_questions_are_inert(question: str) -> None:
    template = prompts.load("few_shot_cot", shots=0)
    assert template.text(question) == f"Question: {question.strip()}\nAnswer:"
    assert template.messages(question, [question])[-1]["content"] == (
        f"{question}\n(A) {question}".strip()
    )


@pytest.mark.parametrize("question", ["{{ 7*7 }}", "{% for x in y %}", "{# gone? #}", "<b>&amp;"])
def test_template_syntax_in_a_question_is_text(question: str) -> None:
    assert f"Question: {question}\n" in prompts.load("zero_shot").text(question)


def test_identity_follows_what_is_shown() -> None:
    full = prompts.load("few_shot_cot")
    assert full.sha256 == prompts.load("few_shot_cot", exemplars="arithmetic").sha256
    others = [
        prompts.load("few_shot_cot", shots=3),
        prompts.load("few_shot_cot", exemplars="yes_no"),
        prompts.load("answer_only"),
        prompts.load("zero_shot"),
        prompts.load("zero_shot_cot"),
    ]
    assert len({template.sha256 for template in [full, *others]}) == 6


def write(path: Path, body: str, matter: str = 'description = "mine"') -> Path:
    file = path / "mine.md"
    file.write_text(f"+++\n{matter}\n+++\n{body}")
    return file


def test_users_template_with_system_turn(tmp_path: Path) -> None:
    file = write(tmp_path, "## system\nBe brief.\n## user\nTell me: {{ question }}\n")
    template = prompts.load(file)
    assert template.name == "mine"
    assert template.text("Why?") == "Be brief.\n\nQuestion: Tell me: Why?\nAnswer:"
    assert template.messages("Why?") == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Tell me: Why?"},
    )


@pytest.mark.parametrize(
    ("body", "matter", "said"),
    [
        ("## user\nHello {{ name }}\n", "", r"mine\.md:5: .*no variable name: use choices, quest"),
        ("## user\n\n{% if %}\n", "", r"mine\.md:6: "),
        ("## usr\nx\n", "", r"mine\.md:4: section ## usr is unknown"),
        ("## user\nx\n## user\ny\n", "", r"mine\.md:6: section ## user is unknown or there twice"),
        ("", "", r"mine\.md: section ## user is missing"),
        ("## user\nx\n", "exemplars = true", r"mine\.md: section ## assistant is missing"),
        ("## user\nx\n", "shots = 3", r"mine\.md: unknown key shots: use description"),
        ("## user\nx\n", "prefill = 3", r"mine\.md: key prefill must be a str"),
        ("## user\nx\n", "stop = [1]", r"mine\.md: key stop must list texts"),
        ("## user\nx\n", "stop =", r"mine\.md: the front matter is not TOML"),
    ],
)
def test_bad_templates_are_refused(tmp_path: Path, body: str, matter: str, said: str) -> None:
    with pytest.raises(prompts.PromptError, match=said):
        prompts.load(write(tmp_path, body, matter))


def test_template_without_front_matter(tmp_path: Path) -> None:
    file = tmp_path / "mine.md"
    file.write_text("## user\n{{ question }}\n")
    with pytest.raises(prompts.PromptError, match="front matter"):
        prompts.load(file)


@pytest.mark.parametrize(
    "attack",
    ["{{ question.__class__.__mro__ }}", "{{ choices.append(1) }}", "{{ missing_attribute.x }}"],
)
def test_templates_are_sandboxed(tmp_path: Path, attack: str) -> None:
    with pytest.raises(prompts.PromptError):
        prompts.load(write(tmp_path, f"## user\n{attack}\n")).text("Why?", ["a"])


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(prompts.PromptError, match=", ".join(NAMES)):
        prompts.load("few_shots")
    with pytest.raises(prompts.PromptError, match="arithmetic, multiple_choice, yes_no"):
        prompts.load("few_shot_cot", exemplars="maths")


def test_shots() -> None:
    assert len(prompts.load("few_shot_cot", shots=3).exemplars) == 3
    assert prompts.load("few_shot_cot", shots=0).text("Why?") == "Question: Why?\nAnswer:"
    for shots in (-1, 99):
        with pytest.raises(prompts.PromptError, match=r"arithmetic\.toml has \d+ exemplars"):
            prompts.load("few_shot_cot", shots=shots)
    with pytest.raises(prompts.PromptError, match="shows no exemplars"):
        prompts.load("zero_shot", shots=2)


def test_more_choices_than_letters() -> None:
    with pytest.raises(prompts.PromptError, match="27 choices"):
        prompts.load("zero_shot").text("Why?", [str(number) for number in range(27)])
