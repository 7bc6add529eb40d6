"""Datasets: what is kept and what is refused."""

import copy
import doctest
import pickle
import re
import tracemalloc

import numpy as np
import pytest
import torch

import pyorder.data.dataset
from pyorder.data.dataset import Dataset

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def small():
    return Dataset([[1, 2], [3, 4], [5, 6]], [[1, 3, 5], [3, 7, 0], [5, 11, 9]], metadata={"source": "here"})


def random_dataset(rows=500, distinct=60, **options):
    generator = np.random.default_rng(1)
    inputs = generator.integers(0, 100, (distinct, 4))[generator.integers(0, distinct, rows)]
    return Dataset(inputs, np.arange(rows * 2).reshape(rows, 2), **options)


def test_docstring_examples():
    result = doctest.testmod(pyorder.data.dataset, extraglobs={"np": np})
    assert result.attempted > 10
    assert result.failed == 0


@pytest.mark.parametrize("dtype", [*INTEGERS, ">i2", ">u8"])
def test_read_only_values_are_kept_as_given(dtype):
    inputs, targets = np.array([[0, 7], [5, 1]], dtype=dtype), np.array([[1, 2, 3], [4, 5, 6]], dtype=dtype)
    for array in (inputs, targets):
        array.flags.writeable = False
    data = Dataset(inputs, targets)
    assert (data.inputs.dtype, data.targets.dtype) == (inputs.dtype, targets.dtype)
    assert data.inputs.tolist() == inputs.tolist()
    assert data.targets.tolist() == targets.tolist()
    assert data.vocabulary.tolist() == list(range(8))
    assert data.vocabulary.dtype == np.int64
    assert [tokens.tolist() for tokens in data.encode()] == [inputs.tolist(), targets.tolist()]
    assert (len(data), data.rows, data.input_length, data.target_length) == (2, 2, 2, 3)


@pytest.mark.parametrize("dtype", [*INTEGERS, ">i2", ">u8"])
def test_copies_are_in_the_smallest_type(dtype):
    inputs, targets = np.array([[0, 7], [5, 1]], dtype=dtype), np.array([[1, 2, 127], [4, 5, 6]], dtype=dtype)
    data = Dataset(inputs, targets)
    assert data.inputs.dtype == data.targets.dtype == np.int8
    assert (data.inputs.tolist(), data.targets.tolist()) == (inputs.tolist(), targets.tolist())


def test_what_stands_behind_a_mask_widens_no_type():
    holes = np.array([[False, True], [True, False]])
    data = Dataset(np.ma.array([[3, 2**62], [-(2**62), 2]], mask=holes), [[3, 1], [2, 2]])
    assert data.inputs.dtype == np.int8
    assert data.inputs_missing.tolist() == holes.tolist()
    assert data.vocabulary.tolist() == [1, 2, 3]


def test_tensors_are_taken():
    data = Dataset(torch.tensor([[1, -2]], dtype=torch.int16), torch.tensor([[3, 4]]))
    assert data.inputs.dtype == np.int8
    assert data.inputs.tolist() == [[1, -2]]
    assert data.targets.tolist() == [[3, 4]]


def test_data_cannot_be_changed_from_inside_or_outside():
    inputs, targets = np.zeros((2, 2), dtype=np.int64), torch.zeros((2, 2), dtype=torch.int64)
    data = Dataset(inputs, targets, metadata=(metadata := {"k": "v"}))
    inputs[0, 0] = targets[0, 0] = 9
    metadata["k"] = data.metadata["k"] = "w"
    assert data.inputs[0, 0] == data.targets[0, 0] == 0
    assert data.metadata == {"k": "v"}
    for array in (data.inputs, data.targets, data.vocabulary):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_read_only_view_of_what_can_change_is_copied():
    inputs = np.zeros((2, 2), dtype=np.int64)
    view = inputs[:]
    view.flags.writeable = False
    data = Dataset(view, [[1, 2], [3, 4]])
    inputs[0, 0] = 9
    assert data.inputs[0, 0] == 0


