"""Paths are named by what sets them apart, and shown by their most central trace."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.clusters.names import LONGEST, name_clusters

ADD = ["First we add up the pens.", "We add up 5 pens and [number] pens.", "So we add up pens."]
MULTIPLY = [
    "First we multiply each box.",
    "We multiply every large box.",
    "Multiply the large box.",
]
LABELS = np.array([0, 0, 0, 1, 1, 1])


def test_terms_set_paths_apart():
    named = name_clusters(ADD + MULTIPLY, LABELS, "How many are there?", np.eye(6))
    assert named["cluster"].tolist() == [0, 1]
    assert named["size"].tolist() == [3, 3]
    add, multiply = (set(terms.replace(", ", " ").split()) for terms in named["terms"])
    assert {"add", "pens"} <= add
    assert {"multiply", "box"} <= multiply
    assert not add & multiply
    assert not (add | multiply) & {"we", "first", "number", "the"}, "no stop words, no masks"


def test_what_the_question_says_names_no_path():
    named = name_clusters(ADD, LABELS[:3], "Count pens, pens and pens.", np.eye(3))
    assert named["terms"][0].startswith("add")
    assert "pens" not in named["terms"][0]


def test_the_medoid_is_the_most_central_and_of_equals_the_first():
    angles = np.radians([0, 40, 20, 0, 0, 10])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    index = np.array([7, 3, 9, 5, 4, 1])
    named = name_clusters(ADD + MULTIPLY, LABELS, "", vectors, index)
    assert named["medoid"].tolist() == [9, 4]


def test_noise_has_no_name_and_no_rows_none():
    named = name_clusters(ADD, np.array([-1, 0, 0]), "", np.eye(3))
    assert named["cluster"].tolist() == [0]
    assert "first" not in named["terms"][0]
    assert named["medoid"].tolist() == [1]
    none = name_clusters([], np.zeros(0, dtype=int), "How many?", np.zeros((0, 3)))
    assert list(none.columns) == ["cluster", "size", "medoid", "terms"]
    assert not len(none)
    assert name_clusters(["", "."], np.array([0, 1]), "", np.eye(2))["terms"].tolist() == ["", ""]


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(), min_size=1, max_size=6))
def test_any_text_gives_terms_of_words_alone(texts):
    labels = np.arange(len(texts)) % 2
    for terms in name_clusters(texts, labels, texts[0], np.eye(len(texts)))["terms"]:
        words = terms.replace(", ", " ").split()
        assert all(len(word) <= LONGEST and word[0].isalnum() for word in words)


@pytest.mark.parametrize(
    "piece", ["<script>alert(1)</script>", "a'", "1,", "x" * 99 + " ", "[answer"]
)
def test_hostile_text_is_read_in_linear_time_and_gives_no_markup(piece):
    text = piece * (100_000 // len(piece))
    terms = name_clusters([text, "add up"], np.array([0, 1]), "", np.eye(2))["terms"]
    assert not set("<>()[]'\"") & set("".join(terms))
