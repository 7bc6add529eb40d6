"""Files on disk: opened without waiting, and written all or nothing.

What is read may have been prepared by anybody: a named pipe would wait for ever, a device never ends, brackets may
be nested without end. What is written goes to a new file of a random name, which takes the place of the old one.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pyorder.errors import InputError

TEMPORARY = ".pyorder-*.tmp"  # what is being written, or was when its process was killed
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # else opening a named pipe waits for a writer
_WRITING = os.O_WRONLY | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading.

    Raises
    ------
    OSError
        As `open` does, also for a folder.
    InputError
        For a pipe, a device, and anything else that is no regular file.

    Examples
    --------
    >>> open_regular("/dev/zero")
    Traceback (most recent call last):
    pyorder.errors.InputError: '/dev/zero' is no regular file
    """
    name = os.fspath(path)
    number = os.open(name, _READING)
    try:
        _check_regular(os.fstat(number).st_mode, name)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def parse_json(text: str | bytes) -> Any:
    """Read JSON; ValueError also for what is nested without end.

    Examples
    --------
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: JSON that is nested too deep
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("JSON that is nested too deep") from None


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file; errors are those of `open_regular`, and ValueError for what is no JSON."""
    with open_regular(path) as file:
        return parse_json(file.read().decode())


def end_of_links(path: str | os.PathLike[str]) -> Path:
    """The path itself, or where the symbolic links there lead, if only to a name that is free yet.

    Raises
    ------
    OSError
        For links that lead in a circle.
    InputError
        Where they lead to a pipe, a device or a folder.
    """
    _mode(Path(path))
    end = Path(os.path.realpath(path))
    if end.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
    return end


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a new file to write to; what it holds at the block's end becomes ``path``, all or nothing.

    A file that is replaced keeps its permissions. A link there is replaced itself: what it leads to, which may be
    of any folder, stays as it is.

    Raises
    ------
    OSError
        When the folder or the disk refuses; what was there before is kept.
    InputError
        Where the path is, or leads to, a pipe, a device or a folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "note")) as temporary:
    ...         _ = temporary.write_text("done")
    ...     os.listdir(folder)
    ['note']
    """
    target = Path(path)
    mode = _mode(target)
    temporary = target.with_name(f".pyorder-{secrets.token_hex(8)}.tmp")
    try:
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _make(temporary, mode)
            yield temporary
            with temporary.open("rb") as file:
                _sync(file.fileno())
            os.replace(temporary, target)
            _sync(folder)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(folder)
    except OSError as error:
        if error.filename == str(temporary):  # a name that tells a reader nothing
            error.filename, error.filename2 = str(target), None
        raise


def _make(path: Path, mode: int | None) -> None:
    number = os.open(path, _WRITING, 0o666)
    try:
        if mode is not None:
            os.fchmod(number, mode)
    finally:
        os.close(number)


def _mode(target: Path) -> int | None:
    """The permissions of the file that is there; None where there is none, or a link that is to be replaced."""
    try:
        there = target.stat()
    except FileNotFoundError:
        return None
    _check_regular(there.st_mode, str(target))
    return None if target.is_symlink() else stat.S_IMODE(there.st_mode) & 0o777


def _check_regular(mode: int, name: str) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if not stat.S_ISREG(mode):
        raise InputError(f"{name!r} is no regular file")


def _sync(number: int) -> None:
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot synchronise a folder
            raise
