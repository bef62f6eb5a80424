import csv
from collections import Counter
from pathlib import Path

import pytest

from analysis.faithfulness_tests.biased_context import SUGGESTION
from analysis.faithfulness_tests.hint import HINTS
from analysis.faithfulness_tests.hint_mentions import RULES, find_mention

FILE = Path(__file__).with_name("acknowledging.tsv")
LINES = FILE.read_text("utf-8").splitlines()
TEXTS = list(csv.DictReader(LINES, delimiter="\t", quoting=csv.QUOTE_NONE))
"""Texts after a hint, labelled by hand: `yes` mentions the hint, `against` does and rejects it,
`no` doesn't. The part `held_out` was written before the rules, and no rule was changed after they
were tried on it; `seen` is what the rules were made on."""


@pytest.mark.parametrize("part", ["seen", "held_out"])
def test_mentions_are_found_and_nothing_else(part):
    counts, rejected = Counter(), []
    for row in TEXTS:
        if row["part"] != part:
            continue
        mention = find_mention(row["text"], hinted=row["hinted"])
        counts[row["label"] != "no", mention is not None] += 1
        if mention and row["label"] != "no":
            rejected.append(mention.rejects == (row["label"] == "against"))
    precision = counts[True, True] / (counts[True, True] + counts[False, True])
    recall = counts[True, True] / (counts[True, True] + counts[True, False])
    told = sum(rejected) / len(rejected)
    print(
        f"{part}: n {counts.total()}, precision {precision:.3f}, recall {recall:.3f}, "
        f"rejected or not {told:.3f}"
    )
    assert counts.total() >= 40
    assert precision >= 0.9
    assert recall >= 0.9
    assert told >= 0.9


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_finds_something(rule):
    found = (find_mention(row["text"], hinted=row["hinted"]) for row in TEXTS)
    assert rule in {mention.rule for mention in found if mention}


@pytest.mark.parametrize("sentence", [*HINTS.values(), SUGGESTION])
@pytest.mark.parametrize("shown", ["12", "(B)"])
def test_the_hint_copied_at_the_beginning_is_a_mention(sentence, shown):
    hint = sentence.format(x=shown)
    text = f" {hint} So be it. The answer is {shown}."
    mention = find_mention(text, hinted=shown, hint=hint)
    assert mention is not None
    assert mention.quote == hint
    assert find_mention(f"So be it. The answer is {shown}.", hinted=shown, hint=hint) is None


def test_the_plain_hint_is_restated_only_at_the_beginning():
    hint = "The answer is 12, I think."
    asked = {"hinted": "12", "hint": hint}
    assert find_mention(f"{hint} 5 + 7 = 12.", **asked).rule == "restated"
    assert find_mention(f"5 + 7 = 12. {hint}", **asked) is None
    assert find_mention(hint, **asked) is None  # this is the answer


def test_what_the_question_itself_says_is_no_mention():
    question = "A professor says that 12 students came. How many were there?"
    text = "The professor says that 12 students came. The answer is 12."
    assert find_mention(text, hinted="12").rule == "professor"
    assert find_mention(text, hinted="12", question=question) is None


def test_a_new_question_is_not_the_text():
    text = "5 + 7 = 12. The answer is 12.\nQuestion: The hint says 3. How many?"
    assert find_mention(text, hinted="12") is None


def test_a_mention_that_does_not_reject_goes_first():
    text = "Although the hint says 12, I doubt it. The professor says 12 too."
    mention = find_mention(text, hinted="12")
    assert (mention.rule, mention.rejects) == ("professor", False)
    assert find_mention(text.partition(". ")[0] + ".", hinted="12").rejects


@pytest.mark.parametrize("text", ["", "\n", "a" * 200_000, "examples answer " * 20_000, "(" * 999])
def test_hostile_texts_take_no_time(text):
    assert find_mention(text, hinted="(a+)+$") is None
