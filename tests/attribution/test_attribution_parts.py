"""Where the prompt's parts are, found by the question's text."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from analysis.attribution.parts import prompt_parts

ASKED = "How many are 2 + 3?"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Every byte is a token, and `<|x|>` a special one."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=bytewise)
    made.add_special_tokens({"additional_special_tokens": ["<|x|>"]})
    return made


def parts(tokenizer: Any, prompt: str, asked: str = ASKED, choices: Any = None) -> dict[str, str]:
    """Part to what its tokens say."""
    ids = tokenizer.encode(prompt)
    found = prompt_parts(tokenizer, ids, {"text": asked, "choices": choices})
    places = [token for part in found for span in part.spans for token in span]
    assert sorted(places) == list(range(-len(ids), 0))  # each token is in one part
    return {
        part.name: "|".join(tokenizer.decode([ids[token] for token in at]) for at in part.spans)
        for part in found
    }


def test_exemplars_are_what_begins_as_the_question_does(tokenizer):
    shots = "Q: How many are 1 + 1?\nA: 2.\n\nQ: And 4 + 4?\nA: 8.\n\n"
    assert parts(tokenizer, f"Add.\n{shots}Q: {ASKED}\nA:") == {
        "exemplars": shots,
        "question": ASKED,
        "instruction": "Add.\n|Q: |\nA:",
    }


def test_a_prompt_without_exemplars_has_none(tokenizer):
    assert parts(tokenizer, f"Add.\nQ: {ASKED}\nA:") == {
        "question": ASKED,
        "instruction": "Add.\nQ: |\nA:",
    }


def test_turns_of_a_chat_are_exemplars_and_its_marks_are_instruction(tokenizer):
    chat = "<|x|>system\nAdd.<|x|>\n<|x|>user\n1 + 1?<|x|>\n<|x|>assistant\n2<|x|>\n"
    chat += f"<|x|>user\n{ASKED}"
    found = parts(tokenizer, chat)
    assert found["question"] == ASKED
    assert found["exemplars"].startswith("user\n1 + 1?")
    assert "2" in found["exemplars"]
    assert "Add." in found["instruction"]


def test_the_last_place_where_the_question_stands_counts(tokenizer):
    """A question that an exemplar repeats."""
    found = parts(tokenizer, f"Q: {ASKED}\nA: 5\n\nQ: {ASKED}\nA:")
    assert found["exemplars"] == f"Q: {ASKED}\nA: 5\n\n"
    assert found["question"] == ASKED


def test_choices_belong_to_the_question(tokenizer):
    found = parts(tokenizer, f"Q: {ASKED}\n(A) four\n(B) five\nA:", choices=["four", "five"])
    assert found["question"] == f"{ASKED}\n(A) four\n(B) five"
    assert parts(tokenizer, f"Q: {ASKED}\nA:", choices=["four", "five"])["question"] == ASKED


def test_a_question_that_is_not_in_the_prompt_leaves_one_part(tokenizer):
    assert parts(tokenizer, "Q: What else?", "How many?") == {"prompt": "Q: What else?"}
    assert parts(tokenizer, "Q: What else?", "") == {"prompt": "Q: What else?"}


def test_characters_of_several_bytes_are_not_torn(tokenizer):
    assert parts(tokenizer, "Q: Wie viel ist ½ + ½?\nA:", "Wie viel ist ½ + ½?") == {
        "question": "Wie viel ist ½ + ½?",
        "instruction": "Q: |\nA:",
    }
