"""Traces that compute the same from the same numbers have one dataflow, however they say it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from analysis.clusters.clusterers import AverageLinkage, cosine_distances, fit_threshold, label_rows
from analysis.clusters.embedding import embed
from analysis.equations.dataflow import MAX_LENGTH, dataflow, signature
from analysis.equations.extraction import find_equations
from tests.equations.templates import APPLY, TEMPLATES, Tree, commuted, nested, steps, told, value
from tests.work import instructions


def flow(text: str) -> str:
    return dataflow(find_equations(text))


def grown(random: Random, depth: int) -> Tree:
    """A random expression, its results whole."""
    if not depth or random.random() < 0.2:
        return random.randint(2, 99)
    name = random.choice(list(APPLY))
    left, right = grown(random, depth - 1), grown(random, depth - 1)
    if name == "div":
        divisor = abs(value(right)) or 2
        left, right = ("mul", left, divisor), divisor
    return (name, left, right)


def values(tree: Tree) -> list[int]:
    """Numbers and results."""
    if isinstance(tree, int):
        return [tree]
    return [*values(tree[1]), *values(tree[2]), value(tree)]


def usable(tree: Tree) -> bool:
    """Whether no number stands for two things, so that nesting and steps say the same."""
    found = values(tree)
    return len(found) == len(set(found)) and all(0 < number < 10**12 for number in found)


def pair(seed: int) -> tuple[Tree, Tree]:
    """An expression and the same commuted."""
    random = Random(seed)
    while True:
        tree = grown(random, random.randint(1, 3))
        other = commuted(tree, random)
        if not isinstance(tree, int) and usable(tree) and usable(other):
            return tree, other


@given(st.integers(0, 10**9))
def test_order_wording_and_nesting_leave_the_dataflow(seed: int) -> None:
    tree, other = pair(seed)
    random = Random(seed)
    once = flow(f"{nested(tree, random)} = {value(tree)}")
    assert once == flow(f"{nested(other, random)} = {value(other)}")
    assert once == flow(". ".join(steps(tree, random)[0]))
    assert once == flow(". So ".join(steps(other, random)[0]) + ".")
    assert "(" in once
    assert "|" not in once


@given(st.integers(0, 10**9))
def test_another_number_or_operation_changes_it(seed: int) -> None:
    tree, _ = pair(seed)
    random = Random(seed)
    places = paths_to(tree)
    place = random.choice(places)
    changed = replaced(tree, place, random)
    assert flow(f"{nested(tree, random)} = 1") != flow(f"{nested(changed, random)} = 1")


def paths_to(tree: Tree) -> list[tuple[int, ...]]:
    if isinstance(tree, int):
        return [()]
    return [(), *((k, *path) for k in (1, 2) for path in paths_to(tree[k]))]


def replaced(tree: Tree, path: tuple[int, ...], random: Random) -> Tree:
    """Another number, or another operation, at a place."""
    if isinstance(tree, int):
        return tree + 1000
    if not path:
        return (random.choice([name for name in APPLY if name != tree[0]]), tree[1], tree[2])
    parts = list(tree)
    parts[path[0]] = replaced(tree[path[0]], path[1:], random)
    return tuple(parts)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 + 7 = 12. 12 * 2 = 24.", "(7 + 5) * 2 = 24"),
        ("5 + 8 + 2 = 15", "2 + 5 = 7, then 7 plus 8 is 15"),
        ("12 - 5 = 7", "5 less than 12 is 7"),
        ("20 / 4 = 5", "20 divided by 4 is 5"),
        ("half of 10 is 5", r"\frac{10}{2} = 5"),
        ("10% of 50 is 5", "0.1 * 50 = 5"),
        ("a quarter of 20 is 5", "1/4 of 20 = 5"),
        ("3 * 4 = 12 + 1 = 13", "3 * 4 = 12. 12 + 1 = 13."),
        ("5 + 7 = 13. 13 * 2 = 26.", "5 + 7 = 12. 12 * 2 = 24."),  # a slip
        ("3 * 2 = 6. 5 + 7 = 12. 12 - 6 = 6.", "5 + 7 = 12. 3 * 2 = 6. 12 - 6 = 6."),
        ("5 + 7 = 12. 12 * 2 = 24.", "5 + 7 = 12. 12 * 2 = 24. Again, 5 + 7 = 12."),
        ("5 + 7 = 12. (5 + 7) * 2 = 24.", "(5 + 7) * 2 = 24."),
        ("x + 5 = 12. 12 - 5 = 7.", "12 - 5 = 7."),
    ],
)
def test_the_same_dataflow(one: str, other: str) -> None:
    assert flow(one) == flow(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12 - 5 = 7", "5 - 12 = -7"),
        ("20 / 4 = 5", "4 / 20 = 0.2"),
        ("2 ^ 3 = 8", "3 ^ 2 = 9"),
        ("5 + 7 = 12. 12 * 2 = 24.", "5 + 7 = 12. 6 * 4 = 24."),
        ("(5 + 7) * 2 = 24", "5 + 7 * 2 = 19"),
        ("5 + 7 = 12", "5 + 7 = 12. 3 * 3 = 9."),
        ("12 - 3 - 4 = 5", "12 - (3 - 4) = 13"),
    ],
)
def test_another_dataflow(one: str, other: str) -> None:
    assert flow(one) != flow(other)


def test_readable() -> None:
    assert flow("5 + 7 = 12; 12 * 2 = 24") == "mul(2,add(5,7))"
    assert flow("9 - 2 = 7. 5 + 6 = 11. 1 + 1 = 2") == "add(1,1)|add(5,6)|sub(9,2)"
    assert flow("0.5 * 10 = 5") == "mul(1/2,10)"
    assert flow("No equation.") == "" == signature([])


def test_signature() -> None:
    assert signature(find_equations("5 + 7 = 12; 12 * 2 = 24")) == "add,mul"
    assert signature(find_equations("2 * 3 + 4 * 5 = 26")) == "mul,mul,add"
    assert signature(find_equations("x + 5 = 12. 12 - 5 = 7.")) == "sub"


def test_the_latest_result_is_meant() -> None:
    text = "2 + 4 = 6. 9 - 3 = 6. 6 * 5 = 30."
    assert flow(text) == "mul(5,sub(9,3))|add(2,4)"


def test_growth_is_capped() -> None:
    doubling = " ".join(f"{2**k} * {2**k} = {4**k}." for k in range(1, 60))
    squares, number = [], 2
    for _ in range(30):
        squares.append(f"{number} * {number} = {number + 1}.")
        number += 1
    for text in (doubling, " ".join(squares), "+".join(["7"] * 100) + " = 700"):
        assert 0 < len(flow(text)) <= MAX_LENGTH
        assert instructions(lambda text=text: flow(text)) < 1_000_000


def test_planted_templates_are_recovered() -> None:
    random = Random(0)
    labels = [k % len(TEMPLATES) for k in range(300)]
    texts = [told(label, random) for label in labels]
    assert len(set(texts)) > 250
    assert adjusted_rand_score(labels, [flow(text) for text in texts]) >= 0.9


@pytest.mark.slow
def test_clusters_of_wording_do_not_recover_them() -> None:
    """The figure beside it: like words for unlike sums look alike to an embedder (ARI .05)."""
    random = Random(0)
    labels = [k % len(TEMPLATES) for k in range(120)]
    vectors = embed([told(label, random) for label in labels])
    cut = fit_threshold([cosine_distances(vectors)])
    found = label_rows(AverageLinkage(cut), vectors)
    assert abs(adjusted_rand_score(labels, found) - 0.05) < 0.1
