"""A deadline, a list of measurements, and a process that takes them: what it does not survive is recorded too.

One worker takes measurement after measurement, so that what it loads is loaded once. One that dies, or is still
busy at a measurement's own limit, is killed with all that it started, and another goes on after it; so too where a
row says ``"restart": true``.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

LAST_LINES = 8


class Task(Protocol):
    """What a plan is made of: a request for the worker, an estimate and a limit in seconds."""

    function: str
    settings: dict[str, Any]
    seconds: float
    limit: float


class WorkerError(Exception):
    """The worker died or was too slow; the message has the last lines that it printed."""


class Worker:
    """A process that answers lines of JSON with lines of JSON; ``about`` is the line that it begins with."""

    def __init__(
        self, command: list[str], environment: dict[str, str], log: Path, until: float, cwd: Path | None = None
    ) -> None:
        self.log, self.heard = log, log.stat().st_size if log.exists() else 0
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=cwd,
                start_new_session=True,  # so that what it starts can be killed with it
            )
        self.answers: queue.Queue[str | None] = queue.Queue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()
        self.about = self._answer(until - time.monotonic(), "start")

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put(None)

    def measure(self, function: str, settings: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Return the answer to one request, which takes at most so many seconds."""
        self.heard = self.log.stat().st_size
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"function": function, "settings": settings}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise WorkerError(self._last_words("the worker had ended")) from None
        return self._answer(seconds, "answer")

    def _answer(self, seconds: float, to: str) -> dict[str, Any]:
        try:
            line = self.answers.get(timeout=max(0.0, seconds))
        except queue.Empty:
            self.stop()
            raise WorkerError(self._last_words(f"stopped: no {to} within {seconds:.0f} s")) from None
        if line is None:
            self.stop()
            raise WorkerError(self._last_words(f"the worker ended with {self.process.returncode}"))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_words(self, what: str) -> str:
        with self.log.open("rb") as file:
            file.seek(self.heard)
            said = file.read().decode(errors="replace").splitlines()
        return "\n".join([what, *said[-LAST_LINES:]])

    def stop(self) -> None:
        """Kill it and all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.listener.join(timeout=1)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # of a request that was never read
                    stream.close()


Start = Callable[[], Worker]
Record = Callable[[Any, dict[str, Any]], None]


def supervise(plan: Iterable[Task], worker: Worker, start: Start, record: Record, deadline: float) -> list[Task]:
    """Take what fits before ``deadline`` (of `time.monotonic`), in the plan's sequence; return what was not taken.

    What the deadline cuts off has no row, and counts as not taken.
    """
    left, alive = list(plan), True
    try:
        while left:
            remaining = deadline - time.monotonic()
            task = next((one for one in left if one.seconds <= remaining and remaining > 0), None)
            if task is None:
                break
            try:
                if not alive:
                    worker = start()
                    alive, remaining = True, deadline - time.monotonic()
                row = worker.measure(task.function, task.settings, min(task.limit, remaining))
            except WorkerError as error:
                worker.stop()
                alive = False
                if time.monotonic() >= deadline:
                    break
                row = {"failed": str(error)}
            if row.pop("restart", False):
                worker.stop()
                alive = False
            left.remove(task)
            record(task, row)
    finally:
        worker.stop()
    return left
