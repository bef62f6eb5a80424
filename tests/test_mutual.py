"""AMI against scikit-learn, its null against chance, and partitions that are planted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score

from analysis.statistics.mutual_information import ami, compare

LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=3, max_size=20)


@pytest.mark.slow
@given(LABELS)
def test_equals_scikit_learn(rows):
    a, b = zip(*rows, strict=True)
    value = ami(a, b)
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(adjusted_mutual_info_score(a, b), abs=1e-9)


@pytest.mark.slow
@given(LABELS, st.permutations(range(4)), st.randoms())
def test_relabelling_and_row_order_change_nothing(rows, names, random):
    a, b = zip(*rows, strict=True)
    mixed = list(rows)
    random.shuffle(mixed)
    c, d = zip(*mixed, strict=True)
    assert ami([names[x] for x in c], d) == pytest.approx(ami(a, b), abs=1e-9, nan_ok=True)


def test_equal_partitions_agree_wholly_and_the_null_does_not():
    labels = [np.array([0, 0, 1, 1, 2, 2, 0, 1])] * 10
    result = compare([(x, x + 5) for x in labels])
    assert np.allclose(result.values, 1)
    assert abs(result.null.mean()) < 0.05
    assert result.p == pytest.approx(1 / 501)


@pytest.mark.slow
def test_independent_partitions_are_nothing():
    rng = np.random.default_rng(0)
    p_values = []
    for seed in range(100):
        pairs = [(rng.integers(0, 3, 12), rng.integers(0, 3, 12)) for _ in range(6)]
        result = compare(pairs, permutations=100, seed=seed)
        assert abs(np.nanmean(result.values)) < 0.5
        p_values.append(result.p)
    assert 0.35 < np.mean(p_values) < 0.65
    assert np.mean(np.array(p_values) <= 0.1) < 0.2


def test_constant_partitions_are_left_out():
    result = compare([([0, 0, 0], [0, 1, 1]), ([0, 1, 1], [1, 0, 0])])
    assert np.isnan(result.values[0])
    assert result.values[1] == pytest.approx(1)
    nothing = compare([([0, 0], [0, 1]), ([], [])])
    assert nothing.p is None
    assert np.isnan(nothing.null).all()


def test_all_singletons_on_both_sides_are_equal_partitions():
    assert ami([0, 1, 2], [5, 3, 4]) == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_other_measures_are_scikit_learns(seed):
    from sklearn.metrics import adjusted_rand_score, mutual_info_score, v_measure_score

    generator = np.random.default_rng(seed)
    a, b = generator.integers(0, 4, 30), generator.integers(0, 3, 30)
    information = mutual_info_score(a, b)
    entropy_a, entropy_b = mutual_info_score(a, a), mutual_info_score(b, b)
    for measure, expected in (
        ("v_measure", v_measure_score(a, b)),
        ("ari", adjusted_rand_score(a, b)),
        ("vi", entropy_a + entropy_b - 2 * information),
        ("a_given_b", entropy_a - information),
        ("b_given_a", entropy_b - information),
    ):
        found = compare([(a, b)], measure=measure, permutations=20)
        assert found.values[0] == pytest.approx(expected)


@pytest.mark.parametrize("measure", ["ami", "ari", "vi", "v_measure", "a_given_b", "b_given_a"])
def test_the_null_explains_shuffled_labels_and_not_equal_ones(measure):
    generator = np.random.default_rng(5)
    labels = [generator.integers(0, 3, 12) for _ in range(8)]
    equal = compare([(each, each) for each in labels], measure=measure, permutations=99)
    assert equal.p == 0.01
    shuffled = [(each, generator.permutation(each)) for each in labels]
    assert compare(shuffled, measure=measure, permutations=99).p > 0.05


@pytest.mark.slow
def test_p_is_not_below_chance_over_many_seeds():
    values = []
    for seed in range(200):
        generator = np.random.default_rng(seed)
        labels = [generator.integers(0, 3, 10) for _ in range(4)]
        pairs = [(each, generator.permutation(each)) for each in labels]
        found = compare(pairs, permutations=49, seed=seed)
        values.append((float(np.nanmean(found.values)), found.p))
    means, p = map(np.array, zip(*values, strict=True))
    assert abs(means.mean()) < 0.03
    assert (p <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
