"""What steps lose before anything is learned: the entropy of their values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyorder.data.schema import IGNORED
from pyorder.data.tokens import Tokens

MOST_COUNTED = 2**20  # different ids that are counted in a table of all


def entropies(tokens: Tokens, rows: Tensor | slice = slice(None)) -> npt.NDArray[np.float64]:
    """Entropy (L,) in nats of each step over some rows: of its first column, and of each next one given the last.

    For a step of one column that is the entropy of its values; for a wide one what is lost by a model that sees
    nothing but the step's own columns, as far as neighbours tell. Where the data leave a missing step out of the
    loss, it is the entropy of the rows that have the step, times their share.

    Examples
    --------
    >>> tokens = Tokens.of(Dataset([[0], [0]], [[0, 1], [1, 1]]), "train", torch.device("cpu"))
    >>> entropies(tokens).round(3).tolist()
    [0.693, 0.0]
    """
    size = tokens.vocabulary_size + 1
    found = np.zeros(tokens.length)
    for step, (first, stop) in enumerate(zip(tokens.schema.offsets[:-1], tokens.schema.offsets[1:], strict=True)):
        before: Tensor | None = None
        there = tokens.targets[rows, first] != IGNORED
        if not bool(there.any()):
            continue
        for column in range(first, stop):
            ids = tokens.targets[rows, column][there].long()
            ids = torch.where(ids == IGNORED, size - 1, ids)  # nothing there: certain, after an end
            found[step] += _entropy(ids, size)
            if before is not None:
                found[step] += (
                    _entropy(before * size + ids, size * size) - _entropy(before, size) - _entropy(ids, size)
                )
            before = ids
        found[step] *= float(there.double().mean())
    return found + 0.0


def _entropy(ids: Tensor, size: int) -> float:
    counts = ids.bincount(minlength=size) if size <= MOST_COUNTED else torch.unique(ids, return_counts=True)[1]
    share = counts.double() / len(ids)
    return -float(torch.special.xlogy(share, share).sum())
