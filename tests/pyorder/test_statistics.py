"""Standard errors, by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest, sem

from pyorder._statistics import mean_interval, share_interval, standard_error


def test_docstring_examples(doctests):
    doctests("pyorder._statistics")


def test_an_error_by_clusters_is_that_of_their_sums():
    """By a loop over clusters; it covers the mean in 95 of 100 draws, where that of rows does not."""
    rng = np.random.default_rng(0)
    values, clusters = rng.normal(size=(40, 2)), rng.integers(7, size=40) * 3 - 5
    wanted = []
    for column in (values - values.mean(0)).T:
        squares = [sum(value for value, of in zip(column, clusters, strict=True) if of == one) ** 2
                   for one in set(clusters.tolist())]  # fmt: skip
        wanted.append(np.sqrt(7 / 6 * sum(squares)) / 40)
    np.testing.assert_allclose(standard_error(values, clusters), wanted)
    np.testing.assert_allclose(standard_error(values, np.arange(40)), sem(values))
    assert np.isnan(standard_error(values, np.zeros(40, int))).all()
    clusters = np.repeat(np.arange(200), 5)
    drawn = rng.normal(size=(200, 1, 300)).repeat(5, 1).reshape(1000, 300) + rng.normal(size=(1000, 300))
    covered = [
        (np.abs(drawn.mean(0)) < 1.96 * error).mean()
        for error in (standard_error(drawn, clusters), standard_error(drawn))
    ]
    assert covered[0] == pytest.approx(0.95, abs=0.04)
    assert covered[1] < 0.8


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (7, 10), (950, 1000)])
def test_the_interval_of_a_share_is_wilsons(successes, trials):
    wanted = binomtest(successes, trials).proportion_ci(method="wilson")
    assert share_interval(np.arange(trials) < successes) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_the_interval_of_a_share_by_clusters_covers_it():
    """Clusters of twenty whose own shares differ: 95 of 100 draws, where that of single rows is too narrow."""
    rng = np.random.default_rng(1)
    clusters, covered = np.repeat(np.arange(60), 20), np.zeros((400, 2), bool)
    for draw in covered:
        right = rng.random(1200) < rng.beta(8.0, 2.0, 60).repeat(20)
        for place, of in enumerate((clusters, None)):
            low, high = share_interval(right, of)
            draw[place] = low < 0.8 < high
    assert covered.mean(0)[0] == pytest.approx(0.95, abs=0.03)
    assert covered.mean(0)[1] < 0.85


@pytest.mark.parametrize("successes", [0, 30, 40])
def test_where_all_or_none_are_right_clusters_count_once(successes):
    right = np.arange(40) < successes
    if successes != 30:
        assert share_interval(right, np.arange(40) // 5) == pytest.approx(share_interval(right[::5]))
    low, high = share_interval(right, np.zeros(40, int))
    assert low - 1e-9 < right.mean() < high + 1e-9
    assert high - low > 0.79


def test_clusters_that_are_mixed_alike_are_not_surer_than_single_rows():
    """Without any variance between them, at less chance than rows would have."""
    right = np.arange(100) % 2 == 0
    assert share_interval(right, np.arange(100) // 10) == share_interval(right)


def test_a_mean_of_one_cluster_has_no_bounds():
    assert mean_interval(np.array([1.0, 5.0]), np.array([3, 3])) == (-np.inf, np.inf)
    assert mean_interval(np.array([1.0])) == (-np.inf, np.inf)
    for unknown in (np.nan, np.inf):
        assert np.isnan(mean_interval(np.array([1.0, unknown]))).all()
