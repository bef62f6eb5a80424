"""Clusters that are planted are found; silhouettes are scikit-learn's; degenerate cases defined."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples

from analysis.clusters.clusterers import (
    AverageLinkage,
    HdbscanClusterer,
    KMeansClusterer,
    cosine_distances,
    fit_threshold,
    label_rows,
    silhouettes,
)
from analysis.clusters.contract import check_clusterer
from analysis.clusters.embedding import MASK, mask_answer, mask_numbers
from analysis.clusters.maps import map_traces
from cot.errors import InputError
from cot.registry import build

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


@pytest.mark.slow
@given(st.permutations(range(8)))
def test_row_order_changes_only_the_names(order):
    X = planted(0)
    labels = AverageLinkage(0.5).fit_predict(X)
    mixed = AverageLinkage(0.5).fit_predict(X[list(order)])
    same = labels[:, None] == labels[None]
    assert (mixed[:, None] == mixed[None]).tolist() == same[np.ix_(order, order)].tolist()
    assert mixed[0] == 0, "numbered by first appearance"


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        "hdbscan",
        "hdbscan:min_cluster_size=2,allow_single_cluster=true",
        "kmeans",
        "kmeans:k=3",
        "sklearn.cluster:AgglomerativeClustering:n_clusters=3",
        "sklearn.cluster:DBSCAN:eps=0.4,min_samples=2",
    ],
)
def test_clusterers_by_name_keep_the_contract(spec):
    check_clusterer(build("clusterers", spec)(), cases=6)


def test_average_linkage_keeps_the_contract():
    check_clusterer(AverageLinkage(0.5))


@pytest.mark.parametrize("clusterer", [HdbscanClusterer(2), KMeansClusterer(), KMeansClusterer(3)])
def test_others_find_planted_groups_too(clusterer):
    assert clusterer.fit_predict(planted(0)).tolist() == GROUPS
    assert label_rows(clusterer, planted(0) * 9).tolist() == GROUPS, "of unit rows"


def test_two_traces_are_defined_for_all():
    two = np.eye(3)[:2]
    assert AverageLinkage(0.5).fit_predict(two).tolist() == [0, 1]
    assert HdbscanClusterer().fit_predict(two).tolist() == [-1, -1], "too few to be dense"
    assert KMeansClusterer().fit_predict(two).tolist() == [0, 0], "no silhouette above 0"
    assert KMeansClusterer(k=5).fit_predict(two).tolist() == [0, 1]
    own = build("clusterers", "sklearn.cluster:AgglomerativeClustering:n_clusters=3")()
    with pytest.raises(InputError, match="AgglomerativeClustering on 2 traces"):
        label_rows(own, two)


def test_equidistant_rows_are_cut_alike_in_any_order():
    X = np.eye(6) + 0.1
    threshold = fit_threshold([cosine_distances(X), cosine_distances(planted(0))])
    rng = np.random.default_rng(0)
    for _ in range(20):
        order = rng.permutation(6)
        labels = AverageLinkage(threshold).fit_predict(X)[order]
        mixed = AverageLinkage(threshold).fit_predict(X[order])
        assert (mixed[:, None] == mixed).tolist() == (labels[:, None] == labels).tolist()


@pytest.mark.slow
@settings(deadline=None, max_examples=10)
@given(st.integers(0, 50))
def test_the_fitted_threshold_has_the_largest_silhouette(seed):
    questions = [planted(seed, noise=0.5), planted(seed + 1, [0, 1, 0, 1, 2], noise=0.5)]
    matrices = [cosine_distances(X) for X in questions]

    def score(threshold):
        each = [
            silhouettes(matrix, AverageLinkage(threshold).fit_predict(X)).sum()
            for matrix, X in zip(matrices, questions, strict=True)
        ]
        return sum(each)

    best = score(fit_threshold(matrices))
    assert all(score(threshold) <= best + 1e-9 for threshold in np.linspace(0.01, 1.9, 20))


def test_noise_has_no_silhouette_and_is_no_cluster():
    matrix = cosine_distances(planted(0))
    labels = np.array(GROUPS)
    labels[7] = -1
    values = silhouettes(matrix, labels)
    assert values[7] == 0
    assert values[:7] == pytest.approx(silhouettes(matrix[:7, :7], labels[:7]))
    many = silhouettes(matrix, np.stack([labels, GROUPS, np.full(8, -1), np.zeros(8, dtype=int)]))
    assert many[1] == pytest.approx(silhouettes(matrix, np.array(GROUPS)))
    assert not many[2:].any()


@pytest.mark.slow
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
        ("1200.0, $1,200, 12000: it is 1,200", "1,200", f"{MASK}, ${MASK}, 12000: it is {MASK}"),
        ("5 - 10 = -5", "-5", f"5 - 10 = {MASK}"),
        ("a+b. The answer is (a+b)", "(a+b)", f"a+b. The answer is {MASK}"),
    ],
)  # fmt: skip
def test_masking_hides_the_answer_wherever_it_stands(text, answer, masked):
    start = text.rfind(answer) if answer else None
    end = start + len(answer) if answer else None
    assert mask_answer(text, answer, start, end) == masked


def test_all_numbers_can_be_masked():
    assert mask_numbers("3rd: 1,200.50 + 5% = x2") == (
        "[number]rd: [number] + [number]% = x[number]"
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_maps_are_defined_for_few_and_equal_rows(method):
    for n in range(8):
        places = map_traces(planted(0)[:n], method)
        assert places.shape == (n, 2)
        assert np.isfinite(places).all()
        assert not map_traces(np.ones((n, 3)), method).any()
    assert map_traces(planted(0), method).tolist() == map_traces(planted(0), method).tolist()
    assert map_traces(planted(0)[:, :1], method).shape == (8, 2)


@given(st.permutations(range(8)))
def test_the_pca_map_keeps_distances_of_the_plane_in_any_order(order):
    plane = planted(0)[:, :2]
    places = map_traces(plane)
    for rows in (plane, places):
        assert rows.shape == (8, 2)
    apart = [np.linalg.norm(rows[:, None] - rows, axis=2) for rows in (plane, places)]
    assert apart[0] == pytest.approx(apart[1], abs=1e-6)
    assert map_traces(plane[list(order)]) == pytest.approx(places[list(order)], abs=1e-6)


def test_maps_that_are_not_there(monkeypatch):
    with pytest.raises(InputError, match="pca, tsne, umap"):
        map_traces(planted(0), "isomap")
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match=r"consilience\[maps\]"):
        map_traces(planted(0), "umap")
