"""Running a sweep: joblib hands the cells out, and each is a process and a run folder of its own.

======================  ========================================================================================
NAME/                   of each cell, as `pyorder discover --out` writes it; says whether it has finished
NAME.log                what the search of the cell said
asked.json, .lock       as in any run folder: a sweep that is going on locks out others
journal/going-*         there while a sweep is going on; once it is gone its cells end
======================  ========================================================================================

The threads, or the workers of a cluster, that joblib runs only wait for those processes. So a cell that crashes
takes no other with it, each has threads of its own number, and all backends end them in the same way.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pyorder._checks import check_integer
from pyorder.cli.sweeping.cell import Cell, check_cells
from pyorder.cli.sweeping.process import run_cell, run_named
from pyorder.cli.sweeping.table import SweepTable, read_table
from pyorder.errors import InputError
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.runs.claim import JOURNAL, claim, has_ended, join
from pyorder.runs.folder import RunDir

BACKENDS = ("local", "dask", "ray")


def sweep(
    cells: Sequence[Cell],
    *,
    folder: RunDir,
    backend: str = "local",
    jobs: int | None = None,
    progress: Report | bool | None = None,
) -> SweepTable:
    """Run many searches, each in its own process and resumable run folder; no finished one is run again.

    The same call goes on where a sweep was interrupted, in whatever way, and tries again what failed; there may be
    more cells in it. With an interrupt, cells that are being run save what they found before it is raised.

    Parameters
    ----------
    cells : `Cell`, no two alike
    folder : of the run folders; one sweep at a time
    backend : "local", or the name of a cluster, whose workers see the same folders: "dask" (the client of this
        program, or else the scheduler that ``DASK_SCHEDULER_ADDRESS`` names, or else a cluster on this machine) or
        "ray" (likewise, ``RAY_ADDRESS``)
    jobs : cells at once; None for one a core, or one where there is a GPU, and all that a cluster has
        room for
    progress : as in `profile`; a function is called first of all and after every cell

    Returns
    -------
    What came out of each cell, those that failed with the reason.

    Raises
    ------
    InputError
        If an argument is not as described, or another sweep is at work in the folder. Nothing has been run then.
    ModuleNotFoundError
        If the backend is not installed.

    Examples
    --------
    >>> import tempfile
    >>> few = {"train_rows": 500, "validation_rows": 50, "test_rows": 50, "steps": 3, "fit": False}
    >>> cells = [Cell("square", length=3, seed=seed, options=few) for seed in range(1)]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = sweep(cells, folder=folder)
    >>> sorted(table.records[0]["order"]), table.unfinished
    ([0, 1, 2], [])
    """
    cells = list(cells)
    check_cells(cells)
    if backend not in BACKENDS:
        raise InputError(f"backend: {backend!r} is none of {', '.join(map(repr, BACKENDS))}")
    if jobs is not None:
        check_integer(jobs, "jobs", 1)
    with (
        resolve_progress(progress, "sweep") as report,
        claim(folder, _ask, name="folder") as claimed,
        _engine(backend, jobs) as engine,
    ):
        whole = Path(folder).resolve()
        work = [(cell.name, cell.words, whole / cell.name) for cell in cells if not has_ended(whole / cell.name)]
        errors = {}
        started = time.perf_counter()

        def tell(done: int, last: str) -> None:
            if report is not None:
                share = done / len(work) if work else 1.0
                report(Progress(f"{done} of {len(work)} cells{last}", share, time.perf_counter() - started))

        tell(0, f", {len(cells) - len(work)} finished before")
        try:
            with closing(_finished(engine, work, whole / JOURNAL)) as ended:
                for done, (name, error) in enumerate(ended, 1):
                    if error is not None:
                        errors[name] = error
                    tell(done, f", {name} has finished" if error is None else f", {name} failed: {error}")
        except KeyboardInterrupt as stop:
            count = sum(has_ended(whole / cell.name) for cell in cells)
            stop.add_note(f"{count} of {len(cells)} cells have finished; the same call goes on in {folder}")
            raise
        claimed.finish()
        return read_table(cells, Path(folder), errors)


def run_alone(cells: Sequence[Cell], number: int, folder: RunDir) -> SweepTable:
    """Run one cell of a sweep, whose others are run elsewhere, as the jobs of an array are; what came out of it.

    Raises
    ------
    InputError
        If there is no such cell, or the folder is not that of a sweep.
    """
    check_cells(cells)
    check_integer(number, "cell", 0, len(cells) - 1)
    whole, cell = join(folder, _ask, name="folder"), cells[number]
    error = None
    if not has_ended(whole / cell.name):
        place, threads = (whole / cell.name).resolve(), _threads(_cores())
        error = run_cell(cell.words, place, where=Path.cwd(), threads=threads, going=None)
    return read_table([cell], whole, {} if error is None else {cell.name: error})


def _ask() -> dict[str, str]:
    """Of any sweep: its folder takes more cells later."""
    return {"kind": "sweep"}


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _threads(share: int) -> int:
    """The threads of a cell: its share of the cores, unless the environment says how many."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(said) if said.isdecimal() else share)


