"""Files are opened without waiting, and written all or nothing, where they were asked for and nowhere else."""

import os
import re
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

import pyorder
from pyorder import _disk
from pyorder._disk import TEMPORARY, end_of_links, open_regular, parse_json, read_json, replacing
from pyorder.data.files import read_safetensors, write_safetensors
from pyorder.errors import InputError


def test_docstring_examples(doctests):
    doctests(_disk)


def write(path, text):
    with replacing(path) as temporary:
        temporary.write_text(text)


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_what_is_no_regular_file_is_neither_read_nor_replaced(tmp_path, pipe):
    (tmp_path / "device").symlink_to("/dev/zero")
    data = pyorder.Dataset([[1], [2]], [[1, 2], [2, 1]])
    for path in (pipe, tmp_path / "device", "/dev/null"):
        before = os.lstat(path)
        for call in (open_regular, read_json, data.save, lambda path: write(path, "x")):
            with pytest.raises(InputError, match="is no regular file"):
                call(path)
        assert stat.S_IFMT(os.lstat(path).st_mode) == stat.S_IFMT(before.st_mode)
    with pytest.raises(IsADirectoryError):
        write(tmp_path, "x")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["device", "pipe"]


def test_json_without_end_is_a_value_error(tmp_path):
    for text in ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000):
        with pytest.raises(ValueError, match="nested too deep"):
            parse_json(text)
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        read_json(tmp_path / "file")


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    write_safetensors(path, {"a": np.arange(3)})
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"^cannot write '{path}': the name __metadata__ is reserved"):
        write_safetensors(path, {"__metadata__": np.arange(4)})
    code = f"""
import resource, signal
import numpy as np
from pyorder.data.files import write_safetensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_safetensors({str(path)!r}, {{"a": np.arange(10_000)}})
except OSError as error:
    print(error.errno, error.filename)
"""
    words = [sys.executable, "-P", "-c", code]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"27 {path}\n"  # EFBIG
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file"]


def test_a_process_that_is_killed_while_it_writes_leaves_the_old_file(tmp_path):
    write(tmp_path / "file", "old")
    code = f"""
import os, signal
from pyorder._disk import replacing
with replacing({str(tmp_path / "file")!r}) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_text() == "old"
    (half,) = tmp_path.glob(TEMPORARY)
    assert half.read_text() == "half"
    write(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"


def test_names_of_what_is_being_written_cannot_be_guessed(tmp_path):
    names = set()
    for _ in range(2):
        with replacing(tmp_path / "file") as temporary:
            names.add(temporary.name)
            assert temporary.match(TEMPORARY)
            with pytest.raises(FileExistsError):  # it is there, and ours
                os.open(temporary, os.O_CREAT | os.O_EXCL)
    assert len(names) == 2
    assert all(re.fullmatch(r"\.pyorder-[0-9a-f]{16}\.tmp", name) for name in names)


def test_names_are_drawn_from_what_nobody_can_foretell(tmp_path, monkeypatch):
    monkeypatch.setattr("secrets.token_hex", lambda count: "ab" * count)
    with replacing(tmp_path / "file") as temporary:
        assert temporary.name == f".pyorder-{'ab' * 8}.tmp"


def test_a_link_is_replaced_itself_and_what_it_leads_to_stays(tmp_path):
    (tmp_path / "mine").write_text("mine")
    for name, text in (("link", "one"), ("free", "two")):
        link = tmp_path / name
        link.symlink_to("mine" if name == "link" else "nowhere")
        write(link, text)
        assert not link.is_symlink()
        assert link.read_text() == text
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_dataset_is_saved_where_links_lead(tmp_path):
    (tmp_path / "folder").mkdir()
    link, real = tmp_path / "link", tmp_path / "folder" / "real"
    link.symlink_to("folder/real")
    for targets in ([[0, 1]], [[1, 0]]):  # at first the link leads nowhere
        pyorder.Dataset(None, targets).save(link)
        assert link.is_symlink()
        assert pyorder.Dataset.open(real).targets.tolist() == targets
    real.unlink()
    real.symlink_to(link)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        end_of_links(link)


def test_permissions_are_those_of_the_file_before_or_what_open_gives(tmp_path):
    (tmp_path / "plain").write_text("")
    write(tmp_path / "ours", "")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("ours", "plain")]
    assert modes[0] == modes[1]
    (tmp_path / "ours").chmod(0o600)
    write(tmp_path / "ours", "private")
    assert stat.S_IMODE(os.stat(tmp_path / "ours").st_mode) == 0o600


def test_arrays_of_a_file_that_is_replaced_keep_their_values(tmp_path):
    write_safetensors(tmp_path / "file", {"a": [0, 1, 2]})
    old = read_safetensors(tmp_path / "file")[0]["a"]
    write_safetensors(tmp_path / "file", {"a": np.zeros(100)})
    assert old.tolist() == [0, 1, 2]
    assert read_safetensors(tmp_path / "file")[0]["a"].shape == (100,)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read every folder")
def test_a_folder_that_cannot_be_read_is_refused_before_anything_changes(tmp_path):
    write(tmp_path / "file", "old")
    tmp_path.chmod(0o300)
    try:
        with pytest.raises(PermissionError):
            write(tmp_path / "file", "new")
    finally:
        tmp_path.chmod(0o700)
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]
