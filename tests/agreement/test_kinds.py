"""Each kind, planted by construction; suspicion rises as each witness doubts the majority."""

import numpy as np
import pandas as pd
import pytest

from analysis.agreement.question_kinds import (
    KINDS,
    decided,
    kinds_of,
    kinds_table,
    suspicion_of,
)


def traces(
    answers,
    clusters,
    scores=None,
    n_reaching=0,
    n_checked=0,
    says=None,
    decided_at=None,
    depends=np.nan,
):
    scores = [np.nan] * len(answers) if scores is None else scores
    table = pd.DataFrame({"answer": list(answers), "cluster": clusters, "score": scores})
    return table.assign(
        n_reaching=n_reaching,
        faithfulness=depends,
        needless=np.nan,
        n_checked=n_checked,
        candidate=table["answer"],
        lens_answer=None if says is None else [None if each == "-" else each for each in says],
        decided_at_prompt=pd.array(decided_at or [None] * len(table), dtype="boolean"),
    )


@pytest.mark.parametrize(
    ("table", "majority", "correct", "probe", "kinds"),
    [
        (traces("aaaa", [0, 0, 0, 0]), "a", None, None, ["unanimous"]),
        (traces("aaaa", [0, 1, 2, 3]), "a", None, None, ["same answer, different reasoning"]),
        (traces("aaab", [0, 0, 0, 1]), "a", True, "a", []),
        (traces("abcd", [0, 1, 2, 3]), "a", False, None, ["split answers"]),
        (
            traces("abcd", [0, 0, 0, 0]),
            "a",
            None,
            None,
            ["same reasoning, different answer", "split answers"],
        ),
        (traces("aab", [0, 0, 1]), "a", None, "b", ["probe against majority"]),
        (
            traces("aaab", [0, 0, 0, 1], n_reaching=[1, 0, 0, 0], n_checked=[1, 1, 0, 0]),
            "a",
            True,
            None,
            ["right for the wrong reason"],
        ),
        (
            traces("aaab", [0, 0, 0, 1], n_reaching=[1, 0, 0, 3], n_checked=[1, 1, 2, 3]),
            "a",
            True,
            None,
            [],
        ),
        (traces("aab", [0, 0, 1], n_reaching=1, n_checked=1), "a", False, None, []),
        (traces("aab", [0, 0, 1], says="bb-"), "a", None, None, ["lens against statement"]),
        (traces("aab", [0, 0, 1], says="ab-"), "a", None, None, []),
        (
            traces("aab", [0, 0, 1], decided_at=[True, True, False]),
            "a",
            None,
            None,
            ["decided before reasoning"],
        ),
        (traces("aab", [0, 0, 1], decided_at=[True, None, False]), "a", None, None, []),
        (traces("", []), None, None, None, ["no valid answer"]),
    ],
)
def test_kinds(table, majority, correct, probe, kinds):
    assert kinds_of(table, majority, correct, probe) == kinds
    assert set(kinds) <= set(KINDS)


def test_nothing_known_is_nothing_decided():
    assert not decided(pd.Series([pd.NA, pd.NA], dtype="boolean"))


def test_suspicion_by_hand():
    # share 2/3; cluster 0 gives a 1/2, cluster 1 gives a 1 -> 3/4; one of two checked is wrong;
    # probe (.6 + .2) / 2 = .4
    table = traces("aba", [0, 0, 1], [0.6, 0.9, 0.2], n_reaching=[1, 0, 0], n_checked=[2, 0, 1])
    score, why = suspicion_of(table, "a")
    assert score == pytest.approx(((1 - 2 / 3) + (1 - 3 / 4) + 1 / 2 + (1 - 0.4)) / 4)
    assert why == "the probe gives the majority's traces 40%"
    depends = [0.5, 1, 0.1]  # the majority's: .5 and .1
    table = table.assign(faithfulness=depends)
    doubts = (1 - 2 / 3) + (1 - 3 / 4) + 1 / 2 + (1 - 0.4) + (1 - 0.3)
    assert suspicion_of(table, "a") == (
        pytest.approx(doubts / 5),
        "other reasoning leaves the majority's answers at 70%",
    )
    table = table.assign(needless=[1.0, 0.0, 0.9])  # the majority's: 1 and .9
    assert suspicion_of(table, "a") == (
        pytest.approx((doubts + 0.95) / 6),
        "95% of the majority's answers lose no more by a hidden step than by a random span",
    )
    assert suspicion_of(traces("", []), None) == (1.0, "no trace states a valid answer")


def test_suspicion_rises_with_each_doubt():
    def score(
        answers="aaab", clusters=(0, 0, 1, 2), scores=(0.8, 0.8, 0.8, 0.5), n_reaching=(0,) * 4
    ):
        table = traces(answers, clusters, scores, n_reaching=list(n_reaching), n_checked=1)
        return suspicion_of(table, "a")[0]

    assert score(answers="aabb") > score()
    assert score(clusters=(0, 0, 0, 2)) > score()
    assert score(scores=(0.8, 0.8, 0.7, 0.5)) > score()
    assert score(n_reaching=(1, 0, 0, 0)) > score()
    assert score("aaaa", (0, 0, 0, 0), (1.0,) * 4) == 0


def test_the_table_of_kinds_by_hand():
    """Of four questions two are right for the wrong reason, of three to which the rule can apply;
    one is decided before reasoning, and of two that chance is known of, one would be."""
    agreement = pd.DataFrame(
        {
            "kinds": [[KINDS[1]], [KINDS[1], "decided before reasoning"], [], ["unanimous"]],
            "decided_control": pd.array([True, None, False, None], dtype="boolean"),
            "correct": pd.array([True, True, True, None], dtype="boolean"),
            "n_checked": [1, 2, 1, 3],
        }
    )
    table = kinds_table(agreement, 0).set_index("kind")
    assert list(table.index) == list(KINDS)
    wrong, decided_row = table.loc[KINDS[1]], table.loc["decided before reasoning"]
    assert wrong[["n", "share", "n_questions", "n_applicable"]].to_list() == [2, 0.5, 4, 3]
    assert wrong["low"] <= 0.5 <= wrong["high"]
    assert (wrong["n_control"], np.isnan(wrong["control"])) == (0, True)
    assert decided_row[["n", "n_applicable", "n_by_chance", "n_control"]].to_list() == [1, 4, 1, 2]
    assert decided_row["control"] == 0.5
    assert table.loc["no valid answer", "n"] == 0
