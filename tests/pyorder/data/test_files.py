"""The typed face of safetensors files; tests/csrc tests the files themselves."""

import doctest
import os

import numpy as np
import pytest
import safetensors.numpy as official
import safetensors.torch
import torch

import pyorder.data.files
from pyorder.data.files import list_safetensors, read_safetensors, write_safetensors


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


TORCH_ONLY = {"BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}


@pytest.mark.parametrize("name", TORCH_ONLY)
def test_types_that_numpy_lacks_are_listed_and_refused_by_name(tmp_path, name):
    path = tmp_path / "file"
    arrays = {
        "ours": torch.arange(3),
        "theirs": torch.ones(2, 5).to(TORCH_ONLY[name]),
        "half": torch.ones(1).half(),
    }
    safetensors.torch.save_file(arrays, path, {"task": "relu"})
    assert list_safetensors(path) == {"ours": ("I64", (3,)), "theirs": (name, (2, 5)), "half": ("F16", (1,))}
    found, metadata = read_safetensors(path, ["ours"])
    assert metadata == {"task": "relu"}
    assert {key: value.tolist() for key, value in found.items()} == {"ours": [0, 1, 2]}
    assert set(read_safetensors(path, {"ours", "half"})[0]) == {"ours", "half"}
    assert read_safetensors(path, [])[0] == {}
    for names in (None, ["theirs"], ["ours", "theirs"]):
        with pytest.raises(ValueError, match=f"^cannot read '{path}': array 'theirs' has the dtype {name}, which"):
            read_safetensors(path, names)


def test_names_that_a_file_lacks_are_refused(tmp_path):
    write_safetensors(tmp_path / "file", {"a": [1], "b": [1]})
    with pytest.raises(ValueError, match=r"file': it has no array 'c', it has a, b$"):
        read_safetensors(tmp_path / "file", ["a", "c"])
    write_safetensors(tmp_path / "file", {})
    with pytest.raises(ValueError, match=r"file': it has no array 'a', it has none$"):
        read_safetensors(tmp_path / "file", ["a"])
    with pytest.raises(TypeError, match="^names: expected names, got the text 'a'$"):
        read_safetensors(tmp_path / "file", "a")
    with pytest.raises(TypeError, match="names"):
        read_safetensors(tmp_path / "file", [1])
