"""The command ``pyorder``; each of its own commands has a file here.

Results go to standard output, everything else to standard error. Exit codes: 0 done; 1 failed while running;
2 bad arguments or bad input; 130 interrupted; 143 and 129 ended by SIGTERM and SIGHUP. Of several processes that
torchrun has started the first is heard, and the others where they alone fail. What needs torch is imported inside
the commands, so that help comes at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from pyorder.cli import discover, generate, profile, report, reproduce, rerun, sweep, tasks, train
from pyorder.cli._processes import Processes
from pyorder.cli._streams import Terminal, guarded
from pyorder.cli._terminal import NOTHING_KEPT, TERMINAL, say, tell
from pyorder.cli._words import UsageError
from pyorder.errors import InputError

_WAIT = "OMP_WAIT_POLICY"

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find the order in which an autoregressive model learns to write its steps, from the data alone.",
)
for _module in (tasks, generate, profile, discover, train, sweep, rerun, reproduce, report):
    app.command(_module.__name__.rpartition(".")[2])(_module.command)


def _print_version(wanted: bool) -> None:
    if wanted:
        from pyorder import __version__

        say(f"pyorder {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors; stands anywhere.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    Processes.started().check_command(context.invoked_subcommand)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments``, by default those of the process, and return the exit code.

    Examples
    --------
    >>> main(["--version"])  # doctest: +ELLIPSIS
    pyorder ...
    0
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    asleep = "torch" not in sys.modules and _WAIT not in os.environ
    if asleep:  # threads that wait for others take no core from other programs; read when torch is loaded
        os.environ[_WAIT] = "passive"
    path = sys.path.copy()  # a caller's module adds its folder, also for what it imports later
    processes = Processes.started()
    received, handlers = _interrupt_on_signals(processes)
    try:
        with guarded() as terminal:
            token = TERMINAL.set(terminal)
            try:
                code = _run(words, debug, received, terminal, processes)
            finally:
                TERMINAL.reset(token)
            terminal.output.flush()
            if (failed := terminal.output.error) is not None and code == 0 and terminal.output.lost:
                return _refuse(failed, f"standard output cannot be written: {failed}", 1, debug, processes)
            return code
    finally:
        if asleep:
            os.environ.pop(_WAIT, None)
        sys.path[:] = path
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _run(words: list[str], debug: bool, received: list[int], terminal: Terminal, processes: Processes) -> int:
    """Run a command; the exit code. What fails once work has begun is no bad input, unless it says so itself."""

    def refuse(error: BaseException, message: str, code: int) -> int:
        return _refuse(error, message, code, debug, processes)

    try:
        with processes.heard():
            code: int | None = typer.main.get_command(app)(words, prog_name="pyorder", standalone_mode=False)
        if code == 130:  # typer's answer to Ctrl-C; older versions abort
            raise KeyboardInterrupt
        return code or 0
    except (KeyboardInterrupt, typer.Abort) as error:
        cause = error.__cause__ or error
        if isinstance(cause, EOFError):  # of a file that ends early, which is an interrupt to typer
            return refuse(cause, f"EOFError: {cause}", 1)
        if not terminal.working and not hasattr(cause, "__notes__"):
            cause.add_note(NOTHING_KEPT)
        with processes.heard():
            tell(_line("pyorder: interrupted", cause))
        return 128 + (received[0] if received else signal.SIGINT)
    except UsageError as error:
        message = error.format_message()  # type: ignore[attr-defined]
        return refuse(error, message, 2)
    except InputError as error:
        return refuse(error, str(error), 2)
    except (ValueError, TypeError, OverflowError) as error:
        if terminal.working:
            return refuse(error, f"{type(error).__name__}: {error}", 1)
        return refuse(error, str(error), 2)
    except Exception as error:
        return refuse(error, f"{type(error).__name__}: {error}", 1)


def _interrupt_on_signals(processes: Processes) -> tuple[list[int], dict[signal.Signals, Any]]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does; those that came, and the handlers from before.

    A handler of the calling program's, and one that ignores the signal (``nohup``), stay as they are. Of several
    processes each heeds the first signal alone: what a terminal sends to all comes once more from torchrun, while
    what was found is being saved.
    """
    received: list[int] = []

    def interrupt(number: int, frame: object) -> None:
        received.append(number)
        if len(received) == 1 or not processes.several:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        return received, {}
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    if processes.several and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        numbers.append(signal.SIGINT)
    return received, {number: signal.signal(number, interrupt) for number in numbers}


def _refuse(error: BaseException, message: str, code: int, debug: bool, processes: Processes) -> int:
    if debug:
        traceback.print_exception(error)
    if (told := processes.refusal(error, message)) is not None:
        tell(_line(told, error))
    return code


def _line(message: str, error: BaseException) -> str:
    """Write a message and the notes of its error in one line."""
    return " ".join("; ".join([message, *getattr(error, "__notes__", [])]).split())
