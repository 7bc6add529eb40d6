"""Standard output and standard error while a command runs: neither ends what it is done for.

A disk may fill up, a reader may go away, a terminal may know few letters. What cannot be written on standard error
is dropped; what cannot be written on standard output goes to standard error, and is told of at the end.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TextIO, cast


class Guarded(io.TextIOBase):
    """A stream that fails to nobody's harm.

    Parameters
    ----------
    stream : None where the process was given none
    otherwise : takes the text that could not be written, and why

    Attributes
    ----------
    error : why nothing more is written
    lost : whether anything was not

    Examples
    --------
    >>> lost = []
    >>> stream = Guarded(None, lambda text, error: lost.append(text))
    >>> print("2,0,1", file=stream, flush=True)
    >>> "".join(lost).split()
    ['2,0,1']
    """

    def __init__(self, stream: TextIO | None, otherwise: Callable[[str, Exception], None]) -> None:
        self._stream, self._otherwise = stream, otherwise
        self._pending = ""
        self.lost = False
        self.error: Exception | None = None if stream is not None else OSError("it is closed")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the stream."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        """Of the stream."""
        return super().fileno() if self._stream is None else self._stream.fileno()

    def writable(self) -> bool:
        """Whatever comes is taken."""
        return True

    def write(self, text: str) -> int:
        """Write text; letters that the stream does not know are replaced."""
        self._pending += text
        if self._stream is not None and self.error is None:
            try:
                self._stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError) as error:
                self._give_up(error)
        if self.error is not None:
            self._hand_on()
        return len(text)

    def flush(self) -> None:
        """See to it that all is written, here or elsewhere."""
        if self._stream is not None and self.error is None:
            try:
                self._stream.flush()
                self._pending = ""
            except (OSError, ValueError) as error:
                self._give_up(error)
        if self.error is not None:
            self._hand_on()

    def _give_up(self, error: Exception) -> None:
        self.error = error
        # What is left in the buffer would fail again as Python ends.
        with suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())
            os.close(nothing)

    def _hand_on(self) -> None:
        text, self._pending = self._pending, ""
        if text and self.error is not None:
            self.lost = True
            self._otherwise(text, self.error)


@dataclass
class Terminal:
    """What becomes of a command: whether its work has begun, and whether what it had to say was heard.

    Attributes
    ----------
    working : whether work has begun, of which what is printed should not be lost
    output : standard output
    """

    output: Guarded
    working: bool = False


@contextmanager
def guarded() -> Iterator[Terminal]:
    """Guard standard output and standard error inside the block."""
    kept = sys.stdout, sys.stderr
    for number in range(3):  # a file that is opened later is not to be taken for one of them
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)

    def rescue(text: str, error: Exception) -> None:
        # Who reads the first lines only wants no others, unless they are all that is left of hours.
        if terminal.working or not isinstance(error, BrokenPipeError):
            errors.write(text)
            errors.flush()

    errors = Guarded(sys.stderr, lambda text, error: None)
    terminal = Terminal(Guarded(sys.stdout, rescue))
    sys.stdout, sys.stderr = cast(TextIO, terminal.output), cast(TextIO, errors)
    try:
        yield terminal
    finally:
        terminal.output.flush()
        errors.flush()
        sys.stdout, sys.stderr = kept
