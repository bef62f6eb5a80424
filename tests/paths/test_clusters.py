"""Clusters that are planted are found; silhouettes are scikit-learn's; degenerate cases defined."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples

from analysis.paths.cluster import AverageLinkage, cosine_distances, fit_threshold, silhouettes
from analysis.paths.mask import MASK, mask_answer

GROUPS = [0, 0, 1, 0, 1, 2, 2, 2]


def planted(seed, groups=GROUPS, noise=0.05, d=16):
    """Rows near one of the axes, as `groups` says."""
    rng = np.random.default_rng(seed)
    return np.eye(d)[groups] + noise * rng.normal(size=(len(groups), d))


def test_planted_groups_are_found_at_one_threshold_for_the_run():
    runs = [planted(seed) for seed in range(5)] + [planted(9, [0] * 6)]
    threshold = fit_threshold([cosine_distances(X) for X in runs])
    for X in runs[:5]:
        assert AverageLinkage(threshold).fit_predict(X).tolist() == GROUPS
    assert AverageLinkage(threshold).fit_predict(runs[5]).tolist() == [0] * 6, (
        "one path, and said so"
    )


@given(st.permutations(range(8)))
def test_row_order_changes_only_the_names(order):
    X = planted(0)
    labels = AverageLinkage(0.5).fit_predict(X)
    mixed = AverageLinkage(0.5).fit_predict(X[list(order)])
    same = labels[:, None] == labels[None]
    assert (mixed[:, None] == mixed[None]).tolist() == same[np.ix_(order, order)].tolist()
    assert mixed[0] == 0, "numbered by first appearance"


@settings(deadline=None)
@given(st.integers(0, 50), st.lists(st.integers(0, 3), min_size=4, max_size=12))
def test_silhouettes_equal_scikit_learn(seed, labels):
    codes = np.unique(labels, return_inverse=True)[1]
    matrix = cosine_distances(np.random.default_rng(seed).normal(size=(len(labels), 5)))
    ours = silhouettes(matrix, codes)
    if 2 <= len(set(labels)) < len(labels):
        assert ours == pytest.approx(silhouette_samples(matrix, codes, metric="precomputed"))
    else:
        assert (ours == 0).all()


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_identical_traces_are_one_path(n):
    X = np.tile([[0.3, 0.4]], (n, 1))
    threshold = fit_threshold([cosine_distances(X)])
    assert AverageLinkage(threshold).fit_predict(X).tolist() == [0] * n


def test_zero_vectors_are_alike_and_far_from_the_rest():
    matrix = cosine_distances(np.array([[0.0, 0], [0, 0], [1, 0]]))
    assert matrix[0, 1] == 0
    assert matrix[0, 2] == 1


@pytest.mark.parametrize(
    ("text", "answer", "masked"),
    [
        ("5 + 7 = 12. The answer is 12.", "12", f"5 + 7 = {MASK}. The answer is {MASK}."),
        ("112, 12.5 and 1,123: answer is 12", "12", f"112, 12.5 and 1,123: answer is {MASK}"),
        ("A boy. The answer is A", "A", f"A boy. The answer is {MASK}"),
        ("Nile is long. It is Nile", "Nile", f"{MASK} is long. It is {MASK}"),
        ("No answer", None, "No answer"),
        ("a+b. The answer is (a+b)", "(a+b)", f"a+b. The answer is {MASK}"),
    ],
)  # fmt: skip
def test_masking_hides_the_answer_wherever_it_stands(text, answer, masked):
    start = text.rfind(answer) if answer else None
    end = start + len(answer) if answer else None
    assert mask_answer(text, answer, start, end) == masked
