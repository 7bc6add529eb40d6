"""What an interrupted run has done already: the results of its long calls, in sequence.

A search does the same again when it is run again, for all its random numbers come from its seed. So it starts from
the beginning, and every long call that has an entry here is read back instead of done. Entries are numbered files,
each written whole or not at all; the clock goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pyorder._disk import read_json, replacing
from pyorder.errors import InputError
from pyorder.runs.folder import write_json


class Journal:
    """The entries of a run in a folder; without a folder nothing is kept.

    Attributes
    ----------
    folder : where entries lie; None for none

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Journal(folder).record("sum", lambda path: write_json(path, 3))
    ...     again = Journal(folder)
    ...     again.recall("sum").name, again.recall("sum")
    ('00000-sum', None)
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._done = [] if self.folder is None else sorted(self.folder.glob("[0-9]*-*"))
        self._next = 0
        self._waiting: list[tuple[str, Any]] = []
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Wall time of the run, that of earlier attempts among it."""
        return time.perf_counter() - self._started

    @property
    def number(self) -> int:
        """Of the next entry."""
        return self._next + len(self._waiting)

    def recall(self, kind: str) -> Path | None:
        """Go to the next entry, which is of this kind; None if the run had not got there.

        Raises
        ------
        InputError
            If it is of another kind: the run does other things now than when it was interrupted.
        """
        if self._next >= len(self._done):
            return None
        path = self._done[self._next]
        if path.name != f"{self._next:05}-{kind}":
            raise InputError(
                f"run_dir: {str(path)!r} is not what this run does next, which is {kind!r}: it was begun by "
                "another program; give a new folder"
            )
        self._next += 1
        return path

    def record(self, kind: str, write: Callable[[Path], object]) -> None:
        """Write the next entry: ``write`` is given the path."""
        if self.folder is None:
            return
        self._write_what_waits()
        self._write(kind, write)

    def _write_what_waits(self) -> None:
        while self._waiting:
            name, value = self._waiting.pop(0)
            self._write(name, partial(write_json, value=value))

    def _write(self, kind: str, write: Callable[[Path], object]) -> None:
        assert self.folder is not None
        path = self.folder / f"{self._next:05}-{kind}"
        write(path)
        self._done.append(path)
        self._next += 1

    def told(self, name: str, value: Any) -> Any:
        """A value in JSON that the run resolved when it was begun; ``value``, if that is now.

        It is written before the next entry or state, so that a run which does nothing leaves nothing.
        """
        if (entry := self.recall(name)) is not None:
            return read_entry(entry)
        self._waiting.append((name, value))
        return value

    def go_on_from(self, seconds: float) -> None:
        """Set the clock: so much time had passed at the end of the call that was read back."""
        self._started = time.perf_counter() - seconds

    def save_state(self, name: str, state: dict[str, Any]) -> None:
        """Keep a state, in values that `torch.load` takes with ``weights_only``, and the time."""
        if self.folder is not None:
            self._write_what_waits()
            with replacing(self._state_path(name, self.number)) as temporary:
                torch.save({**state, "seconds": self.seconds}, temporary)

    def drop_states(self, name: str) -> None:
        """Drop the states of a name but for the latest."""
        for path in self._states(name)[:-1]:
            path.unlink(missing_ok=True)

    def forget_states(self, prefix: str) -> None:
        """Drop every state whose name begins so."""
        for path in self._states(f"{prefix}*"):
            path.unlink(missing_ok=True)

    def load_state(self, name: str, number: int) -> dict[str, Any]:
        """Read the state back that was saved beside the entry of a number."""
        return _read_state(self._state_path(name, number))

    def latest_state(self, name: str) -> dict[str, Any] | None:
        """Read the latest state of a name back, and set the clock to its time; None where there is none."""
        if not (states := self._states(name)):
            return None
        state = _read_state(states[-1])
        self.go_on_from(state["seconds"])
        return state

    def _state_path(self, name: str, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{name}.{number:05}.pt"

    def _states(self, name: str) -> list[Path]:
        return [] if self.folder is None else sorted(self.folder.glob(f"{name}.*.pt"))


class CopiedJournal(Journal):
    """A journal that another process keeps: what is in it is read from a copy, and nothing is written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     CopiedJournal(folder).record("sum", lambda path: write_json(path, 3))
    ...     CopiedJournal(folder).recall("sum")
    """

    def record(self, kind: str, write: Callable[[Path], object]) -> None:
        """The other process writes the entry."""

    def save_state(self, name: str, state: dict[str, Any]) -> None:
        """The other process keeps the state."""


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise whatever the readers of zip files and pickles have
        raise InputError(f"run_dir: {str(path)!r} cannot be read: {error}") from error
    return state


def read_entry(path: Path) -> Any:
    """Read an entry that `pyorder.runs.folder.write_json` wrote."""
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise InputError(f"run_dir: {str(path)!r} cannot be read: {error}") from error
