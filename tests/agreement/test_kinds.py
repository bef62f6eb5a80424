"""Each kind, planted by construction; suspicion rises as each witness doubts the majority."""

import numpy as np
import pandas as pd
import pytest

from analysis.agreement.kinds import KINDS, kinds_of, probe_choice
from analysis.agreement.suspicion import suspicion_of


def traces(answers, paths, scores=None):
    scores = [np.nan] * len(answers) if scores is None else scores
    return pd.DataFrame({"answer": list(answers), "path": paths, "score": scores})


@pytest.mark.parametrize(
    ("table", "majority", "kinds"),
    [
        (traces("aaaa", [0, 0, 0, 0]), "a", ["unanimous"]),
        (traces("aaaa", [0, 1, 2, 3]), "a", ["same answer, different reasoning"]),
        (traces("aaab", [0, 0, 0, 1]), "a", []),
        (traces("abcd", [0, 1, 2, 3]), "a", ["split answers"]),
        (
            traces("abcd", [0, 0, 0, 0]),
            "a",
            ["split answers", "same reasoning, different answer"],
        ),
        (traces("aab", [0, 0, 1], [0.1, 0.1, 0.9]), "a", ["probe against majority"]),
        (traces("aab", [0, 0, 1], [0.4, 0.4, 0.5]), "a", []),
        (traces("", []), None, ["no valid answer"]),
    ],
)
def test_kinds(table, majority, kinds):
    assert kinds_of(table, majority) == kinds
    assert set(kinds) <= set(KINDS)


def test_probe_choice_ignores_traces_without_a_score():
    assert probe_choice(traces("aab", [0, 0, 0], [np.nan, 0.2, 0.3])) == "b"
    assert probe_choice(traces("aab", [0, 0, 0])) is None


def test_suspicion_by_hand():
    # share 2/3; paths: path 0 gives a 1/2, path 1 gives a 1 -> 3/4; probe (.6 + .2) / 2 = .4
    score, why = suspicion_of(traces("aba", [0, 0, 1], [0.6, 0.9, 0.2]), "a")
    assert score == pytest.approx(((1 - 2 / 3) + (1 - 3 / 4) + (1 - 0.4)) / 3)
    assert why == "the probe gives the majority's traces 40%"
    assert suspicion_of(traces("", []), None) == (1.0, "no trace states a valid answer")


def test_suspicion_rises_with_each_doubt():
    base = suspicion_of(traces("aaab", [0, 0, 1, 2], [0.8, 0.8, 0.8, 0.5]), "a")[0]
    assert suspicion_of(traces("aabb", [0, 0, 1, 2], [0.8, 0.8, 0.8, 0.5]), "a")[0] > base
    assert suspicion_of(traces("aaab", [0, 0, 0, 2], [0.8, 0.8, 0.8, 0.5]), "a")[0] > base
    assert suspicion_of(traces("aaab", [0, 0, 1, 2], [0.8, 0.8, 0.7, 0.5]), "a")[0] > base
    assert suspicion_of(traces("aaaa", [0, 0, 0, 0], [1.0] * 4), "a")[0] == 0
