"""Tables without inputs, with few distinct ones, with names: what the commands read and say."""

import numpy as np
import pytest

from pyorder import Dataset
from pyorder.cli._inputs import describe_data, load_data, read_dataset, shared_inputs, warn_of_shared_inputs

TABLE = np.random.default_rng(0).integers(0, 3, (100, 4))


def load(path, **files):
    files = {"validation": None, "test": None} | files
    return load_data(None, path, length=None, parameters=None, rows={}, files=files, seed=0)


@pytest.fixture
def table(tmp_path):
    def write(**arrays):
        np.savez(path := tmp_path / f"{len(list(tmp_path.iterdir()))}.npz", **arrays)
        return path

    return write


def test_targets_alone_are_read_and_split_by_row(table, capsys):
    train, validation, test = load(table(targets=TABLE, names=["a", "b", "c", "d"]))
    assert [part.rows for part in (train, validation, test)] == [80, 10, 10]
    warn_of_shared_inputs(train, validation=validation, test=test)
    assert capsys.readouterr().err == ""
    about = describe_data(None, train=train, validation=validation, test=test)
    assert (about["input_length"], about["names"], about["split_by"]) == (0, ("a", "b", "c", "d"), "row")


def test_a_split_by_row_is_said_in_one_line_and_its_inputs_are_not_called_shared(table, capsys):
    train, validation, test = load(table(inputs=TABLE[:, :1], targets=TABLE[:, 1:]))
    warn_of_shared_inputs(train, validation=validation, test=test)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        "pyorder: warning: --data: split by row, not by distinct input: there are 100 rows with 3"
    )


def test_data_of_integers_alone_is_described_as_ever(table):
    inputs = np.arange(100)[:, None]
    parts = dict(zip(("train", "validation", "test"), load(table(inputs=inputs, targets=TABLE)), strict=True))
    assert set(describe_data(None, **parts)) == {"task", "parameters", "input_length", "target_length", "rows"}


def test_widths_are_described(table):
    data = read_dataset(table(targets=TABLE, widths=[3, 1]), "--data")
    assert describe_data(None, train=data)["widths"] == (3, 1)


def test_own_files_without_inputs_share_none(table, capsys):
    path = table(targets=TABLE)
    train, validation, test = load(path, validation=path, test=path)
    warn_of_shared_inputs(train, validation=validation, test=test)
    assert capsys.readouterr().err == ""


def test_a_missing_input_is_shared_with_missing_ones_only():
    targets = np.zeros((2, 2), int)
    train = Dataset(np.ma.array([[1, 0], [2, 2]], mask=[[0, 1], [0, 0]]), targets)
    assert shared_inputs(train, Dataset([[1, 1], [2, 2]], targets)) == 1
    other = Dataset(np.ma.array([[1, 2], [9, 9]], mask=[[0, 1], [0, 1]]), targets)
    assert shared_inputs(train, other) == 1
