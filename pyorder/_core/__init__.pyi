from pyorder._core import moves, permutation, safetensors, tasks

__all__ = ["moves", "permutation", "safetensors", "tasks"]
