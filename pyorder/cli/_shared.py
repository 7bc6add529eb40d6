"""Whether rows that rank or test have inputs that are trained on."""

from __future__ import annotations

import numpy as np

from pyorder.cli._terminal import warn
from pyorder.data._groups import rows_among
from pyorder.data.dataset import Dataset
from pyorder.data.splitting import comparable


def warn_of_shared_inputs(train: Dataset, **others: Dataset) -> None:
    """Say on standard error which other splits have inputs of the training rows, as only own files can have."""
    for name, part in others.items():
        if part.metadata.get("split_by") == "row":  # known, and said when it was split
            continue
        if shared := shared_inputs(train, part):
            warn(f"{name}: {shared:,} of {part.rows:,} rows have an input that is trained on")


def shared_inputs(train: Dataset, other: Dataset) -> int:
    """Count the rows of a dataset whose input is also one of the training rows'; none where there are no inputs.

    Examples
    --------
    >>> shared_inputs(Dataset([[1, 2], [3, 4]], [[0, 0]] * 2), Dataset([[3, 4], [4, 3]], [[0, 0]] * 2))
    1
    """
    if train.input_length != other.input_length or train.input_length == 0:
        return 0
    missing = [data.inputs_missing for data in (train, other)]
    if any(gaps is not None for gaps in missing):
        missing = [
            np.zeros(data.inputs.shape, np.bool_) if gaps is None else gaps
            for data, gaps in zip((train, other), missing, strict=True)
        ]
    known, rows = (comparable(data.inputs, gaps) for data, gaps in zip((train, other), missing, strict=True))
    return int(rows_among(rows, known).sum())
