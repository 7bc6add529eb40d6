from typing import Any

import numpy as np
from numpy.typing import NDArray

def group_rows(rows: NDArray[np.integer[Any]]) -> NDArray[np.int64]: ...
def rows_among(rows: NDArray[np.integer[Any]], known: NDArray[np.integer[Any]]) -> NDArray[np.bool_]: ...
