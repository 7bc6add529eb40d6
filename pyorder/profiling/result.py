"""What a profiling run says of its candidates, and what it has cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pyorder._values import ByContents
from pyorder.errors import InputError
from pyorder.runs.folder import (
    HISTORY,
    STAGE_ARRAYS,
    RunDir,
    StageRecord,
    load_kind,
    make_run_dir,
    reading,
    write_history,
    write_run,
)
from pyorder.streams import stream

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

EARLY = 0.2  # learned; below, the loss of a chain is often no lower than that of its reverse (docs/results.md)


@dataclass(frozen=True)
class Cost:
    """What profiling has cost: optimiser steps, and rows x orders that were scored."""

    training_steps: int = 0
    rows_scored: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.training_steps + other.training_steps, self.rows_scored + other.rows_scored)


@dataclass(frozen=True, eq=False)
class Profile(ByContents):
    """The result of one profiling run; its losses compare with each other and with nothing else.

    Attributes
    ----------
    orders : (T, L) int64, the candidates as given
    loss : (T,) float64, mean validation loss in nats a step, mean over seeds; where steps have weights, the sum of
        weights times step losses over the sum of the weights
    step_loss : (T, L) float64, mean validation loss of each canonical step, whatever its weight
    standard_error : (T,) float64, over validation rows, of the paired difference to the best order; where the
        validation rows have groups, by groups
    ranking : (T,) int64, candidates by loss, best first; ties are broken at random, by the seed
    seed_loss : (k, T) float64, the loss of each seed's run
    training_loss : (k, steps) float32, nats a step
    cost : training steps and rows scored
    seconds : wall time
    settings : how it was run: model, steps, batch size, learning rate, precision, device, seeds; and the steps'
        mean entropy, in nats a step
    row_loss : (R, T) float32, the loss of each validation row in nats a row, whatever the weights of steps, mean
        over seeds; None unless asked for
    step_names : what the steps are called, by canonical step; none where they have no names
    """

    orders: Orders
    loss: Floats
    step_loss: Floats
    standard_error: Floats
    ranking: npt.NDArray[np.int64]
    seed_loss: Floats
    training_loss: npt.NDArray[np.float32]
    cost: Cost
    seconds: float
    settings: dict[str, Any]
    row_loss: npt.NDArray[np.float32] | None = None
    step_names: tuple[str, ...] = ()

    @property
    def best(self) -> Orders:
        """The order of lowest loss, (L,)."""
        best: Orders = self.orders[self.ranking[0]]
        return best

    @property
    def best_loss(self) -> float:
        """The lowest loss, nats a step: that of `best`."""
        return float(self.loss[self.ranking[0]])

    @property
    def learned(self) -> float | None:
        """Share of the steps' entropy that the best order no longer loses; None where that was not kept."""
        entropy = self.settings.get("entropy")
        return None if not entropy else 1 - self.best_loss / entropy

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the losses cannot tell, in words."""
        learned = self.learned
        if learned is None or learned >= EARLY or len(self.orders) == 1:
            return ()
        return (
            f"The best order has learned {max(0.0, 100 * learned):.0f} % of its steps' entropy: where that is so "
            "little, losses hardly tell which of two steps comes first.",
        )

    @property
    def seed_spread(self) -> Floats | None:
        """(T,) standard deviation over seeds of a candidate's distance to its run's mean; None for one seed."""
        if len(self.seed_loss) == 1:
            return None
        centred = self.seed_loss - self.seed_loss.mean(1, keepdims=True)
        spread: Floats = centred.std(0, ddof=1)
        return spread

    @property
    def rank_correlation(self) -> float | None:
        """Mean Spearman correlation of the ranking between pairs of seeds.

        None where there is no such thing: for one seed, for one order, or if a seed's losses are all equal.
        """
        if len(self.seed_loss) == 1:
            return None
        ranks = np.array(
            [  # equal losses share their mean rank
                np.searchsorted(np.sort(loss), loss, "left") + np.searchsorted(np.sort(loss), loss, "right")
                for loss in self.seed_loss
            ]
        )
        if (ranks == ranks[:, :1]).all(1).any():
            return None
        pairs = np.corrcoef(ranks)[np.triu_indices(len(ranks), 1)]
        return float(pairs.mean())

    @property
    def best_agreement(self) -> float | None:
        """Share of seeds in which no order is better than the overall best; None for one seed."""
        if len(self.seed_loss) == 1:
            return None
        best = self.seed_loss[:, self.ranking[0]]
        # A loss that is not a number is no better than any, and its order no seed's best.
        return float((np.isfinite(best) & ~(self.seed_loss < best[:, None]).any(1)).mean())

    def summary(self) -> dict[str, Any]:
        """What the profile says, in values of JSON; candidates best first, with names where steps have some."""
        spread = self.seed_spread
        return {
            "candidates": [
                {
                    "order": self.orders[i].tolist(),
                    **({"names": [self.step_names[step] for step in self.orders[i]]} if self.step_names else {}),
                    "loss": float(self.loss[i]),
                    "standard_error": float(self.standard_error[i]),
                    "seed_spread": None if spread is None else float(spread[i]),
                }
                for i in self.ranking
            ],
            "rank_correlation": self.rank_correlation,
            "best_agreement": self.best_agreement,
            "learned": self.learned,
            "remarks": list(self.remarks),
            "training_steps": self.cost.training_steps,
            "rows_scored": self.cost.rows_scored,
            "seconds": self.seconds,
        }

    def save(self, run_dir: RunDir) -> None:
        """Write a run folder, see `pyorder.runs`; ValueError if it holds something or takes no files."""
        self.write(make_run_dir(run_dir))

    def write(self, folder: Path) -> None:
        """Write the files of a run into a folder that is there; see `save`."""
        write_history(folder / HISTORY, [self.record("profile", self.seconds)])
        write_run(folder, "profile", self.settings, self.summary(), device=self.settings.get("device"))

    @classmethod
    def load(cls, run_dir: RunDir) -> Profile:
        """Read a run folder of a profile back: a result equal to the one that was saved.

        Raises
        ------
        ValueError
            If the folder holds no profile, or one of a version before 0.2, which `pyorder.runs.load_run` reads.

        Examples
        --------
        >>> Profile.load("/nowhere")
        Traceback (most recent call last):
        pyorder.errors.InputError: run_dir: '/nowhere' is no run folder: config.json: No such file or directory
        """
        run = load_kind(run_dir, "profile", "profile")
        with reading(run.folder):
            (record,) = run.history()
            return cls.of_record(record)

    def record(self, name: str, seconds: float) -> StageRecord:
        """As it is kept on disk: under a name, and with the time at which the run ended."""
        return StageRecord(
            name=name,
            seconds=seconds,
            about={
                **asdict(self.cost),
                "seconds": self.seconds,
                # Among the settings, which all runs of a search share on disk.
                "settings": self.settings | ({"step_names": list(self.step_names)} if self.step_names else {}),
            },
            **{array: getattr(self, array) for array in STAGE_ARRAYS},
        )

    @classmethod
    def of_record(cls, record: StageRecord) -> Profile:
        """The profile that a record is of; ValueError if it was written before version 0.2."""
        if record.about is None:
            raise InputError(
                f"run_dir: the profiling run {record.name!r} was saved by a version of pyorder before 0.2, "
                "which kept less; load_run reads what there is"
            )
        about, settings = record.about, dict(record.about["settings"])
        return cls(
            cost=Cost(about["training_steps"], about["rows_scored"]),
            seconds=about["seconds"],
            step_names=tuple(settings.pop("step_names", ())),
            settings=settings,
            **{array: getattr(record, array) for array in STAGE_ARRAYS},
        )


def ranked(loss: Floats, seed: int) -> npt.NDArray[np.int64]:
    """Places of the losses (T,), lowest first; ties, and what is not finite, in a sequence that the seed draws.

    Examples
    --------
    >>> ranked(np.array([0.3, 0.1, 0.2]), seed=0).tolist()
    [1, 2, 0]
    """
    ties = stream(seed, "ties").permutation(len(loss))
    ranking: npt.NDArray[np.int64] = np.lexsort((ties, loss))
    return ranking
