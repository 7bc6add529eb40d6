"""Standard errors, by hand."""

import numpy as np
import pytest
from scipy.stats import sem

from pyorder._statistics import standard_error


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
