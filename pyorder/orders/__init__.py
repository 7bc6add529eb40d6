"""Orders of the steps: permutations, their neighbourhoods, dependency graphs and linear ordering."""

from pyorder.orders import linear_ordering, moves, permutations, posets

__all__ = ["linear_ordering", "moves", "permutations", "posets"]
