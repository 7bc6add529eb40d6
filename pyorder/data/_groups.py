"""Equal rows of integer arrays, found by a hash of their bytes: nothing is sorted, and no row is copied.

=========  ==================  =====================================================================
symbol     shape, type         meaning
=========  ==================  =====================================================================
N, M                           numbers of rows
X                              number of columns; without any, all rows are equal
rows       (N, X) integers     rows of any integer type, read where they lie if they are contiguous
known      (M, X) integers     those they are looked for among; may have another integer type
=========  ==================  =====================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyorder import _core
from pyorder._checks import integer_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


def group_rows(rows: ArrayLike) -> NDArray[np.int64]:
    """Return the number of every row among the different ones, counted as they first appear: (N,).

    Takes at most 22 bytes a row beside the result.

    Examples
    --------
    >>> group_rows([[7, 2], [0, 1], [7, 2], [1, 0]])
    array([0, 1, 0, 2])
    """
    return _core.row_index.group_rows(integer_array(rows, "rows"))


def rows_among(rows: ArrayLike, known: ArrayLike) -> NDArray[np.bool_]:
    """Return which rows occur among the known ones, compared as numbers whatever their types: (N,).

    Takes at most 22 bytes a known row beside the result.

    Raises
    ------
    ValueError
        When they have different numbers of columns.

    Examples
    --------
    >>> rows_among([[3, 4], [4, 3]], known=[[1, 2], [3, 4]])
    array([ True, False])
    """
    return _core.row_index.rows_among(integer_array(rows, "rows"), integer_array(known, "known"))
