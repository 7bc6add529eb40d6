"""Training: the one loop, its numbers, and final training on one order."""

from pyorder.training.fit import fit
from pyorder.training.fitted import Fitted
from pyorder.training.orders import OrderSource
from pyorder.training.presets import PRESETS, Preset
from pyorder.training.recipe import Recipe
from pyorder.training.trainer import Trainer

__all__ = ["PRESETS", "Fitted", "OrderSource", "Preset", "Recipe", "Trainer", "fit"]
