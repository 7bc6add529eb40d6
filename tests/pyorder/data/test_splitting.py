"""Where rows go: by distinct input as ever, and by row where inputs cannot tell rows apart."""

import hashlib
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyorder.data.dataset import Dataset
from pyorder.data.splitting import assign_rows, comparable


def test_docstring_examples(doctests):
    doctests("pyorder.data.splitting")


def numbered(inputs, **options):
    rows = len(inputs)
    return Dataset(inputs, np.arange(2 * rows).reshape(rows, 2), **options)


def by_distinct_input(inputs, fractions, seed):
    """The split by distinct input, one row after the other."""
    numbers = {}
    group = [numbers.setdefault(tuple(row), len(numbers)) for row in np.asarray(inputs).tolist()]
    shuffled = np.argsort(np.random.Philox(key=seed).random_raw(len(numbers)), kind="stable")
    parts, passed = {}, 0
    ends = len(group) * np.cumsum(fractions)[:2]
    for number in shuffled:
        size = group.count(number)
        parts[number] = int(np.searchsorted(ends, passed + size / 2))
        passed += size
    return [parts[number] for number in group]


def test_splits_are_what_they_have_always_been():
    """What a data set's rows went to before there were schemas, they go to still."""
    inputs = np.random.default_rng(1).integers(0, 100, (60, 4))[np.random.default_rng(2).integers(0, 60, 500)]
    for seed, fractions in ((0, (0.8, 0.1, 0.1)), (7, (0.5, 0.2, 0.3)), (2**64 - 1, (1 / 3, 1 / 3, 1 / 3))):
        splits = numbered(inputs).split(fractions, seed=seed)
        expected = by_distinct_input(inputs, fractions, seed)
        for number, part in enumerate(splits):
            assert (part.targets[:, 0] // 2).tolist() == [row for row in range(500) if expected[row] == number]
            assert "split_by" not in part.metadata
    chosen = numbered(inputs).split(seed=0).test.targets[:, 0] // 2
    assert hashlib.sha256(chosen.astype("<i8").tobytes()).hexdigest()[:16] == "d52f0b62238d7a63"


cells = st.tuples(st.integers(0, 2), st.booleans())  # a value, and whether it is missing


@given(st.lists(st.tuples(cells, cells), min_size=1))
def test_rows_compare_as_equal_where_values_and_gaps_are(rows):
    values, holes = np.array(rows).transpose(2, 0, 1)
    compared = comparable(values.astype(np.uint8), holes.astype(bool)).tolist()
    seen = [[None if hole else value for value, hole in row] for row in rows]
    assert [[one == other for other in compared] for one in compared] == [[a == b for b in seen] for a in seen]


def test_rows_without_inputs_are_split_one_by_one():
    splits = Dataset(None, np.arange(200).reshape(100, 2)).split(seed=3)
    assert [part.rows for part in splits] == [80, 10, 10]
    assert {part.metadata["split_by"] for part in splits} == {"row"}
    chosen = [part.targets[:, 0] for part in splits]
    assert sorted(np.concatenate(chosen)) == list(range(0, 200, 2))
    assert all((np.diff(part) > 0).all() for part in chosen)
    assert abs(chosen[0].mean() - 99) < 20


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((50, 1), int), "50 rows with 1 distinct inputs, the most frequent in 50 rows"),
        (np.arange(50)[:, None] % 2, "50 rows with 2 distinct inputs, the most frequent in 25 rows"),
        (np.maximum(np.arange(50), 9)[:, None], "50 rows with 41 distinct inputs, the most frequent in 10 rows"),
    ],
)
def test_too_few_distinct_inputs_are_split_by_row_and_it_is_said(inputs, message):
    data = numbered(inputs, metadata={"k": "v"})
    with pytest.warns(
        UserWarning, match=f"^split by row, not by distinct input: there are {message}, too few"
    ) as said:
        splits = data.split(seed=0)
    assert len(said) == 1
    assert said[0].filename == __file__
    assert [part.rows for part in splits] == [40, 5, 5]
    assert [part.metadata for part in splits] == [
        {"k": "v", "split_by": "row", "split": name} for name in ("train", "validation", "test")
    ]
    same = Dataset(None, data.targets).split(seed=0)
    assert [part.targets.tolist() for part in splits] == [part.targets.tolist() for part in same]


def test_a_split_of_a_split_tells_of_itself_only():
    with pytest.warns(UserWarning, match="split by row"):
        part = numbered([[0]] * 50 + [[v] for v in range(50)]).split(seed=0).train
    distinct = part.select(np.unique(part.inputs[:, 0], return_index=True)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = distinct.split(seed=0).train
    assert part.metadata["split_by"] == "row"
    assert "split_by" not in again.metadata


def test_as_many_equal_inputs_as_the_smallest_split_has_rows_stay_together():
    inputs = np.maximum(np.arange(50), 4)[:, None]  # five rows are equal, and a tenth is five
    part, by_row, reason = assign_rows(inputs, (0.8, 0.1, 0.1), 0)
    assert (by_row, reason) == (False, None)
    assert part.tolist() == by_distinct_input(inputs, (0.8, 0.1, 0.1), 0)


def test_a_missing_input_is_a_value_of_its_own():
    values = np.arange(60) // 2
    holes = (np.arange(60) == 1)[:, None]  # a 0 is stored there, as in the row before
    splits = numbered(np.ma.array(values[:, None], mask=holes)).split((0.4, 0.3, 0.3), seed=1)
    keys = []
    for part in splits:
        missing = np.zeros(part.inputs.shape, bool) if part.inputs_missing is None else part.inputs_missing
        keys.append({None if hole else value for value, hole in zip(part.inputs.flat, missing.flat, strict=True)})
    assert sum(map(len, keys)) == len(set.union(*keys)) == 31
    assert {part.schema.ends for part in splits} == {True}


def test_splits_keep_the_schema_and_gaps():
    targets = np.ma.masked_equal(np.arange(300).reshape(100, 3) % 5, 4)
    targets[:, 0] = 1
    targets.mask[:, 1] &= targets.mask[:, 2]
    data = Dataset(None, targets, widths=[1, 2], names=["a", "b"], missing="mask")
    for part in data.split(seed=0):
        assert part.schema == data.schema
        assert part.vocabulary.tolist() == data.vocabulary.tolist()
        part.encode(data.vocabulary, ends=data.schema.ends)
