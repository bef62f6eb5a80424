"""Text as tokens arrive: stop strings over several tokens, characters over several tokens."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cot.engines.decoding import CONTEXT, PENDING, TextStream
from tests.work import instructions


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny)


def feed(tokenizer: Any, text: str, stop: tuple[str, ...] = ()) -> tuple[str, int | None]:
    """The text, and how many tokens were taken until a stop string was complete."""
    stream = TextStream(tokenizer, tokenizer("A:")["input_ids"], stop)
    for n, token in enumerate(tokenizer(text)["input_ids"], start=1):
        if stream.push(token):
            return stream.text, n
    return stream.text, None


def test_characters_of_several_tokens(tokenizer: Any) -> None:
    text = "naïve 你好 🙂👩‍🚀 é"
    assert feed(tokenizer, text) == (text, None)


def test_an_incomplete_character_is_left_out(tokenizer: Any) -> None:
    ids = tokenizer("a🙂")["input_ids"]
    stream = TextStream(tokenizer, (), ())
    assert not any(stream.push(token) for token in ids[:-1])
    assert stream.text == "a"


def test_stop_string_over_several_tokens(tokenizer: Any) -> None:
    text, n = feed(tokenizer, "7.\n\nQ: zebra🙂stop and more", ("🙂stop",))
    assert text == "7.\n\nQ: zebra"
    assert n is not None
    spelled = tokenizer.decode(tokenizer("7.\n\nQ: zebra🙂stop and more")["input_ids"][:n])
    assert "🙂stop" in spelled
    assert "🙂stop" not in spelled[:-1] or spelled.endswith("p")


def test_the_stop_string_that_ends_first_wins(tokenizer: Any) -> None:
    assert feed(tokenizer, "one two three", ("two three", "tw"))[0] == "one "


def test_empty_stop_strings_stop_nothing(tokenizer: Any) -> None:
    assert feed(tokenizer, "one", ("",)) == ("one", None)


def test_a_stop_string_in_the_prompt_does_not_count(tokenizer: Any) -> None:
    stream = TextStream(tokenizer, tokenizer("Q")["input_ids"], ("Q:",))
    assert not any(stream.push(token) for token in tokenizer(": 3")["input_ids"])


def test_broken_bytes_do_not_hold_text_back_for_ever(tokenizer: Any) -> None:
    broken = tokenizer.convert_tokens_to_ids("ð")
    stream = TextStream(tokenizer, (), ())
    for _ in range(50):
        stream.push(broken)
    assert len(stream.text) >= 40


@given(text=st.text(max_size=60), stops=st.lists(st.text(min_size=1, max_size=4), max_size=3))
def test_equals_searching_the_whole_text(tokenizer: Any, text: str, stops: list[str]) -> None:
    whole = tokenizer.decode(tokenizer(text)["input_ids"])
    got, stopped = feed(tokenizer, text, tuple(stops))
    found = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stops if stop in whole]
    if whole.endswith("\ufffd"):  # held back: no one can tell it from half a character
        return
    assert (stopped is not None) == bool(found)
    if len(found) == 1:
        assert got == whole[: found[0][1]]
    if not found:
        assert got == whole


def test_work_does_not_grow_with_the_text(tokenizer: Any) -> None:
    ids = tokenizer("The answer is 7. " * 400)["input_ids"]
    stream = TextStream(tokenizer, (), ("never there",))

    spelled: list[int] = []
    decode = stream._decode

    def counted(tokens: list[int], **options: Any) -> str:
        spelled.append(len(tokens))
        return str(decode(tokens, **options))

    stream._decode = counted
    n = len(ids) // 4
    quarters = [
        sum(instructions(partial(stream.push, token)) for token in ids[i * n : (i + 1) * n])
        for i in range(4)
    ]
    assert quarters[3] < 1.1 * quarters[0]
    assert max(spelled) <= CONTEXT + PENDING
    assert len(stream._tail) < len("never there")