def test_windows_of_a_series_are_copied():
    series = np.arange(10)
    windows = np.lib.stride_tricks.sliding_window_view(series, 3)
    data = Dataset(windows, windows)
    series[0] = 99
    assert data.inputs[0, 0] == 0


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data))])
def test_copies_are_equal_and_read_only(copied):
    data = small()
    assert data.vocabulary.size  # kept once it has been asked for
    again = copied(data)
    for name in ("inputs", "targets", "vocabulary"):
        assert np.array_equal(getattr(again, name), getattr(data, name))
        assert not getattr(again, name).flags.writeable
    assert again.metadata == data.metadata


def test_read_only_arrays_are_not_copied():
    inputs = np.zeros((2, 2), dtype=np.int64)
    inputs.flags.writeable = False
    assert Dataset(inputs, [[1, 2], [3, 4]]).inputs is inputs


@pytest.mark.parametrize("name", ["inputs", "targets"])
@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ([[1.0, 2.0]], TypeError, "expected integers, got float64"),
        ([[np.nan, 2]], TypeError, "expected integers, got float64"),
        ([[True, False]], TypeError, "expected integers, got bool"),
        ([["1", "2"]], TypeError, "expected integers, got <U1"),
        ([[None, 2]], TypeError, "expected integers, got object"),
        ([[2**70, 2]], ValueError, "expected integers of at most 64 bits"),
        (np.array([[1, 2]], dtype=object), TypeError, "expected integers, got object"),
        (torch.zeros((1, 2)), TypeError, "expected integers, got float32"),
        (torch.zeros((1, 2), dtype=torch.bfloat16), TypeError, "expected integers that NumPy .*BFloat16"),
        (torch.zeros((1, 2), requires_grad=True), TypeError, "expected integers that NumPy .*grad"),
        (np.array([[2**63, 2]], dtype=np.uint64), ValueError, "expected values within int64, got 9223"),
        ([[1, 2], [3]], ValueError, "expected rows of equal length, got a ragged sequence"),
        ([1, 2], ValueError, r"expected shape \(N, M\) .*, got \(2,\)"),
        ([[[1, 2]]], ValueError, r"expected shape \(N, M\) .*, got \(1, 1, 2\)"),
        (np.zeros((0, 2), dtype=int), ValueError, r"expected shape .* N >= 1 .*, got \(0, 2\)"),
    ],
)  # fmt: skip
def test_bad_arrays_are_refused(name, values, error, message):
    arrays = {"inputs": [[1, 2]], "targets": [[1, 2]]} | {name: values}
    with pytest.raises(error, match=f"^{name}: {message}"):
        Dataset(**arrays)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"targets": [[1]]},
            ValueError,
            r"targets: expected shape \(N, M\) with N >= 1 and M >= 2, got \(1, 1\)",
        ),
        ({"targets": np.zeros((1, 0), dtype=int)}, ValueError, r"targets: .* M >= 2, got \(1, 0\)"),
        ({"targets": [[1, 2], [3, 4]]}, ValueError, r"targets: expected as many rows as inputs \(1\), got 2"),
        ({"vocabulary": []}, TypeError, "vocabulary: expected integers"),
        ({"vocabulary": [0.5]}, TypeError, "vocabulary: expected integers"),
        ({"vocabulary": [[1]]}, ValueError, r"vocabulary: expected shape \(V,\)"),
        ({"vocabulary": [2**63]}, ValueError, "vocabulary: expected values within int64"),
        ({"metadata": {"seed": 1}}, TypeError, "metadata: expected text for text, got 1 for 'seed'"),
        ({"metadata": {"vocabulary": "x"}}, ValueError, "metadata: the key 'vocabulary' is reserved"),
    ],
)
def test_bad_options_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Dataset(**{"inputs": [[1]], "targets": [[1, 2]]} | arguments)


def test_the_vocabulary_is_declared_or_observed():
    assert Dataset([[5]], [[-3, 7]]).vocabulary.tolist() == [-3, 5, 7]
    assert Dataset([[5]], [[-3, 7]], vocabulary=[7, 5, -3, 0, 5]).vocabulary.tolist() == [-3, 0, 5, 7]
    assert Dataset([[5]], [[3, 7]], vocabulary=range(9)).vocabulary.tolist() == list(range(9))


