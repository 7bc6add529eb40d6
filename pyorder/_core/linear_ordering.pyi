from typing import Any

import numpy as np
from numpy.typing import NDArray

# Orders of any integer type are checked here; weights and plain integers by pyorder.linear_ordering.
max_exact_length: int

def value(weights: NDArray[np.float64], orders: NDArray[np.integer[Any]]) -> NDArray[np.float64]: ...
def solve(weights: NDArray[np.float64], restarts: int, seed: int) -> NDArray[np.int64]: ...
def solve_exact(weights: NDArray[np.float64]) -> NDArray[np.int64]: ...
