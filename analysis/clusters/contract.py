"""What every clusterer of paths must do, as one check that you can call on your own.

def test_my_clusterer():
    check_clusterer(MyClusterer())
"""

from __future__ import annotations

import numpy as np

from analysis.clusters.clusterers import Clusterer, label_rows

__all__ = ["check_clusterer"]


def check_clusterer(clusterer: Clusterer, cases: int = 20, seed: int = 0) -> None:
    """Raise an AssertionError at the first promise that the clusterer breaks on random rows.

    - Every row has a label: 0, 1, ... by first appearance, or -1.
    - Asked again it says the same, and the order of the rows changes only the labels' names.
    - No rows have no labels, and rows that are all equal are one cluster.
    """
    draw = np.random.default_rng(seed)
    for case in range(cases):
        n = 12 + case
        X = np.eye(8)[draw.integers(0, 3, n)] + draw.choice([0, 0.1]) * draw.normal(size=(n, 8))
        labels = label_rows(clusterer, X)
        assert labels.shape == (n,), f"{labels.shape}: not a label a row"
        seen = list(dict.fromkeys(labels[labels >= 0].tolist()))
        assert seen == list(range(len(seen))), f"{seen}: not numbered by first appearance"
        assert labels.min() >= -1, "a label below -1"
        assert (label_rows(clusterer, X) == labels).all(), "other labels for the same rows"
        order = draw.permutation(n)
        mixed = label_rows(clusterer, X[order])
        same = labels[:, None] == labels[None]
        assert ((mixed[:, None] == mixed[None]) == same[np.ix_(order, order)]).all(), (
            "the order of the rows decides"
        )
        assert ((mixed < 0) == (labels[order] < 0)).all(), "the order of the rows makes noise"
    for n in (0, 1, 2, 12):
        assert (label_rows(clusterer, np.ones((n, 8))) == np.zeros(n)).all(), f"{n} equal rows"
