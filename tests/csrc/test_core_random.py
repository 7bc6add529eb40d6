"""The raw generator against NumPy's own Philox."""

import numpy as np
import pytest

from pyorder._core import tasks

LARGEST = 2**64 - 1
STREAMS = [(0, 0, 0), (42, 1, 7), (LARGEST, LARGEST, LARGEST), (1, 2**63, 100_000)]


def numpy_philox(seed, stream, row):
    return np.random.Philox(
        key=np.array([seed, stream], dtype=np.uint64), counter=np.array([0, row, 0, 0], dtype=np.uint64)
    )


@pytest.mark.parametrize(("seed", "stream", "row"), STREAMS)
def test_words_are_numpy_philox(seed, stream, row):
    words = tasks.philox(seed, stream, row, 1001)
    assert words.dtype == np.uint64
    assert np.array_equal(words, numpy_philox(seed, stream, row).random_raw(1001))


# The last bounds reject nearly half of all draws, or nearly none.
@pytest.mark.parametrize("bound", [2, 3, 10, 19, 1000, 2**31, 2**31 + 1, 2**32 - 1])
def test_bounded_numbers_are_numpy_lemire(bound):
    numbers = tasks.philox_below(5, 6, 7, 2000, bound)
    expected = np.random.Generator(numpy_philox(5, 6, 7)).integers(0, bound, 2000, dtype=np.uint32)
    assert np.array_equal(numbers, expected)


def test_bounded_numbers_are_uniform():
    counts = np.bincount(tasks.philox_below(1, 2, 3, 190_000, 19), minlength=19)
    chi_square = ((counts - 10_000) ** 2 / 10_000).sum()
    assert counts.size == 19
    assert chi_square < 42.3  # 18 degrees of freedom, p = 0.001


def test_a_bound_of_one_leaves_only_zero():
    assert not tasks.philox_below(0, 0, 0, 10, 1).any()


def test_a_bound_of_zero_is_refused():
    with pytest.raises(ValueError, match="bound must be at least 1, got 0"):
        tasks.philox_below(0, 0, 0, 1, 0)
