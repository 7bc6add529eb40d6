from pyorder._core import linear_ordering, moves, permutation, poset, row_index, safetensors, tasks

__all__ = ["linear_ordering", "moves", "permutation", "poset", "row_index", "safetensors", "tasks"]
