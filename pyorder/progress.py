"""What a long call tells its caller while it runs; nothing here prints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """One report of a running call.

    Attributes
    ----------
    stage : what is being done
    share : share of the call's work that is done, from 0 to 1; an estimate
    seconds : since the call began
    candidates : candidates of a search's finished profiling runs
    best_loss : lowest loss (nats a step) of the last finished profile; losses of two profiles do not compare
    """

    stage: str
    share: float
    seconds: float
    candidates: int = 0
    best_loss: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Time left at the pace so far; None before there is a pace.

        Examples
        --------
        >>> Progress("training", share=0.25, seconds=10.0).seconds_left
        30.0
        """
        return self.seconds * (1 - self.share) / self.share if self.share > 0.01 else None


Report = Callable[[Progress], None]
