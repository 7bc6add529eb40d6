import itertools
import math

import numpy as np
import pytest

from pyorder import _core

raw = _core.permutation


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize("length", range(1, 9))
def test_lexicographic_fills_either_type(length, dtype):
    out = np.empty((math.factorial(length), length), dtype=dtype)
    raw.lexicographic(out, 0)
    np.testing.assert_array_equal(out, list(itertools.permutations(range(length))))


def test_lexicographic_writes_its_rows_and_no_more():
    memory = np.full((9, 6), 99, dtype=np.uint8)
    raw.lexicographic(memory[2:7], 117)  # from inside one run of the last five slots into the next
    np.testing.assert_array_equal(memory[2:7], list(itertools.permutations(range(6)))[117:122])
    assert (memory[:2] == 99).all()
    assert (memory[7:] == 99).all()


def test_lexicographic_refuses_memory_it_cannot_fill():
    with pytest.raises(TypeError):
        raw.lexicographic(np.empty((2, 3), dtype=np.int32), 0)
    with pytest.raises(TypeError):
        raw.lexicographic(np.empty((3, 2), dtype=np.int64).T, 0)
    with pytest.raises(ValueError, match="out: there are not 4 orders"):
        raw.lexicographic(np.empty((4, 3), dtype=np.int64), 3)
    readonly = np.zeros((2, 3), dtype=np.int64)
    readonly.flags.writeable = False
    with pytest.raises(ValueError, match="writeable"):
        raw.lexicographic(readonly, 0)
    with pytest.raises(OverflowError, match="length 21"):
        raw.lexicographic(np.empty((1, 21), dtype=np.int64), 0)


def test_factorial():
    assert [raw.factorial(n) for n in range(21)] == [math.factorial(n) for n in range(21)]
    with pytest.raises(OverflowError, match="length 21"):
        raw.factorial(21)
