"""The process of a cell: started and waited for by one side, and, on the other, a `pyorder discover` that follows.

A cell ends as `pyorder discover` ends when it is asked to, with what it has found so far in its folder: when the
sweep is over, and when the process that waits for it is gone, in whatever way.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LOOK = 0.2  # seconds between two looks at what may have ended
GRACE = 60  # that a process has to save what it found


def run_named(name: str, words: Sequence[str], folder: Path, **how: Any) -> tuple[str, str | None]:
    """Run a cell as `run_cell` does, and give its name back with what comes of it."""
    return name, run_cell(words, folder, **how)


def run_cell(words: Sequence[str], folder: Path, *, where: Path, threads: int, going: Path | None) -> str | None:
    """Run `pyorder discover` into a folder; what it said beside that goes to a .log file next to it.

    Parameters
    ----------
    where : files that the words name are looked up from here
    threads : of the process
    going : a file; once it is gone the cell is ended

    Returns
    -------
    Why the cell has not finished, in a line; None if it has.
    """
    if going is not None and not going.exists():
        return "the sweep was over"
    arguments = ["discover", "--out", str(folder), *words]
    log = Path(f"{folder}.log")
    try:
        with log.open("ab") as file:
            file.seek(0, os.SEEK_END)
            said = file.tell()
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "pyorder.cli.sweeping.process", str(os.getpid()), *arguments],
                cwd=where,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )
        with _ended(process):
            while process.poll() is None and (going is None or going.exists()):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK)
        return None if process.returncode == 0 else _reason(process.returncode, log, said)
    except OSError as error:
        return f"{error.filename or log}: {error.strerror or error}"


@contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A block after which the process is no more, however the block ends."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _reason(code: int, log: Path, begin: int) -> str:
    """The error that the process told last, or how it ended."""
    with log.open("rb") as file:
        file.seek(begin)
        lines = file.read().decode(errors="replace").splitlines()
    told = [line.removeprefix("pyorder: error: ") for line in lines if line.startswith("pyorder: error: ")]
    if told:
        return told[-1]
    ended = f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"{ended}; see {log}"


def main() -> None:
    """Be the process of a cell: the words are the number of the one that waits, and a command line."""
    # Who waits is asked to end the cell, and asks it in turn: a terminal tells all its processes at once.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_follow, args=[int(sys.argv[1])], daemon=True).start()
    from pyorder.cli import main as command

    sys.exit(command(sys.argv[2:]))


def _follow(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
