"""A command in several processes, as torchrun starts them: which is heard, and what the others may do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

from pyorder.errors import ProcessLostError

SHARED = ("discover", "profile", "train")  # commands whose work is shared
PATIENCE = 10.0  # seconds in which the first process fails if it fails alike


@dataclass(frozen=True)
class Processes:
    """The number of this process among those that do one command, and how many there are.

    Examples
    --------
    >>> Processes.started()
    Processes(rank=0, size=1)
    """

    rank: int
    size: int

    @classmethod
    def started(cls) -> Processes:
        """As the environment tells; torch is not needed for that."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        return cls(int(os.environ.get("RANK", "0")) if size > 1 else 0, size)  # alone it is heard

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.size > 1

    def check_command(self, name: str | None) -> None:
        """Refuse a command that would do the same in every process; ValueError."""
        if self.several and name is not None and name not in SHARED:
            shared = f"{', '.join(SHARED[:-1])} and {SHARED[-1]}"
            raise ValueError(
                f"torchrun: {self.size} processes were started for {name}, which is for one; {shared} are shared"
            )

    @contextmanager
    def heard(self) -> Iterator[None]:
        """A block that prints in the first process only."""
        if self.rank == 0:
            yield
            return
        with (
            open(os.devnull, "w", encoding="utf-8") as nothing,
            redirect_stdout(nothing),
            redirect_stderr(nothing),
        ):
            yield

    def refusal(self, error: BaseException, message: str) -> str | None:
        """What to say of an error; None where the first process says it, or another one that is gone."""
        if self.rank == 0:
            return f"pyorder: error: {message}"
        if isinstance(error, ProcessLostError) or self._first_fails_too():
            return None
        return f"pyorder: error in process {self.rank} of {self.size}: {message}"

    def _first_fails_too(self) -> bool:
        """Wait for it: as soon as one process has failed torchrun ends the others, whatever they have to say."""
        try:
            time.sleep(PATIENCE)
        except KeyboardInterrupt:
            return True
        return False
