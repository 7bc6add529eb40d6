from pyorder._core import moves, permutation, poset, safetensors, tasks

__all__ = ["moves", "permutation", "poset", "safetensors", "tasks"]
