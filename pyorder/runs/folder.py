"""Run folders: what a long call leaves on disk, and how it is read back.

======================  ========================================================================================
config.json             what was asked for: the kind of run, its settings, versions, machine, date
result.json             what came out; written last
history.safetensors     of a profile or a search: everything of every profiling run, orders and losses first
precedence.safetensors  of a search that explores: benefits of all pairs, their errors, losses by step
fit.safetensors         of a final training: loss and validation curves, accuracy by step, success by test row
model.safetensors       of a final training: the weights, which `Fitted.load` reads
======================  ========================================================================================

A run folder starts new or empty, or is that of the same run (`pyorder.runs.claim`): nothing is overwritten. Each
file is written under another name and then renamed, so none is ever there by half.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pyorder._disk import TEMPORARY, parse_json, read_json, replacing
from pyorder._values import ByContents, same
from pyorder.data.files import read_safetensors, write_safetensors
from pyorder.errors import InputError
from pyorder.runs.environment import environment

if TYPE_CHECKING:
    from torch import nn

RunDir = str | os.PathLike[str]
HISTORY, ASKED = "history.safetensors", "asked.json"
KINDS = ("profile", "search", "fit", "comparison")
# Of a profiling run; folders that were written before version 0.2 have the first three.
STAGE_ARRAYS = (
    "orders",
    "loss",
    "standard_error",
    "step_loss",
    "ranking",
    "seed_loss",
    "training_loss",
    "row_loss",
)


@dataclass(frozen=True, eq=False)
class StageRecord(ByContents):
    """One profiling run as it is kept on disk; `Profile.load` and `Discovery.load` read it as what it was.

    Attributes
    ----------
    name : what the search was doing
    orders : (T, L) int64, the candidates
    loss : (T,) float64, nats a step; compares inside this run only
    standard_error : (T,) float64, of the paired difference to the best order
    seconds : wall time since the search began, at the end of the run
    step_loss, ranking, seed_loss, training_loss : as in `Profile`; None in folders from before version 0.2
    about : the profile's cost, time and settings, in values of JSON; None likewise
    row_loss : as in `Profile`, None unless it was asked for
    """

    name: str
    orders: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]
    standard_error: npt.NDArray[np.float64]
    seconds: float
    step_loss: npt.NDArray[np.float64] | None = None
    ranking: npt.NDArray[np.int64] | None = None
    seed_loss: npt.NDArray[np.float64] | None = None
    training_loss: npt.NDArray[np.float32] | None = None
    about: dict[str, Any] | None = None
    row_loss: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Run(ByContents):
    """A run folder that was read back; see `load_run`.

    Attributes
    ----------
    folder : where it lies
    kind : "profile", "search", "fit", or "comparison" (a search, and fits that compare its order with others)
    config, result : the two JSON files
    parts : the runs in its own folders, by their names; a comparison has them
    """

    folder: Path
    kind: str
    config: dict[str, Any]
    result: dict[str, Any]
    parts: dict[str, Run]

    @property
    def searches(self) -> list[Run]:
        """The searches and profiles: itself, or its parts."""
        return [part for part in (self, *self.parts.values()) if part.kind in ("search", "profile")]

    @property
    def fits(self) -> dict[str, Run]:
        """The final trainings by name: itself, or its parts."""
        return {name: part for name, part in {"fit": self, **self.parts}.items() if part.kind == "fit"}

    def history(self) -> tuple[StageRecord, ...]:
        """Read the profiling runs of a profile or a search."""
        return read_history(self.folder / HISTORY)

    def precedence(self) -> dict[str, npt.NDArray[Any]] | None:
        """Read ``benefit`` and ``standard_error`` (L, L) and losses by step; None where nothing was explored."""
        path = self.folder / "precedence.safetensors"
        return read_safetensors(path)[0] if path.exists() else None

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Read a fit: loss curve, accuracy by step, success, and a validation curve if there is one."""
        return read_safetensors(self.folder / "fit.safetensors")[0]


