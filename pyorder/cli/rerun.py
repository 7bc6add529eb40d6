"""`pyorder rerun`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from pyorder.cli import _options as options


def command(
    run_dir: Annotated[
        Path, typer.Argument(help="Folder that `pyorder discover --out` wrote.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="A new folder for what comes out; without one it is not kept.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Repeat a run of discover and say whether it agrees bit for bit; exit code 0 if so, 1 if it differs.

    With the same options, threads and precision, from the folder that the run was begun in, if its files are
    named from there.
    """
    import torch

    from pyorder.cli._terminal import print_json, print_table, say
    from pyorder.errors import InputError
    from pyorder.execution import threads
    from pyorder.runs.agreement import circumstances, differences
    from pyorder.runs.claim import JOURNAL
    from pyorder.runs.folder import load_run

    before = load_run(run_dir, name="RUN_DIR")
    if out is not None and out.resolve() == run_dir.resolve():
        raise InputError("--out: a new folder is needed, not the run's own")
    arguments = before.config.get("settings", {}).get("arguments")
    if before.kind != "comparison" or not isinstance(arguments, dict):
        raise InputError(
            f"RUN_DIR: {str(run_dir)!r} is no run of `pyorder discover`: there is no command to repeat"
        )
    if (run_dir / JOURNAL).exists():
        raise InputError(f"RUN_DIR: the run in {str(run_dir)!r} has not ended; ask for it again to go on")
    resolved = before.config["settings"].get("precision", arguments.get("precision"))  # older folders have none
    again = {name: value for name, value in arguments.items() if name != "as_json"} | {"precision": resolved}
    with _folder(out) as folder:
        count = before.searches[0].config.get("threads") if before.searches else None
        with threads(count or torch.get_num_threads()), redirect_stdout(StringIO()):
            _discover({**again, "out": str(folder)})
        after = load_run(folder)
        around, found = circumstances(before, after), differences(before, after)
    if as_json:
        print_json({"agrees": not found, "circumstances": around, "differences": found})
    else:
        if around:
            say("run with other circumstances:")
            print_table(["", ">then", ">now"], [[one.what, one.before, one.after] for one in around])
            say()
        if found:
            say("DIFFERS: the results are not the same.")
            print_table(["", "then", "now"], [[one.what, one.before, one.after] for one in found])
        else:
            say("AGREES: order, losses and weights are the same in every bit.")
        if arguments.get("budget_seconds") is not None:
            say("The search had a budget in seconds, which it may spend otherwise at any time.")
        if out is not None:
            say(f"saved in {out}")
    if found:
        raise typer.Exit(1)


def _discover(arguments: Mapping[str, Any]) -> None:
    """Run `pyorder discover` with arguments as its folder keeps them."""
    from pyorder.cli._words import discover_parser, option_words
    from pyorder.errors import InputError

    made = discover_parser()
    known = {option.name: option for option in made.params}
    words, given = [], []
    for name, value in arguments.items():
        if name not in known:
            raise InputError(f"RUN_DIR: the run was given {name!r} by another version, and discover takes none")
        if known[name].param_type_name != "argument":
            words += option_words(known[name], value)
        elif value is not None:
            given.append(str(value))
    if made.main([*words, "--", *given], prog_name="pyorder discover", standalone_mode=False) == 130:
        raise KeyboardInterrupt  # which was answered for


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    """The folder to run in; one that is gone afterwards, where none is given."""
    if out is not None:
        yield out
        return
    with TemporaryDirectory(prefix="pyorder-rerun-") as made:
        try:
            yield Path(made)
        except typer.Abort:  # whose notes tell of a folder that goes
            raise typer.Abort from None
