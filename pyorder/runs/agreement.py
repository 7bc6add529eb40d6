"""Whether two run folders hold the same results, bit for bit, and what was different around them.

Times and dates are left out, all else counts: orders, verdicts, losses, weights. What differs in the circumstances
(versions, threads, hardware, settings) says why results may.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pyorder._disk import read_json
from pyorder.runs.folder import Run

CLOCK = {"seconds", "date"}  # keys of values that no two runs share
NOT_COMPARED = {
    "arguments",
    "kind",
}  # of config.json: a command's words, some of which stand for what was resolved


@dataclass(frozen=True)
class Difference:
    """One thing that two runs differ in.

    Attributes
    ----------
    what : a setting's name, or a file with what is in it
    before, after : what it is in the first run and in the second
    """

    what: str
    before: str
    after: str


def circumstances(before: Run, after: Run) -> list[Difference]:
    """What two runs, or parts of them, were asked for and run with, as far as it differs; each once.

    Examples
    --------
    >>> one, other = ({"threads": 1, "date": "today"}, {"threads": 2, "date": "tomorrow"})
    >>> runs = [Run(Path("."), "fit", config, {}, {}) for config in (one, other)]
    >>> circumstances(*runs)
    [Difference(what='threads', before='1', after='2')]
    """
    pairs = [
        (before, after),
        *((part, after.parts[name]) for name, part in before.parts.items() if name in after.parts),
    ]
    found: dict[Difference, None] = {}
    for one, other in pairs:
        for name, *values in _unlike(_settings(one.config), _settings(other.config)):
            found[Difference(name, *map(_shown, values))] = None
    return list(found)


def differences(before: Run, after: Run) -> list[Difference]:
    """What two runs found, as far as it differs: the files of results, and of arrays with their names.

    Raises
    ------
    ValueError
        If a file of either cannot be read.
    """
    found = []
    for name in sorted({name for run in (before, after) for name in _result_files(run.folder)}, key=_rank):
        paths = [run.folder / name for run in (before, after)]
        missing = ["missing" if not path.exists() else "there" for path in paths]
        if "missing" in missing:
            found.append(Difference(name, *missing))
        elif name.endswith(".json"):
            one, other = map(read_json, paths)
            found += [Difference(f"{name}: {key}", *map(_shown, two)) for key, *two in _unlike(one, other)]
        else:
            found += [Difference(f"{name}: {key}", *two) for key, *two in _unlike_arrays(*paths)]
    return found


def _rank(name: str) -> tuple[int, str]:
    return name.count("/"), name


def _result_files(folder: Path) -> Iterator[str]:
    for pattern in ("result.json", "*/result.json", "*.safetensors", "*/*.safetensors"):
        for path in folder.glob(pattern):
            yield path.relative_to(folder).as_posix()


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    told = {**config, **config.get("settings", {})}
    return {key: value for key, value in told.items() if key not in NOT_COMPARED | {"settings"}}


def _unlike(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The paths at which two values of JSON differ, and both values there; what a clock told is passed over."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            if key not in CLOCK:
                yield from _unlike(before.get(key), after.get(key), f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        if all(isinstance(item, dict) for item in (*before, *after)):
            for number, two in enumerate(zip(before, after, strict=True)):
                yield from _unlike(*two, f"{path}.{number}")
        elif before != after:
            yield path, before, after
    elif before != after:
        yield path, before, after


def _unlike_arrays(before: Path, after: Path) -> Iterator[tuple[str, str, str]]:
    import torch
    from safetensors import safe_open

    with safe_open(before, framework="pt") as one, safe_open(after, framework="pt") as other:
        for name in sorted({*one.keys(), *other.keys()}):
            if name not in one.keys() or name not in other.keys():  # noqa: SIM118
                yield (name, *("there" if name in file.keys() else "missing" for file in (one, other)))  # noqa: SIM118
                continue
            first, second = one.get_tensor(name), other.get_tensor(name)
            if (first.dtype, first.shape) != (second.dtype, second.shape):
                yield name, *(f"{item.dtype} {tuple(item.shape)}" for item in (first, second))
            elif not torch.equal(first.reshape(-1).view(torch.uint8), second.reshape(-1).view(torch.uint8)):
                far = np.nanmax(np.abs(first.double().numpy() - second.double().numpy()))
                count = int((first != second).sum())
                yield name, f"{count:,} of {first.numel():,} numbers", f"up to {far:.3g} away"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:56] + " ..."
