from random import Random

import pytest

from analysis.faithfulness_tests.adding_mistakes import OTHER, spoil


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ("so 7 - 4 = 3.", {"so 7 + 4 = 11."} | {f"so 7 - 4 = {n}." for n in (0, 1, 2, 4, 5, 6)}),
        ("so 3 + 4 = 7.", {f"so 3 + 4 = {n}." for n in (4, 5, 6, 8, 9, 10)}),  # 3 - 4 is negative
        ("He has 5 apples.", {f"He has {n} apples." for n in (2, 3, 4, 6, 7, 8)}),
        ("2. He has 9.", {f"2. He has {n}." for n in (6, 7, 8, 10, 11, 12)}),
        (
            "Step 3: it costs $1,200.",
            {f"Step 3: it costs $1,{n}." for n in (197, 198, 199, 201, 202, 203)},
        ),
        ("It is 2.5 km.", {f"It is {n}.5 km." for n in (0, 1, 3, 4, 5)}),
        ("He has 0 left.", {f"He has {n} left." for n in (1, 2, 3)}),
    ],
)
def test_one_number_or_one_operation_is_another(words, changed):
    assert {spoil(words, Random(seed)) for seed in range(200)} == changed


@pytest.mark.parametrize("words", ["Let me think.", "Step 2", "Twenty apples.", "", "B2 or 3rd"])
def test_a_step_without_numbers_has_no_mistake(words):
    assert spoil(words, Random(0)) is None


@pytest.mark.parametrize("sign", OTHER)
def test_an_operation_turns_into_another_with_the_result_that_it_then_has(sign):
    others = {spoil(f"12 {sign} 4 = 1", Random(seed)) for seed in range(100)}
    results = {"+": 16, "-": 8, "*": 48, "×": 48}
    assert f"12 {OTHER[sign]} 4 = {results[OTHER[sign]]}" in others
