"""What the stages of NumPy take, in bytes a row beside the data; `benchmarks/memory.py` measures all of them."""

import tracemalloc

import numpy as np
import pytest
import torch

from pyorder import Dataset
from pyorder.data.tokens import Tokens
from pyorder.training.orders import RowQueue, rows_and_orders

ROWS = 200_000


def values(kind, seed=0):
    return np.random.default_rng(seed).integers(0, 100, (ROWS, 20)).astype(kind)


def peak(run):
    """Bytes a row that a function takes at most."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / ROWS
    finally:
        tracemalloc.stop()


def test_a_dataset_of_wide_arrays_takes_a_byte_a_value():
    inputs, targets = values(np.int64), values(np.int64, 1)
    assert peak(lambda: Dataset(inputs, targets)) < 60


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", [np.int64, ">i4", np.int8])
def test_npz_files_are_read_into_the_smallest_type(tmp_path, write, order, kind):
    inputs, targets = values(kind).astype(kind, order=order), values(kind, 1).astype(kind, order=order)
    inputs[-1, 0] = targets[0, -1] = 100
    write(tmp_path / "data.npz", inputs=inputs, targets=targets)
    read = []
    assert peak(lambda: read.append(Dataset.load_npz(tmp_path / "data.npz"))) < 100
    for array, given in ((read[0].inputs, inputs), (read[0].targets, targets)):
        assert array.dtype == np.int8
        assert array.flags.c_contiguous
        assert not array.flags.writeable
        assert np.array_equal(array, given)


def test_blocks_of_npz_files_that_need_different_types_fit_together(tmp_path):
    targets = values(np.int64)
    targets[3, 4], targets[-1, -1] = -1, 255  # no block needs more than 8 bits, all of them do
    np.savez(tmp_path / "data.npz", targets=targets)
    data = Dataset.load_npz(tmp_path / "data.npz")
    assert data.targets.dtype == np.int16
    assert np.array_equal(data.targets, targets)


def test_damaged_npz_files_are_refused_in_blocks_too(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, targets=values(np.int64))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="CRC"):
        Dataset.load_npz(path)


def test_the_vocabulary_of_wide_read_only_arrays_takes_no_copy_of_them():
    wide = values(np.int64)
    wide.flags.writeable = False
    data = Dataset(wide, wide)
    assert peak(lambda: data.vocabulary) < 60


def test_vocabularies_may_be_larger_than_what_is_worked_on_at_a_time():
    many = np.random.default_rng(0).permutation(1_000_000).reshape(-1, 20)
    assert np.array_equal(Dataset(None, many).vocabulary, np.arange(1_000_000))


def test_splits_take_little_beside_themselves():
    data = Dataset(values(np.int8), values(np.int8, 1), vocabulary=range(100))
    assert peak(lambda: data.split(seed=0)) < 100


def test_setting_rows_apart_takes_little():
    data = Dataset(values(np.int8), values(np.int8, 1))
    tokens = Tokens.of(data, "train", torch.device("cpu"))
    assert peak(lambda: tokens.set_apart(1000, np.random.default_rng(0))) < 45


def test_rows_queue_up_once():
    queue = RowQueue(ROWS, np.random.default_rng(0))
    assert peak(lambda: queue.take(10)) < 10
    drawn = []
    tracemalloc.start()
    drawn.append(rows_and_orders(0, ROWS, 10, 4))
    assert tracemalloc.get_traced_memory()[0] < ROWS  # nothing of a pass over all rows is kept
    tracemalloc.stop()


@pytest.mark.parametrize("takes", [[3, 4, 0, 7], [20], [7, 7], [1] * 9])
def test_the_queue_draws_no_pass_before_it_is_needed(takes):
    queue, rng = RowQueue(7, np.random.default_rng(1)), np.random.default_rng(1)
    passes = [rng.permutation(7) for _ in range(-(-sum(takes) // 7))]
    taken = np.concatenate([queue.take(count) for count in takes])
    assert taken.tolist() == np.concatenate(passes)[: sum(takes)].tolist()
    assert queue.rng.bit_generator.state == rng.bit_generator.state
