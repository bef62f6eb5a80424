"""Where a long trace's answer stands, and what its outline is made of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from planted_depth import UNLIKELY, planted_deep
from written import write_table

from analysis.page.evidence import gather
from analysis.page.sections.traces.outline import (
    AnswerPlaces,
    answer_places,
    read_sections,
    short_form,
)

TEXT = r"It is 7. Hmm, \boxed{8}. No: the answer is 7. So \boxed{7}. And 17 or 7.5."
STEPS = [(0, 8), (9, 24), (25, 45), (46, 59), (60, 74)]


def test_the_answer_appears_as_a_result_and_changes_last_behind_another_one() -> None:
    assert answer_places(TEXT, STEPS, "7") == AnswerPlaces(first=0, changed=2)
    # It is stated once, and nothing else after it.
    assert answer_places(TEXT, STEPS, "8") == AnswerPlaces(first=1, changed=None)


def test_a_longer_number_is_not_the_answer() -> None:
    text, steps = "Take 17, 7.5 and x7. The 7 it is, = 7.", [(0, 20), (21, 38)]
    assert answer_places(text, steps, "7") == AnswerPlaces(first=1, changed=None)
    assert answer_places("Take 17 and 7.5", [(0, 15)], "7") == AnswerPlaces(
        first=None, changed=None
    )
    assert answer_places(text, steps, " ") is None
    assert answer_places(text, steps, None) is None


def test_hostile_answers_are_taken_as_they_stand() -> None:
    assert answer_places("= (a+)+$", [(0, 8)], "(a+)+$") == AnswerPlaces(first=0, changed=None)


def test_a_long_signature_is_its_beginning_and_its_length() -> None:
    assert short_form(None) is None
    assert short_form("add,mul") == "add,mul"
    shown = short_form(",".join(["add", "mul"] * 500))
    assert shown is not None
    assert shown.startswith("add,mul,add")
    assert shown.endswith("mul,… (1000 operations)")
    assert len(shown) < 90


@pytest.mark.slow
def test_a_section_has_the_mean_log_probability_of_its_own_tokens(tmp_path: Path) -> None:
    run = planted_deep(tmp_path)
    trace = run.traces().iloc[0]
    key = {"question_id": trace["question_id"], "sample_index": trace["sample_index"]}
    digit = next(i for i, letter in enumerate(trace["text"]) if letter.isdigit())
    text = {"start": 0, "end": 9, "part": "reasoning", "kind": "plan"}
    spans = [(digit - 1, digit + 1), (0, None)]  # of a letter and a digit, a byte a token
    rows = [
        {**key, **text, "section": i, "first_step": i, "last_step": i}
        | {"token_start": low, "token_end": high}
        for i, (low, high) in enumerate(spans)
    ]
    frame = pd.DataFrame(rows).astype({"token_start": "Int64", "token_end": "Int64"})
    write_table(run, "sections", frame, command="segment", parameters={}, inputs=["traces"])
    found = read_sections(gather(run))
    assert list(found) == [tuple(key.values())]
    mean = round((UNLIKELY - 0.01) / 2, 3)
    known, unknown = found["q00", 0]
    assert (known.n_tokens, known.logprob) == (2, pytest.approx(mean, abs=0.002))
    assert (unknown.n_tokens, unknown.logprob) == (None, None)
