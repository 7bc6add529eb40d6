"""The same search again and again, each time on other rows, with other labels, or from another seed.

*Other rows* are halves of the rows, two by two without a row in common, each with a seed and a secret shuffle of
the columns of its own (Meinshausen and Bühlmann 2010; Shah and Samworth 2013). A bootstrap would draw rows twice,
and one that is both trained on and weighed as evidence looks learned; in a half no row stands twice that the data
have once. It has fewer rows, though: what it finds is found the harder.

*Other labels*: same rows and same seed, with the columns in another secret sequence. *Other seeds*: same rows and
same sequence. If orders lie as far apart in the one as in the other, labels count no more than chance.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pyorder._checks import check_integer
from pyorder.data.dataset import Dataset
from pyorder.progress import Progress, Report, duration, resolve_progress
from pyorder.runs.folder import RunDir
from pyorder.search.discovery import Discovery
from pyorder.search.stability import Stability, agree
from pyorder.streams import seed_from, stream

Orders = npt.NDArray[np.int64]

FOLDER = "resamples"  # in a run folder, with a folder for each search


@dataclass(frozen=True)
class Resamples:
    """How many searches to add: on other rows, with other labels, and from other seeds.

    Examples
    --------
    >>> Resamples.of(10).count, Resamples(rows=10).count
    (30, 10)
    """

    rows: int = 0
    labels: int = 0
    seeds: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers below zero."""
        for name in ("rows", "labels", "seeds"):
            check_integer(getattr(self, name), f"resamples: {name}", 0)

    @classmethod
    def of(cls, given: int | Resamples) -> Resamples:
        """So many of each, where one number is given."""
        if isinstance(given, Resamples):
            return given
        number = check_integer(given, "resamples", 0)
        return cls(number, number, number)

    @property
    def count(self) -> int:
        """Searches in all."""
        return self.rows + self.labels + self.seeds


# A search on rows, with the columns moved to the places that an order says, from a seed.
Search = Callable[[Dataset, Orders, int, "Report | None", "Path | None"], Discovery]


def resampled(
    found: Discovery,
    search: Search,
    train: Dataset,
    shuffle: Orders,
    resamples: Resamples,
    *,
    progress: Report | bool | None,
    run_dir: RunDir | None,
) -> Discovery:
    """What a search found, with what the same search finds again: `Discovery.stability`.

    Parameters
    ----------
    found, train, shuffle : the first search's result, its rows, and the places that its columns were moved to
    search : does it again; what it returns is in the data's own steps
    run_dir : of the first search; each of the others has a folder below, and those that have ended are read back
    """
    if found.uses_data_order:
        resamples = replace(resamples, labels=0)  # columns are not moved: there are no labels to exchange
    if not resamples.count or _has(found, resamples):
        return found
    folder = None if run_dir is None else Path(run_dir) / FOLDER
    started, groups = time.perf_counter(), dict[str, list[Discovery]](rows=[], labels=[], seeds=[])
    with resolve_progress(progress, "resamples") as report:
        if report is not None:
            about = duration(resamples.count * found.seconds)
            report(Progress(f"{resamples.count} more searches, some {about}", 0.0, 0.0))
        for number, (kind, rows, places, seed) in enumerate(_plan(found, train, shuffle, resamples)):

            def told(inner: Progress, number: int = number) -> None:
                assert report is not None
                stage = f"search {number + 1} of {resamples.count}: {inner.stage}"
                share = (number + inner.share) / resamples.count
                report(replace(inner, stage=stage, share=share, seconds=time.perf_counter() - started))

            inside = None if folder is None else folder / f"{kind}-{len(groups[kind]) + 1}"
            try:
                groups[kind].append(search(rows, places, seed, None if report is None else told, inside))
            except BaseException as error:  # whose other notes are of this search, and not of the first
                which, first = f"search {number + 1} of {resamples.count} more", ",".join(found.names)
                error.add_note(f"that was {which}; the order of the first search: {first}")
                raise
    length = len(found.order)
    orders = {
        kind: np.array([one.order for one in group], np.int64).reshape(-1, length)
        for kind, group in groups.items()
    }
    edges = np.zeros((length, length))
    for one in groups["rows"]:
        for edge in one.dependencies or ():
            edges[edge.before, edge.after] += 1
    stability = Stability(
        orders=orders["rows"],
        edges=edges / max(1, resamples.rows),
        consensus=agree(orders["rows"], found.constraints, found.seed) if resamples.rows else found.order,
        relabelled=orders["labels"],
        reseeded=orders["seeds"],
        seconds=sum(one.seconds for group in groups.values() for one in group),
    )
    found = replace(found, stability=stability)
    if run_dir is not None:
        found.write(Path(run_dir))
    return found


def _has(found: Discovery, resamples: Resamples) -> bool:
    """Whether just that is known already."""
    known = found.stability
    if known is None:
        return False
    return Resamples(len(known.orders), len(known.relabelled), len(known.reseeded)) == resamples


def _plan(
    found: Discovery, train: Dataset, shuffle: Orders, resamples: Resamples
) -> Iterator[tuple[str, Dataset, Orders, int]]:
    """The kind of each search, its rows, the places of the columns, and its seed."""
    length = len(shuffle)

    def generator(kind: int, number: int) -> np.random.Generator:
        return stream(found.seed, "resamples", kind, number)

    def places(rng: np.random.Generator) -> Orders:
        return shuffle if found.uses_data_order else rng.permutation(length)

    for number in range(resamples.rows):
        rows = generator(0, number // 2).permutation(len(train))
        half = rows[: len(rows) // 2] if number % 2 == 0 else rows[len(rows) // 2 :]
        rng = generator(1, number)
        yield "rows", train.select(np.sort(half)), places(rng), seed_from(rng)
    for number in range(resamples.labels):
        yield "labels", train, places(generator(2, number)), found.seed
    for number in range(resamples.seeds):
        yield "seeds", train, shuffle, seed_from(generator(3, number))
