"""What a run folder holds, read back as what it was, for a page to tell of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pyorder._statistics import standard_error
from pyorder._values import ByContents
from pyorder.errors import InputError
from pyorder.profiling.result import Orders, Profile
from pyorder.report.comparison import DISCOVERED
from pyorder.report.wording import shortened
from pyorder.runs.folder import Run
from pyorder.search.discovery import Discovery

LONGEST_NAME, LONGEST_ORDER = 32, 240  # characters of a name, and of an order in a line


@dataclass(frozen=True, eq=False)
class Contents(ByContents):
    """A run with its results.

    Attributes
    ----------
    run : the folder
    found : of the search, None where there is none
    profile : of a folder of loss profiling, None for others
    fits : what each final training reached, by its name, as result.json has it
    arrays : of the final trainings, as `Run.arrays` reads them
    order : (L,) int64, the order found, of the lowest loss, or trained on
    names : (L,) what the steps are called, by canonical step
    """

    run: Run
    found: Discovery | None
    profile: Profile | None
    fits: Mapping[str, Mapping[str, Any]]
    arrays: Mapping[str, Mapping[str, npt.NDArray[Any]]]
    order: Orders
    names: tuple[str, ...]

    @property
    def data(self) -> Mapping[str, Any]:
        """What is kept of the data; nothing for runs from Python."""
        return self.run.result.get("data") or {}

    @property
    def profiles(self) -> list[tuple[str, Profile]]:
        """The profiling runs with what each was for, in sequence."""
        if self.profile is not None:
            return [("profile", self.profile)]
        return [] if self.found is None else [(stage.name, stage.profile) for stage in self.found.history]

    def more_lost(self, fit: str) -> tuple[float, float] | None:
        """What a final training loses more than that of the order found, nats a row, and the standard error.

        Row by row of the same test rows, which tells orders apart whose intervals overlap; None where not known.
        """
        ours, theirs = (self.arrays.get(name, {}).get("row_losses") for name in (DISCOVERED, fit))
        if fit == DISCOVERED or ours is None or theirs is None or ours.shape != theirs.shape:
            return None
        more = theirs.astype(np.float64) - ours
        if not np.isfinite(more).all():
            return None
        error = float(standard_error(more, self.arrays[fit].get("groups")))
        return None if math.isnan(error) else (float(more.mean()), error)

    def name(self, step: int) -> str:
        """What a step is called, cut where it is long."""
        return shortened(self.names[step], LONGEST_NAME)

    def told(self, order: npt.ArrayLike) -> str:
        """An order in a line, cut where it is long."""
        steps: list[int] = np.asarray(order).tolist()
        return shortened(" → ".join(map(self.name, steps)), LONGEST_ORDER)


def read_contents(run: Run) -> Contents:
    """Read what the files of a run folder hold.

    Raises
    ------
    InputError
        For a folder of a version before 0.2, which kept less.
    """
    found = profile = None
    for part in run.searches:
        if part.kind == "search" and "verdict" not in part.result:
            raise InputError(
                f"run: {str(part.folder)!r} was saved by a version of pyorder before 0.2, which kept too little "
                "for a page"
            )
        if part.kind == "search":
            found = Discovery.load(part.folder)
        else:
            profile = Profile.load(part.folder)
    fits = run.result.get("fits") or {name: part.result for name, part in run.fits.items()}
    order, told = _order(run, found, profile, list(fits.values()))
    by_step = dict(zip(order.tolist(), told, strict=True))
    return Contents(
        run,
        found,
        profile,
        fits,
        {name: run.fits[name].arrays() for name in fits if name in run.fits},
        order,
        tuple(by_step[step] for step in range(len(order))),
    )


def _order(
    run: Run, found: Discovery | None, profile: Profile | None, fits: Sequence[Mapping[str, Any]]
) -> tuple[Orders, Sequence[str]]:
    """The order that the page is about, and the same as names."""
    if found is not None:
        return found.order, found.names
    if profile is not None:
        names = profile.step_names or tuple(map(str, range(len(profile.best))))
        return profile.best, [names[step] for step in profile.best]
    result = run.result if "order" in run.result else fits[0]
    order = np.array(result["order"], np.int64)
    return order, result.get("names") or [str(step) for step in order]
