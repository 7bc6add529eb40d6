"""What a search may spend."""

from __future__ import annotations

from dataclasses import dataclass

from pyorder.profiling.result import Cost


class BudgetSpentError(Exception):
    """The next profiling run would go past the budget; the search ends with the best order so far."""


@dataclass(frozen=True)
class Budget:
    """The most that a search may spend; None is no limit.

    ``training_steps`` and ``rows_scored`` (rows x orders) are checked before a run, so they are never passed;
    ``seconds`` ends the search before the first run that starts after it. Strategies compare at equal cost
    when they are given equal steps and rows.

    Examples
    --------
    >>> Budget(training_steps=4000).allows(Cost(training_steps=4400), seconds=0.0)
    False
    """

    training_steps: int | None = None
    rows_scored: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits that are not positive."""
        for name in ("training_steps", "rows_scored", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"budget: {name}={value} given, a positive number or None is needed")

    def allows(self, cost: Cost, seconds: float) -> bool:
        """Whether a total ``cost`` reached by a run that starts after ``seconds`` is within the budget."""
        return (
            (self.training_steps is None or cost.training_steps <= self.training_steps)
            and (self.rows_scored is None or cost.rows_scored <= self.rows_scored)
            and (self.seconds is None or seconds < self.seconds)
        )