@dataclass(frozen=True, eq=False)
class _Engine:
    """How joblib hands cells out.

    Attributes
    ----------
    settings : of `joblib.parallel_config`
    threads : of a cell
    at_once : cells that are handed out before one has finished
    returns : how joblib gives results back
    """

    settings: dict[str, Any]
    threads: int
    at_once: int | str = "all"
    returns: str = "generator_unordered"


@contextmanager
def _engine(backend: str, jobs: int | None) -> Iterator[_Engine]:
    """The engine of a name; what it starts ends with the block."""
    if backend == "local":
        import torch

        count = jobs or (1 if torch.cuda.is_available() else _cores())
        yield _Engine({"backend": "threading", "n_jobs": count}, _threads(_cores() // count))
        return
    try:
        if backend == "dask":
            from distributed import Client, get_client
        else:
            import ray
            from ray.util.joblib import register_ray
    except ImportError:
        raise ModuleNotFoundError(
            f"backend: {backend!r} is not installed: pip install 'pyorder[{backend}]'", name=backend
        ) from None
    threads = _threads(1)
    if backend == "ray":
        began = ray.is_initialized()
        register_ray()
        try:  # its backend gives all results back at the end, and has as many workers as jobs
            yield _Engine({"backend": "ray", "n_jobs": jobs or -1}, threads, returns="list")
        finally:
            if not began:
                ray.shutdown()
        return
    try:
        client, own = get_client(), nullcontext()
    except ValueError:  # there is none
        client = own = Client(set_as_default=False)
    with own:
        yield _Engine({"backend": "dask", "client": client}, threads, jobs or "all")


def _finished(
    engine: _Engine, work: Sequence[tuple[str, list[str], Path]], journal: Path
) -> Generator[tuple[str, str | None], None, None]:
    """Run cells; the name of each as it ends, and why it has not finished.

    joblib runs in a thread, for an interrupt that meets it kills what is being run. One that meets this generator
    lets every cell save what it found.
    """
    for left in journal.glob("going-*"):  # of a sweep that was killed, whose cells may be alive on a cluster
        left.unlink()
    going = journal / f"going-{secrets.token_hex(4)}"
    going.touch()
    ended: SimpleQueue[tuple[str, str | None] | BaseException | None] = SimpleQueue()
    where = Path.cwd()

    def hand_out() -> None:
        from joblib import Parallel, delayed, parallel_config

        run = partial(run_named, where=where, threads=engine.threads, going=going)
        try:
            with parallel_config(**engine.settings):
                told = Parallel(return_as=engine.returns, batch_size=1, pre_dispatch=engine.at_once)
                for one in told(delayed(run)(*cell) for cell in work):
                    ended.put(one)
        except BaseException as error:  # is raised where the sweep was asked for
            ended.put(error)
        else:
            ended.put(None)

    thread = threading.Thread(target=hand_out, daemon=True)
    thread.start()
    try:
        while (one := ended.get()) is not None:
            if isinstance(one, BaseException):
                raise one
            yield one
    finally:
        going.unlink(missing_ok=True)
        thread.join()
