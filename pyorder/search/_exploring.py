"""The options of an exploration, and what a round of it costs."""

from __future__ import annotations

from dataclasses import dataclass

from pyorder._checks import check_integer
from pyorder.models.architecture import Architecture
from pyorder.profiling.result import Cost
from pyorder.training.presets import EXPLORER
from pyorder.training.recipe import Recipe

# Of training rows, scored beside the evidence. They lose less where rows are learned by heart.
MEMORY_ROWS = 512
EPOCHS = 4  # passes over few rows in a round, at most
FEWEST_STEPS = 10  # of training in a round


@dataclass(frozen=True)
class Exploring:
    """The options of an exploration, as `Precedence` tells them."""

    error_rate: float = 0.01
    share: float = 0.1
    samples: int = 2048
    rounds: int = 80
    architecture: Architecture = EXPLORER.architecture
    recipe: Recipe = EXPLORER.recipe

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        for option in ("error_rate", "share"):
            value = getattr(self, option)
            if not isinstance(value, float) or not 0 < value < 1:
                raise ValueError(f"{option}: expected a number between 0 and 1, got {value!r}")
        for option in ("samples", "rounds"):
            check_integer(getattr(self, option), option, 1)
        for option, kind in (("architecture", Architecture), ("recipe", Recipe)):
            if not isinstance(getattr(self, option), kind):
                raise TypeError(f"{option}: expected {kind.__name__}, got {type(getattr(self, option)).__name__}")
        if self.recipe.step_weights is not None:
            raise ValueError("recipe: exploration weighs no steps; give step_weights to the search")

    def round_cost(self, training_rows: int | None = None) -> Cost:
        """Cost of a round: training, every sample in an order and its reverse, and rows in sorts, at most.

        Where rows are known to be few it has fewer training steps.
        """
        steps = self.recipe.steps
        if training_rows is not None:
            steps = min(steps, max(FEWEST_STEPS, EPOCHS * training_rows // self.recipe.batch_size))
        return Cost(steps, 2 * self.samples) + self.scoring_cost()

    def scoring_cost(self) -> Cost:
        """Cost of what is lost in sorts of a graph: evidence and training rows, at most."""
        return Cost(0, self.samples + MEMORY_ROWS)