@pytest.mark.parametrize("vocabulary", [range(-9, 10), [-9, -2, 0, 3, 4, 9], [-(2**63), -9, -2, 3, 9, 2**63 - 1]])
def test_tokens_are_places_in_the_vocabulary(vocabulary):
    data = Dataset([[3, -9], [-2, 9]], [[9, 3], [-9, -9]], vocabulary=vocabulary)
    inputs, targets = data.encode()
    assert (inputs.dtype, targets.dtype) == (np.int8, np.int8)
    assert data.vocabulary[inputs].tolist() == data.inputs.tolist()
    assert data.vocabulary[targets].tolist() == data.targets.tolist()


@pytest.mark.parametrize("vocabulary", [range(6), [0, 1, 2, 3, 5]])
@pytest.mark.parametrize("value", [-1, 4, 6, 2**40, -(2**63), 2**63 - 1])
def test_a_value_that_training_lacks_is_named(vocabulary, value):
    if value in vocabulary:
        return
    message = rf"hold the value {value} \(row 1, column 0\), which is not in the training vocabulary"
    with pytest.raises(ValueError, match=f"^validation: inputs {message}"):
        Dataset([[1], [value]], [[1, 2], [2, 3]]).encode(vocabulary, name="validation")
    with pytest.raises(ValueError, match=f"^dataset: targets {message}"):
        Dataset([[1], [2]], [[1, 2], [value, 3]], vocabulary=vocabulary).encode()


def test_select_takes_rows_in_sequence_and_keeps_the_rest():
    data = Dataset([[1], [2], [3]], [[1, 1], [2, 2], [3, 3]], vocabulary=range(5), metadata={"k": "v"})
    part = data.select(np.array([2, 0, 2], dtype=np.uint8))
    assert part.inputs.tolist() == [[3], [1], [3]]
    assert part.targets.tolist() == [[3, 3], [1, 1], [3, 3]]
    assert part.vocabulary.tolist() == [0, 1, 2, 3, 4]
    assert part.metadata == {"k": "v"}


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([0, 3], ValueError, "rows: expected rows from 0 to 2, got 0 to 3"),
        ([-1], ValueError, "rows: expected rows from 0 to 2, got -1 to -1"),
        (np.zeros(0, dtype=int), ValueError, "rows: expected shape"),
        ([[1]], ValueError, "rows: expected shape"),
        ([True, False, True], TypeError, "rows: expected integers, got bool"),
    ],
)
def test_bad_rows_are_refused(rows, error, message):
    with pytest.raises(error, match=message):
        small().select(rows)


def test_reorder_puts_step_order_j_into_slot_j():
    data = small()
    twice = data.reorder(np.array([2, 0, 1], dtype=np.uint8)).reorder(torch.tensor([1, 2, 0]))
    assert twice.targets.tolist() == data.targets[:, [2, 0, 1]][:, [1, 2, 0]].tolist() == data.targets.tolist()
    assert twice.inputs is data.inputs
    assert twice.metadata == {"source": "here", "order": "[2, 0, 1] then [1, 2, 0]"}


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [0, 1, 3], [[0, 1, 2]], [-1, 0, 1]])
def test_orders_that_are_no_permutation_are_refused(order):
    with pytest.raises(ValueError, match=r"^order: "):
        small().reorder(order)


def as_sets(splits):
    return [{tuple(row) for row in part.inputs.tolist()} for part in splits]


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.2, 0.3, 0.5), (1 / 3, 1 / 3, 1 / 3)])
def test_split_is_by_distinct_input_and_near_the_fractions(fractions):
    data = random_dataset(rows=3000, distinct=600)
    splits = data.split(fractions, seed=3)
    train, validation, test = as_sets(splits)
    assert not (train & validation) | (train & test) | (validation & test)
    assert [len(part) / 3000 for part in splits] == pytest.approx(fractions, abs=0.01)
    # Every row is in one split, and rows keep their sequence: the targets count them.
    numbers = [part.targets[:, 0] for part in splits]
    assert np.array_equal(np.sort(np.concatenate(numbers)), data.targets[:, 0])
    assert all((np.diff(part) > 0).all() for part in numbers)
    assert [part.metadata["split"] for part in splits] == ["train", "validation", "test"]


