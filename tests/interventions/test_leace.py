"""Erasure in closed form: what is exact on the training states, and what is left of others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from analysis.hidden_states.edits import Project
from analysis.interventions.leace import erase, leace, take_out
from analysis.probes.estimator import load_probe, output
from analysis.statistics import auroc
from cot.errors import InputError

Floats = NDArray[np.float64]


def states(n: int, width: int, seed: int = 0, gap: float = 3.0) -> tuple[Floats, NDArray[np.bool_]]:
    """Coordinates of unlike spreads that vary together; the label moves the fourth."""
    random = np.random.default_rng(seed)
    mixed = random.normal(size=(n, width)) @ np.random.default_rng(7).normal(size=(width, width))
    z = random.random(n) < 0.4
    mixed[:, 3] += gap * z
    return mixed * np.geomspace(0.1, 10, width) + 5.0, z


def covariance(X: Floats, z: NDArray[np.bool_]) -> Floats:
    return (X - X.mean(axis=0)).T @ (z - z.mean()) / len(z)


@pytest.mark.parametrize(("n", "width"), [(400, 12), (40, 100)])
def test_after_erasure_states_and_label_do_not_covary(n: int, width: int) -> None:
    X, z = states(n, width)
    (project,) = leace(X, [z])
    erased = erase(project, X)
    assert np.abs(covariance(X, z)).max() > 0.1
    assert np.abs(covariance(erased, z)).max() < 1e-12
    assert np.allclose(erased.mean(axis=0), X.mean(axis=0))


@pytest.mark.parametrize(("n", "width"), [(400, 12), (40, 100)])
def test_the_map_is_the_closed_form(n: int, width: int) -> None:
    X, z = states(n, width)
    (project,) = leace(X, [z])
    scale = X.std(axis=0)
    sigma = LedoitWolf(assume_centered=True).fit((X - X.mean(axis=0)) / scale).covariance_
    sigma = scale[:, None] * sigma * scale
    s = covariance(X, z)
    a = np.linalg.solve(sigma, s) / (s @ np.linalg.solve(sigma, s))
    assert np.allclose(project.right @ project.left, np.outer(a, s), atol=1e-9)
    assert np.linalg.matrix_rank(project.right @ project.left) == 1


def test_no_other_map_of_the_kind_changes_states_less() -> None:
    X, z = states(4000, 6)
    (project,) = leace(X, [z])
    s, off = covariance(X, z), X - X.mean(axis=0)

    def change(a: Floats) -> float:
        """Mean squared change where h loses s aᵀ(h - m), and with it the covariance, as aᵀs = 1."""
        return float(np.mean((off @ a) ** 2) * (s @ s))

    least = float(np.mean(((erase(project, X) - X) ** 2).sum(axis=1)))
    others = np.random.default_rng(1).normal(size=(200, 6))
    rivals = [s / (s @ s), *(a / (a @ s) for a in others)]
    assert least < min(change(a) for a in rivals)
    # Lagrange: aᵀΣa with aᵀs = 1 is 1 / (sᵀ Σ⁻¹ s) at least, and little more of the shrunk Σ
    bound = (s @ s) / (s @ np.linalg.solve(off.T @ off / len(X), s))
    assert bound <= least < 1.01 * bound


@pytest.mark.parametrize("kind", ["diff_means", "logistic"])
def test_a_probe_that_is_fitted_anew_finds_nothing(kind: str) -> None:
    X, z = states(300, 12)
    groups = np.arange(300) // 10
    erased = erase(leace(X, [z])[0], X)
    spread = []
    for each in (X, erased):
        probe = load_probe(kind)(seed=0)
        placed = (each - each.mean(axis=0)) / each.std(axis=0)
        probe.fit(placed, z, groups)
        spread.append(np.ptp(output(probe.layers_, placed)))
    assert spread[0] > 0.5
    assert spread[1] < 1e-4


def test_states_of_others_lose_their_label_where_states_are_many() -> None:
    aurocs = []
    for n in (60, 5000):
        (X, z), (others, truth) = states(n, 40, 1, gap=20.0), states(4000, 40, 2, gap=20.0)
        (project,) = leace(X, [z])
        read = np.linalg.solve(np.cov(others.T), covariance(others, truth))
        assert auroc(truth, others @ read) > 0.8
        aurocs.append(auroc(truth, erase(project, others) @ read))
    assert aurocs[1] < 0.55 < aurocs[0]


def test_several_labels_share_what_they_share() -> None:
    X, z = states(200, 12)
    other = np.random.default_rng(3).random(200) < 0.5
    both = leace(X, [z, other])
    for project, label in zip(both, (z, other), strict=True):
        (alone,) = leace(X, [label])
        assert np.allclose(project.right @ project.left, alone.right @ alone.left)


def test_a_coordinate_that_never_varies_stays() -> None:
    X, z = states(200, 12)
    X[:, 5] = 3.0
    (project,) = leace(X, [z])
    erased = erase(project, X)
    assert (erased[:, 5] == 3.0).all()
    assert np.abs(covariance(erased, z)).max() < 1e-12


def test_labels_that_are_all_equal_leave_nothing_to_erase() -> None:
    X, _ = states(50, 6)
    with pytest.raises(InputError, match="nothing to erase"):
        leace(X, [np.ones(50, bool)])


def test_a_hook_erases_what_is_erased_here() -> None:
    X, z = states(200, 12)
    (project,) = leace(X, [z])
    written = project(torch.from_numpy(X.astype(np.float32)), 0).numpy()
    assert np.allclose(written, erase(project, X), atol=1e-4)


def test_what_is_taken_out_is_as_in_the_centre() -> None:
    random = np.random.default_rng(0)
    axes = np.linalg.qr(random.normal(size=(8, 2)))[0].T
    X, centre = random.normal(size=(20, 8)), random.normal(size=8)
    left = erase(take_out(axes, centre), X)
    assert np.allclose(left @ axes.T, centre @ axes.T)
    assert np.allclose(left - left @ axes.T @ axes, X - X @ axes.T @ axes)


def test_without_a_centre_the_part_becomes_zero() -> None:
    X = np.random.default_rng(0).normal(size=(20, 8))
    axis = np.eye(8)[2]
    assert np.allclose(erase(Project(axis[:, None], axis[None]), X)[:, 2], 0.0)
