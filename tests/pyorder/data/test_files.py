"""The typed face of safetensors files; tests/csrc tests the files themselves."""

import doctest
import os

import numpy as np
import pytest
import safetensors.numpy as official

import pyorder.data.files
from pyorder.data.files import read_safetensors, write_safetensors


def test_docstring_examples(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(pyorder.data.files)
    assert result.attempted > 2
    assert result.failed == 0


def test_any_layout_byte_order_and_sequence_is_written(tmp_path):
    path = tmp_path / "file"
    grid = np.arange(12).reshape(3, 4)
    arrays = {
        "transposed": grid.T,
        "strided": grid[::-1, ::2],
        "big-endian": grid.astype(">i4"),
        "list": [[1, 2], [3, 4]],
        "scalar": 2.5,
    }
    write_safetensors(path, arrays)
    theirs = official.load_file(path)
    ours, metadata = read_safetensors(str(path))
    assert metadata == {}
    for name, array in arrays.items():
        assert ours[name].shape == np.shape(array)
        assert np.array_equal(ours[name], array)
        assert np.array_equal(theirs[name], array)


@pytest.mark.parametrize(
    ("arrays", "metadata", "error", "message"),
    [
        ({"a": [1]}, {"k": 1}, TypeError, "names and metadata: expected text, got 1"),
        ({"a": [1]}, {2: "v"}, TypeError, "names and metadata: expected text, got 2"),
        ({3: [1]}, None, TypeError, "names and metadata: expected text, got 3"),
        ({"\udc80": [1]}, None, ValueError, r"names and metadata: expected valid Unicode, got '\\udc80'"),
        ({"a": [1]}, {"k": "\udc80"}, ValueError, "names and metadata: expected valid Unicode"),
        ({"a": [None]}, None, TypeError, "array 'a' has dtype object"),
        ({"__metadata__": [1]}, None, ValueError, "__metadata__ is reserved"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path, arrays, metadata, error, message):
    with pytest.raises(error, match=message):
        write_safetensors(tmp_path / "file", arrays, metadata)
    assert os.listdir(tmp_path) == []
