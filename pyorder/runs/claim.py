"""Who works in a run folder, and on what: a run that was interrupted goes on when it is asked for again.

======================  ========================================================================================
asked.json              what was asked for; the folder takes no other run
journal/                what has been done so far, see `pyorder.runs.journal`; gone when the run has ended
.lock                   locked while a process works there, whose number it holds
======================  ========================================================================================
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

import numpy as np

from pyorder._disk import TEMPORARY, read_json
from pyorder.data.dataset import Dataset
from pyorder.errors import InputError
from pyorder.runs.folder import ASKED, RunDir, make_run_dir, plain, write_json
from pyorder.runs.journal import CopiedJournal, Journal
from pyorder.world import World

JOURNAL, LOCK = "journal", ".lock"


@dataclass
class Claim:
    """A run folder while a process works in it.

    Attributes
    ----------
    folder : None where nothing is to be kept, or another process keeps it
    journal : what was done before, and where to write what is done now
    finished : whether the run that is asked for has ended already, so that its result is in the folder
    """

    folder: Path | None
    journal: Journal
    finished: bool = False

    @property
    def to_read(self) -> Path | None:
        """The folder that an earlier attempt's result or journal is read from; None where nothing is kept."""
        return self.folder if self.finished else self.journal.folder

    def finish(self) -> None:
        """The result is written: what led to it can go."""
        if self.folder is not None:
            shutil.rmtree(self.folder / JOURNAL, ignore_errors=True)


@contextmanager
def claim(
    run_dir: RunDir | None,
    ask: Callable[[], Mapping[str, Any]],
    name: str = "run_dir",
    world: World | None = None,
) -> Iterator[Claim]:
    """Claim a folder for a run: a new or empty one, or one where just that was begun or has ended.

    A folder that was made here for a run that then keeps nothing is taken away again.

    Parameters
    ----------
    ask : says what the run is, in values of JSON; if the folder's is another, the difference is told
    world : the processes of the run. The folder is the first one's; the others get a copy of what is to be read
        there, and keep nothing

    Raises
    ------
    InputError
        If another process works in the folder, or it holds anything else; ``name`` begins the message. Or if one
        of the world's processes was asked for another run.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with claim(folder, lambda: {"seed": 0}) as first:
    ...         write_json(first.folder / "result.json", {})
    ...         first.finish()
    ...     with claim(folder, lambda: {"seed": 0}) as again:
    ...         again.finished
    True
    """
    if world is None or world.size == 1:
        with _claimed(run_dir, ask, name) as claimed:
            yield claimed
        return
    asked = _in_json(ask)
    world.check_same(asked)
    with ExitStack() as stack:
        first: list[Claim] = []

        def begin() -> tuple[bool, list[str] | None]:
            first.append(stack.enter_context(_claimed(run_dir, lambda: asked, name)))
            source = first[0].to_read
            return first[0].finished, None if source is None else _files_in(source)

        finished, names = world.agreed(begin)
        if names is None:
            yield Claim(None, Journal())
            return
        folder = first[0].to_read if first else Path(stack.enter_context(TemporaryDirectory(prefix="pyorder-")))
        assert folder is not None
        _hand_over(names, folder, world)
        if first:
            yield first[0]
        elif finished:
            yield Claim(folder, Journal(), finished)
        else:
            yield Claim(None, CopiedJournal(folder))


@contextmanager
def _claimed(run_dir: RunDir | None, ask: Callable[[], Mapping[str, Any]], name: str) -> Iterator[Claim]:
    if run_dir is None:
        yield Claim(None, Journal())
        return
    folder, asked = Path(run_dir), _in_json(ask)
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    if not (os.path.exists(folder / ASKED) or _was_killed_as_it_claimed(folder)):
        make_run_dir(folder, name)
    with _locked(folder, name):
        if begun := (folder / ASKED).exists():
            _check_asked(folder, asked, name)
        _sweep(folder)
        finished = has_ended(folder)
        try:
            if not finished:
                (folder / JOURNAL).mkdir(exist_ok=True)
                _sweep(folder / JOURNAL)
            if not begun:
                write_json(folder / ASKED, asked)
            yield Claim(folder, Journal(None if finished else folder / JOURNAL), finished)
        finally:
            _drop_if_nothing_is_kept(folder, missing)


def _in_json(ask: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads(json.dumps(plain(ask())))
    return asked


def _files_in(folder: Path) -> list[str]:
    """The names of the files that are read when a run goes on, or has ended."""
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != LOCK)


def _hand_over(names: list[str], folder: Path, world: World) -> None:
    """Give all processes the files that the first one has in its folder, each in a folder of its own."""
    for name in names:
        content = world.agreed((folder / name).read_bytes)
        if not world.writes:
            (folder / name).write_bytes(content)


