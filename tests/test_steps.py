"""Spans are exact for any text; styles that real models write split where a reader would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cot.steps import MINIMUM_LENGTH, Rule, kinds_of, segment
from tests.work import instructions

PIECES = st.sampled_from(
    [
        "a",
        "5",
        ".",
        "!",
        "?",
        " ",
        "\n",
        "1.",
        "<think>",
        "</think>",
        "e.g.",
        "3.14",
        "é",
        "\u200b",
        "\r",
        "\n\n",
        "```\n",
        "```",
        "$$",
        "\\[",
        "\\]",
        "\\begin{cases}",
        "\\end{cases}",
        "Step 3:",
        "Mr. J.",
        "...",
        "。",
        "words and words",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_spans_and_gaps_give_the_text_back(text):
    spans = segment(text)
    rebuilt, at = "", 0
    for span in spans:
        assert at <= span.start < span.end <= len(text)
        assert not text[at : span.start].strip(), "a gap holds white space only"
        rebuilt += text[at : span.start] + text[span.start : span.end]
        at = span.end
    assert not text[at:].strip()
    assert rebuilt + text[at:] == text


@given(st.text())
def test_only_a_lone_step_is_short(text):
    spans = segment(text)
    if len(spans) > 1:
        assert all(span.end - span.start >= MINIMUM_LENGTH for span in spans)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        ("  \n ", []),
        (" 12", ["12"]),
        ("It costs 3.50 dollars. So 2 * 3.50 = 7.", ["It costs 3.50 dollars.", "So 2 * 3.50 = 7."]),
        ("Mr. Smith has 4 apples. He eats 1.", ["Mr. Smith has 4 apples.", "He eats 1."]),
        (
            "1. Add the numbers.\n2. Divide by two.\n3. Done with it all.",
            ["1. Add the numbers.", "2. Divide by two.", "3. Done with it all."],
        ),
        ("- first, 5 + 7 = 12\n- then 12 - 2 = 10", ["- first, 5 + 7 = 12", "- then 12 - 2 = 10"]),
        ("First I add the two. Ok. Then I stop", ["First I add the two.", "Ok. Then I stop"]),
        ("She has twelve left! Is that so? Yes.", ["She has twelve left!", "Is that so? Yes."]),
        (
            "<think>Let me add them up.</think>The answer is 12.",
            ["<think>Let me add them up.</think>", "The answer is 12."],
        ),
        ("It is cut off in the mid", ["It is cut off in the mid"]),
        (
            "**Step 1:** Add 5 and 7.\nStep 2. Halve the sum.\n\n**Step 12:**\n\nSay what is left.",
            [
                "**Step 1:** Add 5 and 7.",
                "Step 2. Halve the sum.",
                "**Step 12:**\n\nSay what is left.",
            ],
        ),
        (
            "* one box of 5\n  * in it, 12 more\n• and a last one\n(b) or 1) this here",
            [
                "* one box of 5",
                "* in it, 12 more",
                "• and a last one",
                "(b) or 1) this here",
            ],
        ),
        (
            "So we have\n\\[\nx = 5. \\\\\ny = 7.\n\\]\nThen x + y = 12.",
            ["So we have", "\\[\nx = 5. \\\\\ny = 7.\n\\]", "Then x + y = 12."],
        ),
        (
            "\\begin{align*}\na &= 1. \\\\\nb &= 2.\n\\end{align*}\n\nThat is it all.",
            ["\\begin{align*}\na &= 1. \\\\\nb &= 2.\n\\end{align*}", "That is it all."],
        ),
        (
            "We get $$x = 5. y$$ from it. It costs $$ now.",
            ["We get $$x = 5. y$$ from it.", "It costs $$ now."],
        ),
        ("It costs $$ now.\n\nIt cost $$ then.", ["It costs $$ now.", "It cost $$ then."]),
        (
            "In code:\n```python\nx = 5. \n\nprint(x)\n```\nIt prints 5.0 here.",
            ["In code:\n```python\nx = 5. \n\nprint(x)\n```", "It prints 5.0 here."],
        ),
        ("We run this:\n~~~\ncut off. In\nthe mid", ["We run this:", "~~~\ncut off. In\nthe mid"]),
        (
            "<think>\nSome, e.g. 5, i.e. a few. Wait... is it 5?\n</think>\n\nThe answer is 5.",
            [
                "<think>\nSome, e.g. 5, i.e. a few.",
                "Wait... is it 5?\n</think>",
                "The answer is 5.",
            ],
        ),
        ("<think>\n\n</think>\n\nThe answer is 12.", ["<think>\n\n</think>\n\nThe answer is 12."]),
        (
            "J. K. Rowling met Dr. John F. Smith. They ate.",
            ["J. K. Rowling met Dr. John F. Smith. They ate."],
        ),
        ("So the answer is B. Subtract to see it.", ["So the answer is B.", "Subtract to see it."]),
        ("See point A. Then stop over there.", ["See point A.", "Then stop over there."]),
        (
            "At 5 p.m. on Monday in the U.S. Army. At 6 p.m. They left.",
            ["At 5 p.m. on Monday in the U.S. Army.", "At 6 p.m. They left."],
        ),
        (
            "See No. 5 and fig. 3 here. The answer is no. It is.",
            ["See No. 5 and fig. 3 here.", "The answer is no. It is."],
        ),
        ("There are 5! = 120 ways! That is a lot.", ["There are 5! = 120 ways!", "That is a lot."]),
        (
            "小明有5个苹果，他又买了7个苹果。所以他现在一共有12个苹果。",
            ["小明有5个苹果，他又买了7个苹果。", "所以他现在一共有12个苹果。"],
        ),
        (
            '"It is 5 apples." So he said. (It is 7 now.) He left it.',
            ['"It is 5 apples."', "So he said.", "(It is 7 now.)", "He left it."],
        ),
        ("First we add it.\r\nThen we stop it.", ["First we add it.", "Then we stop it."]),
    ],
)
def test_splits_where_a_reader_would(text, steps):
    assert [text[span.start : span.end] for span in segment(text)] == steps


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("Mia starts with 5 books.", "setup"),
        ("So 5 + 7 = 12.", "calculation"),
        ("That is 4 times 6.", "calculation"),
        ("The answer is 12.", "answer"),
        ("Wait, that is not right: 5 + 7 = 12.", "backtrack"),
        ("Let me re-read it.", "check"),
        ("5 apples + 7 apples makes 12.", "calculation"),
        ("\\[ 5 \\times 7 \\]", "calculation"),
        ("\\[ \\frac{5}{7} \\]", "calculation"),
        ("Half of 10% is left.", "setup"),
        ("Let us think.", "plan"),
        ("Okay then!", "other"),
    ],
)
def test_kinds(step, kind):
    assert kinds_of([step]) == [kind]


def test_a_problem_is_set_up_at_the_beginning_only():
    steps = ["The problem says 5.", "I need to find x.", "So 5 + 2 = 7.", "I need to find y."]
    assert kinds_of(steps) == ["setup", "setup", "calculation", "plan"]
    assert kinds_of(["It is 5 cm.", "Let me try.", "It is 7 cm."]) == ["setup", "plan", "fact"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Five it is.\nThe answer is 5.", ["reasoning", "reasoning"]),
        ("<think>Is it five?</think>5", ["reasoning", "answer"]),
        ("Is it five?</think>5", ["reasoning", "answer"]),
        ("[THINK]Is it five?[/THINK]It is 5 now.", ["reasoning", "answer"]),
        (
            "<|channel|>analysis<|message|>Is it five?<|end|><|start|>assistant"
            "<|channel|>final<|message|>5",
            ["reasoning", "answer"],
        ),
        ("<think>Is it five?", ["reasoning"]),
        ("<think>\n\n</think>\n\nIt is 5 now.", ["answer"]),
        (
            "<think>Is it five?</think>It is 5 now.<think>Is it?",
            ["reasoning", "answer", "reasoning"],
        ),
    ],
)
def test_steps_stand_inside_or_outside_the_think_tags(text, parts):
    spans = segment(text)
    assert [span.part for span in spans] == parts
    assert spans[0].start == 0
    assert spans[-1].end == len(text)


def test_the_last_step_outside_the_tags_answers_where_none_says_so():
    kinds = [
        span.kind for span in segment("<think>Is it five?</think>It has 3 of them.\nIt has 5 now.")
    ]
    assert kinds == ["uncertainty", "fact", "answer"]
    kinds = [
        span.kind for span in segment("<think>Is it?</think>The answer is 5.\nIt has 5 of them.")
    ]
    assert kinds == ["uncertainty", "answer", "fact"]


def test_rules_can_be_replaced():
    rules = [Rule("question", signs=r"\?"), Rule("number", signs=r"\d")]
    assert kinds_of(["5 or 7?"], rules) == ["question"]
    assert [
        span.kind for span in segment("Is it so at all?\nIt is 5 apples.\nSo let it be.", rules)
    ] == [
        "question",
        "number",
        "other",
    ]


@pytest.mark.parametrize(
    "piece",
    ["\\[", "$$", "$$\n\n", ".", ". ", "-\n", "1", "1,", "5 ", " ", "\n ", "\\begin{align}", "J. "]
    + ["```\n", "</think>", "5" + " " * 99, "`", "!)", "```" + "a" * 99, "%", "hm", "step 1 "],
)  # fmt: skip
def test_work_is_linear_in_hostile_text(piece):
    for before in ("", "5"):
        once, twice = (before + piece * (n // len(piece)) for n in (1_000, 2_000))
        assert instructions(lambda text=twice: segment(text)) < 2.1 * instructions(
            lambda text=once: segment(text)
        )
        text = before + piece * (100_000 // len(piece))
        assert "".join(text.split()) == "".join(
            "".join(text[span.start : span.end].split()) for span in segment(text)
        )


def test_steps_have_no_token_spans_where_the_tokenizer_is_gone(tmp_path, caplog):
    from dataclasses import replace

    import numpy as np
    from small import trace_of

    from analysis.steps import segment as segment_run
    from cot.store.run import create_run
    from cot.types import Question

    run = create_run(tmp_path / "run", {"model": str(tmp_path / "gone")})
    trace = trace_of("q", 0, "2 + 2 = 4. The answer is 4.")
    ids = replace(trace.completion, token_ids=(1, 2), logprobs=np.zeros(2, np.float32))
    with run.lock():
        run.add_questions([Question(id="q", text="2 + 2?")])
        with run.writer() as writer:
            writer.add(replace(trace, completion=ids))
    steps = segment_run(run)
    assert len(steps) == 2
    assert steps["token_start"].isna().all()
    assert "steps have no token spans, as the tokenizer can't be loaded" in caplog.text
