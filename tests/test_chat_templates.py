"""Chat templates: the arguments they take, and what they say of reasoning."""

from types import SimpleNamespace

import pytest

from cot.answers.reasoning import KNOWN, Thinking
from cot.chat_templates import (
    arguments_of,
    check_chat_args,
    closer_of,
    reasoning_is_closed,
    reasons,
)
from cot.errors import InputError

SWITCH = (
    "{% for m in messages %}{% if loop.index > 9 %}{% break %}{% endif %}"
    "{% generation %}{{ bos_token }}{{ m.content | tojson }}{% endgeneration %}{% endfor %}"
    "{% set start = '<think>' %}{% if add_generation_prompt %}{{ start }}"
    "{% if enable_thinking is defined and not enable_thinking %}</think>{% endif %}{% endif %}"
    "{{ strftime_now('%Y') if tools else raise_exception('none') }}{{ range(2) | list }}"
)
HARMONY = "{{ reasoning_effort }}<|channel|>analysis<|message|>{{ m }}<|channel|>final<|message|>"


def tokenizer(template):
    return SimpleNamespace(chat_template=template, get_chat_template=lambda: template)


def test_arguments_are_the_names_that_a_template_reads_and_does_not_set():
    assert arguments_of(SWITCH) == {"enable_thinking", "tools"}


def test_an_argument_that_the_template_ignores_is_an_error_that_names_those_it_takes():
    check_chat_args(tokenizer(SWITCH), {"enable_thinking": False})
    with pytest.raises(InputError, match=r"thinking: the .* takes enable_thinking, tools"):
        check_chat_args(tokenizer(SWITCH), {"thinking": False})
    with pytest.raises(InputError, match="takes no arguments"):
        check_chat_args(tokenizer("{{ messages }}"), {"thinking": False})
    with pytest.raises(InputError, match="has no chat template"):
        check_chat_args(tokenizer(None), {"thinking": False})
    check_chat_args(None, {})


def test_a_broken_template_is_said():
    with pytest.raises(InputError, match="chat template is broken"):
        arguments_of("{% if %}")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (SWITCH, True),
        (HARMONY, True),
        ("{% if thinking %}a{% endif %}", True),
        ("{{ m.reasoning_content }}", True),
        ("{{ messages }}{{ tools }}", False),
        ("", False),
    ],
)
def test_a_template_of_a_model_that_reasons_is_known_by_its_tags_and_arguments(template, expected):
    assert reasons(template) is expected


def test_reasoning_that_the_prompt_has_closed_is_off():
    assert reasoning_is_closed("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not reasoning_is_closed("<|im_start|>assistant\n<think>\n")
    assert not reasoning_is_closed("Is </think> a tag?")


def test_what_ends_the_reasoning_is_told_by_the_user_then_the_prompt_then_the_template():
    own = Thinking(tags=("<plan>", "</plan>"))
    assert closer_of(SWITCH, "[THINK]", own) == "</plan>"
    assert closer_of(SWITCH, "[THINK]", KNOWN) == "[/THINK]"
    assert closer_of(SWITCH, "", KNOWN) == "</think>"
    assert closer_of("{{ content.split('</think>') }}", "", KNOWN) == "</think>"
    assert closer_of(HARMONY, "", KNOWN).endswith("<|channel|>final<|message|>")
    assert closer_of("{{ messages }}", "", KNOWN) is None
