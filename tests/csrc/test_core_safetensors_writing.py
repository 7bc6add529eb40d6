"""How files are written: whole or not at all, with the permissions and links that were there."""

import os
import stat

import numpy as np
import pytest

from pyorder._core import safetensors as core


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(tmp_path, run_python):
    path = tmp_path / "file"
    core.write(path, {"a": np.arange(3)}, {})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"cannot write '{path}': the name __metadata__ is reserved"):
        core.write(path, {"__metadata__": np.arange(4)}, {})
    code = f"""
import resource, signal
import numpy as np
from pyorder._core import safetensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    safetensors.write({str(path)!r}, {{"a": np.arange(10_000)}}, {{}})
except OSError as error:
    print(error.errno, error.filename)
"""
    done = run_python(code, tmp_path)
    assert done == f"27 {path}\n"  # EFBIG: the temporary file was not finished
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_is_replaced_whole_and_old_arrays_keep_their_values(tmp_path):
    path = tmp_path / "file"
    core.write(path, {"a": np.arange(3)}, {})
    old = core.read(path)[0]["a"]
    core.write(path, {"a": np.zeros(100)}, {})
    assert old.tolist() == [0, 1, 2]
    assert core.read(path)[0]["a"].shape == (100,)
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_has_the_permissions_that_open_gives(tmp_path):
    core.write(tmp_path / "ours", {}, {})
    (tmp_path / "plain").write_bytes(b"")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("ours", "plain")]
    assert modes[0] == modes[1]


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    path = tmp_path / "private"
    core.write(path, {}, {})
    path.chmod(0o600)
    core.write(path, {"a": np.arange(3)}, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_link_leads_to_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "folder").mkdir()
    link, real = tmp_path / "link", tmp_path / "folder" / "real"
    link.symlink_to("folder/real")
    for values in ([0, 1], [0, 1, 2]):  # at first the link leads nowhere
        core.write(link, {"a": np.array(values)}, {})
        assert link.is_symlink()
        assert core.read(real)[0]["a"].tolist() == values
    assert os.listdir(tmp_path / "folder") == ["real"]
    real.unlink()
    real.symlink_to(link)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        core.write(link, {}, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every folder")
def test_a_folder_that_cannot_be_read_is_refused_before_anything_changes(tmp_path):
    path = tmp_path / "file"
    core.write(path, {"a": np.arange(3)}, {})
    tmp_path.chmod(0o300)
    try:
        with pytest.raises(PermissionError):
            core.write(path, {"a": np.arange(4)}, {})
    finally:
        tmp_path.chmod(0o700)
    assert core.read(path)[0]["a"].shape == (3,)
    assert os.listdir(tmp_path) == ["file"]


def test_arrays_that_cannot_be_stored_are_refused(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(ValueError, match="has more than 32 dimensions"):  # as when it is read
        core.write(path, {"a": np.zeros((1,) * 33)}, {})
    with pytest.raises(TypeError, match="array 'a' has dtype <U1"):
        core.write(path, {"a": np.array(["x"])}, {})
    with pytest.raises(TypeError, match="array 'a' has dtype >i4"):
        core.write(path, {"a": np.array([1], dtype=">i4")}, {})
    with pytest.raises(ValueError, match="array 'a' is not contiguous"):
        core.write(path, {"a": np.zeros((4, 4))[:, ::2]}, {})
    assert os.listdir(tmp_path) == []