def make_run_dir(run_dir: RunDir, name: str = "run_dir") -> Path:
    """Make a folder for one run, unless it is there and empty, and make sure that it takes files.

    Raises
    ------
    ValueError
        If the folder holds something, or cannot be made or written to; ``name`` begins the message.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     make_run_dir(Path(parent, "new")).is_dir()
    True
    """
    folder = Path(run_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        empty = all(path.match(TEMPORARY) for path in folder.iterdir())  # those are of a process that was killed
    except OSError as error:
        raise ValueError(f"{name}: cannot write to {str(folder)!r}: {error.strerror}") from error
    if not empty:
        raise ValueError(f"{name}: {str(folder)!r} is not empty, and nothing is overwritten: give a new folder")
    return folder


def check_run_dir(run_dir: RunDir | None, name: str = "run_dir") -> None:
    """Find out before hours of work whether a folder will take their record; nothing is left behind.

    Raises
    ------
    ValueError
        As `make_run_dir` would; never for None.

    Examples
    --------
    >>> check_run_dir("/proc/new")
    Traceback (most recent call last):
    ValueError: run_dir: cannot write to '/proc/new': No such file or directory
    """
    if run_dir is None or os.path.exists(Path(run_dir) / ASKED):  # what was begun there may go on
        return
    folder = Path(run_dir)
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        make_run_dir(folder, name)
    finally:
        for path in missing:
            with suppress(OSError):
                path.rmdir()


def write_run(
    folder: Path, kind: str, settings: dict[str, Any], result: dict[str, Any], *, device: str | None = None
) -> None:
    """Write config.json and result.json; a result that is there already is replaced.

    ``device`` is where it was run, as torch calls it; None where that is not known.
    """
    write_json(folder / "config.json", {"kind": kind, "settings": settings, **environment(device)})
    write_json(folder / "result.json", result)


def read_history(path: Path) -> tuple[StageRecord, ...]:
    """Read profiling runs that `write_history` wrote."""
    arrays, metadata = read_safetensors(path)
    shared = parse_json(metadata.get("settings", "{}"))
    records = []
    for number, stage in enumerate(parse_json(metadata["stages"])):
        read: dict[str, Any] = {name: arrays.get(f"{number}.{name}") for name in STAGE_ARRAYS}
        for name in ("orders", "ranking"):
            if read[name] is not None:
                read[name] = read[name].astype(np.int64)
        if (about := stage.get("about")) is not None:
            about = {**about, "settings": {**shared, **about["settings"]}}
        records.append(StageRecord(stage["name"], seconds=stage["seconds"], about=about, **read))
    return tuple(records)


def write_history(path: Path, stages: Sequence[StageRecord]) -> None:
    """Write profiling runs; orders and rankings take the smallest unsigned type.

    Settings that all runs have in common are written once.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, stage in enumerate(stages):
        for name in STAGE_ARRAYS:
            if (array := getattr(stage, name)) is not None:
                integers = name in ("orders", "ranking")
                kind = np.min_scalar_type(array.shape[-1] - 1) if integers else array.dtype
                arrays[f"{number}.{name}"] = array.astype(kind)
    abouts = [stage.about for stage in stages if stage.about is not None]
    first = abouts[0]["settings"] if abouts else {}
    shared = {
        key: value
        for key, value in first.items()
        if all(key in about["settings"] and same(about["settings"][key], value) for about in abouts)
    }
    described = []
    for stage in stages:
        told = {"name": stage.name, "seconds": stage.seconds}
        if stage.about is not None:
            own = {key: value for key, value in stage.about["settings"].items() if key not in shared}
            told["about"] = {**stage.about, "settings": own}
        described.append(told)
    texts = {name: json.dumps(plain(value)) for name, value in (("stages", described), ("settings", shared))}
    write_safetensors(path, arrays, texts)


def write_precedence(folder: Path, arrays: dict[str, npt.NDArray[np.float64]]) -> None:
    """Write precedence.safetensors."""
    write_safetensors(folder / "precedence.safetensors", dict(arrays))


def write_fit(folder: Path, arrays: dict[str, npt.NDArray[Any]], module: nn.Module) -> None:
    """Write fit.safetensors and model.safetensors."""
    from safetensors.torch import save_model

    write_safetensors(folder / "fit.safetensors", arrays)
    with replacing(folder / "model.safetensors") as temporary:
        save_model(module, str(temporary))  # unlike save_file it takes weights that layers share


def load_weights(folder: Path, module: nn.Module) -> None:
    """Fill a module with the weights of model.safetensors.

    Raises
    ------
    ValueError
        If the file is not there, or holds the weights of another module.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    path = folder / "model.safetensors"
    try:
        load_model(module, path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"run_dir: {str(path)!r} cannot be read: {error}") from error
    except RuntimeError as error:
        reason = shorten(str(error), 200, placeholder=" ...")
        raise InputError(f"model: not the one whose weights are in {str(path)!r}: {reason}") from error


def load_run(run_dir: RunDir, name: str = "run_dir") -> Run:
    """Read a run folder back.

    Raises
    ------
    ValueError
        If it is none; ``name`` begins the message.

    Examples
    --------
    >>> load_run("/nowhere")
    Traceback (most recent call last):
    pyorder.errors.InputError: run_dir: '/nowhere' is no run folder: config.json: No such file or directory
    """
    run = _read_run(Path(run_dir), name)
    if run.kind == "comparison":  # which alone has parts, and they have none: a folder may link to itself
        for inner in sorted(run.folder.glob("*/result.json")):
            run.parts[inner.parent.name] = _read_run(inner.parent, name)
    return run


def _read_run(folder: Path, name: str) -> Run:
    try:
        config, result = (read_json(folder / file) for file in ("config.json", "result.json"))
        if config["kind"] not in KINDS or not isinstance(config["settings"], dict) or not isinstance(result, dict):
            raise TypeError
        return Run(folder, config["kind"], config, result, {})
    except OSError as error:
        reason = f"{Path(error.filename).name}: {error.strerror}"
        if (folder / ASKED).exists():
            reason = "a run was begun there and has no result yet; ask for it again to go on"
            if (found := folder / "search" / "result.json").exists():
                reason += f"; the best order so far is in {str(found.parent)!r}"
    except (ValueError, KeyError, TypeError) as error:
        reason = f"config.json and result.json were not written by pyorder ({type(error).__name__})"
    raise InputError(f"{name}: {str(folder)!r} is no run folder: {reason}")


@contextmanager
def reading(folder: Path, name: str = "run_dir") -> Iterator[None]:
    """A block that takes what it does from a run folder: whatever is missing or odd there is one error about it.

    Raises
    ------
    InputError
        That the folder is damaged; ``name`` begins the message.
    """
    try:
        yield
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, InputError) and str(folder) in str(error):  # which says all there is to say
            raise
        told = shorten(f"{type(error).__name__}: {error}", 300, placeholder=" ...")
        raise InputError(f"{name}: {str(folder)!r} is damaged, or was not written by pyorder: {told}") from error


def load_kind(run_dir: RunDir, kind: str, what: str) -> Run:
    """Read a run folder of one kind back; ``what`` says in words what the folder should hold.

    Raises
    ------
    ValueError
        If it is no run folder or one of another kind; those of the kind that lie in it are named.
    """
    run = load_run(run_dir)
    if run.kind != kind:
        inner = ", ".join(repr(str(part.folder)) for part in run.parts.values() if part.kind == kind)
        told = f"; those in it are {inner}" if inner else ""
        raise InputError(f"run_dir: {str(run.folder)!r} is a {run.kind}, no {what}{told}")
    return run


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, all or nothing; see `plain` for the values."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain(value), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Turn arrays into lists, paths into text, and numbers without a JSON form (NaN, infinity) into None.

    Examples
    --------
    >>> plain({"loss": np.array([1.5, np.nan]), "rows": np.int64(3)})
    {'loss': [1.5, None], 'rows': 3}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
