"""Dependencies: what each step is worth to each other, and the graph read off it."""

from pyorder.dependencies.explorer import Explorer
from pyorder.dependencies.graph import Dependency, Exploration, Round
from pyorder.dependencies.opposed import Opposed

__all__ = ["Dependency", "Exploration", "Explorer", "Opposed", "Round"]