def test_split_depends_on_the_seed_and_not_on_the_dtype():
    data = random_dataset()
    same = Dataset(data.inputs.astype(np.uint8), data.targets)
    assert as_sets(data.split(seed=1)) == as_sets(same.split(seed=1))
    assert as_sets(data.split(seed=1)) != as_sets(data.split(seed=2))


def test_split_takes_little_memory_and_the_rows_it_always_took():
    rows = 50_000
    inputs = np.random.default_rng(0).integers(0, 4, (rows, 8)).astype(np.int8)
    data = Dataset(inputs, np.zeros((rows, 2), np.int8), vocabulary=range(4))
    tracemalloc.start()
    splits = data.split((0.7, 0.2, 0.1), seed=7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 120 * rows  # NumPy's arrays; a dict of rows alone took 200 bytes a row
    numbers = {}
    group = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in inputs])
    shuffled = np.argsort(np.random.Philox(key=7).random_raw(len(numbers)), kind="stable")
    sizes = np.bincount(group)[shuffled]
    part = np.empty(len(numbers), int)
    part[shuffled] = np.searchsorted(rows * np.cumsum([0.7, 0.2, 0.1])[:2], np.cumsum(sizes) - sizes / 2)
    for number, split in enumerate(splits):
        np.testing.assert_array_equal(split.inputs, inputs[part[group] == number])


def test_split_shuffles_the_inputs():
    first = np.arange(1000)
    data = Dataset(first[:, None], np.zeros((1000, 2), dtype=int))
    chosen = data.split((0.5, 0.25, 0.25), seed=0).train.inputs[:, 0]
    assert len(chosen) == 500
    assert abs(chosen.mean() - 499.5) < 40  # three standard errors


def test_every_split_has_the_vocabulary_of_the_whole():
    declared = random_dataset(vocabulary=range(2000)).split(seed=0)
    assert all(part.vocabulary.size == 2000 for part in declared)
    rare = Dataset(np.arange(100)[:, None], np.arange(200).reshape(100, 2))  # every target value once
    splits = rare.split(seed=0)
    for name, part in zip(splits._fields, splits, strict=True):
        part.encode(splits.train.vocabulary, name=name)
        assert part.vocabulary.tolist() == list(range(200))


def test_a_split_that_would_be_empty_is_refused():
    data = Dataset([[v] for v in range(4)], np.zeros((4, 2), dtype=int))
    with pytest.raises(
        ValueError, match=r"the test split would be empty; the data has 4 rows, and 10 are enough for \(0.8, 0.1"
    ):
        data.split(seed=0)
    with pytest.raises(ValueError, match="split would be empty; the data has 1 row, and 10 are enough for"):
        data.select([0]).split(seed=0)


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.5, 0.3, 0.2), (0.04, 0.06, 0.9), (0.33, 0.37, 0.3)])
def test_as_many_rows_as_are_said_to_be_enough_are(fractions):
    with pytest.raises(ValueError, match="split would be empty") as raised:
        Dataset(None, [[0, 1]]).split(fractions, seed=0)
    enough = int(re.search(r"and (\d+) are enough", str(raised.value))[1])
    for rows in range(enough, enough + 40):
        parts = Dataset(None, np.zeros((rows, 2), int)).split(fractions, seed=rows)
        assert min(part.rows for part in parts) > 0


@pytest.mark.parametrize(
    "fractions", [(0.5, 0.5), (0.5, 0.6, -0.1), (1.0, 0.0, 0.0), (0.8, 0.1, 0.2), (np.nan, 1, 0)]
)
def test_bad_fractions_are_refused(fractions):
    with pytest.raises(ValueError, match=r"^fractions: expected three positive numbers with the sum 1"):
        random_dataset().split(fractions, seed=0)


def test_bad_seeds_are_refused():
    with pytest.raises(ValueError, match=r"^seed: "):
        random_dataset().split(seed=-1)
    with pytest.raises(TypeError, match=r"^seed: "):
        random_dataset().split(seed=1.5)
