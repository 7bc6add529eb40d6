"""What the compiled part writes, and what it refuses; `pyorder._disk` puts whole files in place of old ones."""

import os

import numpy as np
import pytest

from pyorder._core import safetensors as core


def test_a_file_is_written_from_its_beginning(tmp_path):
    path = tmp_path / "file"
    core.write(path, {"a": np.zeros(100)}, {})
    core.write(path, {"a": np.arange(3)}, {})
    assert core.read(path)[0]["a"].tolist() == [0, 1, 2]


def test_a_disk_that_is_full_is_told(tmp_path, run_python):
    code = f"""
import resource, signal
import numpy as np
from pyorder._core import safetensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    safetensors.write({str(tmp_path / "file")!r}, {{"a": np.arange(10_000)}}, {{}})
except OSError as error:
    print(error.errno, error.filename)
"""
    assert run_python(code, tmp_path) == f"27 {tmp_path / 'file'}\n"  # EFBIG


def test_links_are_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("mine")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        core.write(tmp_path / "link", {"a": np.arange(3)}, {})
    assert (tmp_path / "mine").read_text() == "mine"


def test_arrays_that_cannot_be_stored_are_refused(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(ValueError, match=f"cannot write '{path}': the name __metadata__ is reserved"):
        core.write(path, {"__metadata__": np.arange(4)}, {})
    with pytest.raises(ValueError, match="has more than 32 dimensions"):  # as when it is read
        core.write(path, {"a": np.zeros((1,) * 33)}, {})
    with pytest.raises(TypeError, match="array 'a' has dtype <U1"):
        core.write(path, {"a": np.array(["x"])}, {})
    with pytest.raises(TypeError, match="array 'a' has dtype >i4"):
        core.write(path, {"a": np.array([1], dtype=">i4")}, {})
    with pytest.raises(ValueError, match="array 'a' is not contiguous"):
        core.write(path, {"a": np.zeros((4, 4))[:, ::2]}, {})
    assert os.listdir(tmp_path) == []
