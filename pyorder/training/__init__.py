"""Training: the one loop, its numbers, and final training on one order."""

from pyorder.training.fit import Fitted, fit

__all__ = ["Fitted", "fit"]