def join(run_dir: RunDir, ask: Callable[[], Mapping[str, Any]], name: str = "run_dir") -> Path:
    """Work in a part of a folder for a run of many parts, as other processes do in parts of theirs.

    A part is a folder in it, which takes a claim of its own; the whole is not locked.

    Raises
    ------
    InputError
        If the folder is another run's, or holds anything else; ``name`` begins the message.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     join(Path(parent, "sweep"), lambda: {"kind": "sweep"}).name
    'sweep'
    """
    folder = Path(run_dir)
    asked = _in_json(ask)
    if not (os.path.exists(folder / ASKED) or _was_killed_as_it_claimed(folder)):
        try:
            make_run_dir(folder, name)
        except ValueError:
            if not os.path.exists(folder / ASKED):  # else another process was here first
                raise
    if not os.path.exists(folder / ASKED):
        write_json(folder / ASKED, asked)
    _check_asked(folder, asked, name)
    return folder


def has_ended(folder: Path) -> bool:
    """Whether the run of a folder was claimed and has ended, so that its result is there."""
    return (folder / ASKED).exists() and not (folder / JOURNAL).exists() and (folder / "result.json").exists()


def fingerprint(data: Dataset) -> str:
    """A few letters that tell a dataset's rows, schema and groups from others'.

    Examples
    --------
    >>> fingerprint(Dataset([[0]], [[1, 0]])) == fingerprint(Dataset([[0]], [[1, 1]]))
    False
    """
    told = hashlib.sha256(json.dumps(plain(data.schema.to_json()), sort_keys=True).encode())
    groups = () if data.groups is None else (data.groups,)
    for array in (data.vocabulary, *data.encode(), *groups):
        whole = np.ascontiguousarray(array)
        told.update(f"{whole.dtype.str}{whole.shape}".encode())
        told.update(whole.data)
    return told.hexdigest()[:16]


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[None]:
    """Hold the folder's lock, which the system frees when the process ends, in whatever way."""
    with _open_lock(folder, name) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise InputError(f"{name}: process {file.read() or '?'} is at work in {str(folder)!r}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def _open_lock(folder: Path, name: str) -> TextIO:
    """Open the lock, which is made if need be; never another file that a link there leads to."""
    try:
        number = os.open(
            folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666
        )
        return os.fdopen(number, "r+", encoding="utf-8")
    except OSError as error:
        raise InputError(f"{name}: cannot write to {str(folder / LOCK)!r}: {error.strerror or error}") from error


def _check_asked(folder: Path, asked: Mapping[str, Any], name: str) -> None:
    try:
        before = read_json(folder / ASKED)
        differ = [key for key in {**before, **asked} if before.get(key) != asked.get(key)]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{name}: {str(folder / ASKED)!r} cannot be read ({type(error).__name__})") from None
    if differ:
        key = differ[0]
        told = [f"{shown.get(key)!r:.80}" for shown in (before, asked)]
        raise InputError(
            f"{name}: the run in {str(folder)!r} was asked for with another {key}, {told[0]} and not {told[1]}: "
            "give what was asked for to go on, or a new folder"
        )


def _sweep(folder: Path) -> None:
    """Take away what was being written when a process was killed."""
    for path in folder.glob(TEMPORARY):
        path.unlink(missing_ok=True)


def keeps_something(folder: Path) -> bool:
    """Whether there is more in a run's folder than who works there, and on what."""
    return not (_holds(folder, {ASKED, JOURNAL, LOCK}) and _holds(folder / JOURNAL, set()))


def _drop_if_nothing_is_kept(folder: Path, made: list[Path]) -> None:
    """Leave the place as it was found, if nothing came of the run; ``made`` are the folders made for it."""
    if keeps_something(folder):
        return
    with suppress(OSError):
        _sweep(folder)
        shutil.rmtree(folder / JOURNAL, ignore_errors=True)
        for name in (ASKED, LOCK):
            (folder / name).unlink(missing_ok=True)
        for path in made:
            path.rmdir()


def _was_killed_as_it_claimed(folder: Path) -> bool:
    """Whether a process got as far as the lock, and not to what was asked for."""
    return os.path.exists(folder / LOCK) and _holds(folder, {JOURNAL, LOCK}) and _holds(folder / JOURNAL, set())


def _holds(folder: Path, names: set[str]) -> bool:
    """Whether a folder holds nothing but what is called so, or is half written; one that is not there does."""
    try:
        return all(path.name in names or path.match(TEMPORARY) for path in folder.iterdir())
    except FileNotFoundError:
        return True
    except OSError:
        return False
