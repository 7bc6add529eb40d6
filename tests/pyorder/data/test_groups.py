"""Equal rows, against Python's own dicts and sets."""

import doctest
import itertools

import numpy as np
import pytest

from pyorder.data import _groups
from pyorder.data._groups import group_rows, rows_among

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def by_dict(rows):
    numbers = {}
    return [numbers.setdefault(tuple(row), len(numbers)) for row in rows.tolist()]


def test_docstring_examples():
    result = doctest.testmod(_groups)
    assert result.attempted == 2
    assert result.failed == 0


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("columns", [1, 2, 3, 7, 8, 9, 20])
def test_groups_count_by_first_appearance(dtype, columns):
    rng = np.random.default_rng(columns)
    for rows, values in [(0, 2), (1, 2), (5, 2), (700, 2), (700, 100)]:
        table = rng.integers(0, values, (rows, columns)).astype(dtype)
        table[:, -1] += np.array(np.iinfo(dtype).max - values, dtype)
        groups = group_rows(table)
        assert groups.dtype == np.int64
        assert groups.tolist() == by_dict(table)


def test_rows_without_columns_are_all_equal():
    assert group_rows(np.empty((3, 0), np.int16)).tolist() == [0, 0, 0]
    assert rows_among(np.empty((3, 0), np.int16), np.empty((2, 0), np.int64)).tolist() == [True] * 3
    assert rows_among(np.empty((3, 0), np.int16), np.empty((0, 0), np.int64)).tolist() == [False] * 3
    assert rows_among([[1], [2]], np.empty((0, 1), int)).tolist() == [False, False]
    assert rows_among(np.empty((0, 1), int), [[1], [2]]).tolist() == []


def test_any_layout_is_taken():
    table = np.random.default_rng(0).integers(0, 3, (50, 6))
    for view in (table.T, table[::-2, ::3], np.asfortranarray(table), table.astype(">i4")):
        assert group_rows(view).tolist() == by_dict(view)
        known = {tuple(row) for row in view[::2].tolist()}
        assert rows_among(view, view[::2]).tolist() == [tuple(row) in known for row in view.tolist()]


@pytest.mark.parametrize(("one", "other"), list(itertools.product(INTEGERS, INTEGERS)))
def test_rows_of_different_types_are_compared_as_numbers(one, other):
    limits = sorted(
        {limit for name in INTEGERS for limit in (np.iinfo(name).min, np.iinfo(name).max)} | {-1, 0, 1}
    )
    fitting = [[v for v in limits if np.iinfo(t).min <= v <= np.iinfo(t).max] for t in (one, other)]
    rows, known = (
        np.array(list(itertools.product(values, values)), dtype)
        for values, dtype in zip(fitting, (one, other), strict=True)
    )
    known = known[::2]
    expected = set(map(tuple, known.tolist()))
    assert rows_among(rows, known).tolist() == [tuple(row) in expected for row in rows.tolist()]


def test_long_and_wide_tables_are_converted_in_parts():
    rng = np.random.default_rng(0)
    for shape in [(70_000, 3), (3, 70_000)]:
        known = rng.integers(-9, 9, shape).astype(np.int8)
        rows = known.astype(np.int64)
        rows[1::2, -1] += 256  # the same bytes, cut to the smaller type
        assert rows_among(rows, known).tolist() == [i % 2 == 0 for i in range(len(rows))]


def test_what_is_no_table_of_integers_is_refused():
    with pytest.raises(ValueError, match=r"^rows: expected shape \(N, X\), got \(2,\)$"):
        group_rows([1, 2])
    with pytest.raises(TypeError, match=r"^rows: expected integers, got float64"):
        group_rows([[1.5]])
    with pytest.raises(ValueError, match="^rows: 2 columns, but known has 1$"):
        rows_among([[1, 2]], [[1]])
    with pytest.raises(ValueError, match=r"^known: expected shape \(N, X\)"):
        rows_among([[1, 2]], [1])


@pytest.mark.parametrize("call", [group_rows, lambda rows: rows_among(rows, rows.astype(np.int64))])
def test_other_threads_run_meanwhile(call, lets_others_run):
    rows = np.random.default_rng(0).integers(0, 100, (300_000, 20)).astype(np.int8)
    assert lets_others_run(lambda: call(rows))
