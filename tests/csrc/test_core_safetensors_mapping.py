"""Large files are mapped, and what was read stays what it was, whatever others do to the file."""

import json
import os
import struct
import warnings

import numpy as np
import pytest
import torch

from pyorder._core import safetensors as core

LARGE = 65 * 2**20  # over 64 MiB, from which on data is mapped rather than copied


def write_sparse(path, size=LARGE):
    """Write a file of one array of zeros, which takes no room on the disk."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(path, path.stat().st_size + size)
    return path


def mapped(path):
    with open("/proc/self/maps") as maps:
        return str(path) in maps.read()


@pytest.mark.parametrize("size", [1000, LARGE])
def test_large_data_is_mapped_and_none_can_be_written_to(tmp_path, size):
    path = write_sparse(tmp_path / "file", size)
    array = core.read(path)[0]["a"]
    assert mapped(path) is (size == LARGE)
    assert not array.flags.owndata
    assert not array.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_a_large_file_stays_mapped_as_long_as_an_array_lives(tmp_path):
    path = write_sparse(tmp_path / "file")
    arrays, _ = core.read(path)
    part = arrays.pop("a")[-2:]
    del arrays
    os.unlink(path)
    assert part.tolist() == [0, 0]
    assert mapped(path)
    del part
    assert not mapped(path)


DAMAGES = {
    "cut": "os.truncate(path, 0)",
    "overwritten": "open(path, 'r+b').write(b'\\xff' * os.path.getsize(path))",
    "replaced": "os.replace(other, path)",
    "removed": "os.unlink(path)",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_read_is_safe_from_other_programs(run_python, tmp_path, damage):
    path, other = tmp_path / "file", tmp_path / "other"
    core.write(path, {"a": np.arange(1_000_000)}, {"k": "v"})
    other.write_bytes(b"")
    code = f"""
import os
from pyorder._core import safetensors
path, other = {str(path)!r}, {str(other)!r}
arrays, metadata = safetensors.read(path)
{DAMAGES[damage]}
print(arrays["a"].sum(), metadata)
"""
    assert run_python(code, tmp_path) == "499999500000 {'k': 'v'}\n"


def test_a_large_file_that_is_replaced_keeps_its_values(tmp_path):
    path = write_sparse(tmp_path / "file")
    array = core.read(path)[0]["a"]
    core.write(tmp_path / "new", {"a": np.arange(3)}, {})
    os.replace(tmp_path / "new", path)
    assert array[-1] == 0
    assert core.read(path)[0]["a"].tolist() == [0, 1, 2]


def test_a_tensor_that_writes_to_a_large_file_changes_memory_alone(tmp_path):
    path = write_sparse(tmp_path / "file")
    array = core.read(path)[0]["a"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that NumPy's array is read-only
        torch.from_numpy(array)[-1] = 1
    assert array[-1] == 1
    assert core.read(path)[0]["a"][-1] == 0


def test_a_large_file_that_was_cut_before_is_refused(tmp_path):
    path = write_sparse(tmp_path / "file")
    os.truncate(path, LARGE // 2)
    with pytest.raises(ValueError, match=f"ends at byte {LARGE}, but the file holds"):
        core.read(path)
