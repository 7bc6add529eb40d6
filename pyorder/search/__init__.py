"""Searching for an order: strategies, the laboratory they work in, and what they find."""

from pyorder.dependencies.verdict import Verdict
from pyorder.search.budget import Budget, BudgetSpentError
from pyorder.search.discover import discover, discover_shuffled
from pyorder.search.discovery import Discovery, Stage
from pyorder.search.laboratory import Laboratory
from pyorder.search.levels import Bound, LevelCheck, check_levels
from pyorder.search.resampling import Resamples
from pyorder.search.stability import Stability
from pyorder.search.strategies import (
    Annealing,
    Evolutionary,
    Exhaustive,
    Greedy,
    Hierarchical,
    Precedence,
    Random,
    Soft,
    make_strategy,
    strategy_names,
)
from pyorder.search.strategy import Strategy

__all__ = [
    "Annealing",
    "Bound",
    "Budget",
    "BudgetSpentError",
    "Discovery",
    "Evolutionary",
    "Exhaustive",
    "Greedy",
    "Hierarchical",
    "Laboratory",
    "LevelCheck",
    "Precedence",
    "Random",
    "Resamples",
    "Soft",
    "Stability",
    "Stage",
    "Strategy",
    "Verdict",
    "check_levels",
    "discover",
    "discover_shuffled",
    "make_strategy",
    "strategy_names",
]
