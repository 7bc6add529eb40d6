"""What models see of a dataset: token ids, on the device that is to work with them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from pyorder.data.dataset import Dataset


def tokens(
    data: Dataset, vocabulary: npt.NDArray[np.int64], name: str, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets as token ids on ``device``."""
    inputs, targets = data.encode(vocabulary, name=name)
    return torch.from_numpy(inputs).to(device).long(), torch.from_numpy(targets).to(device).long()


def check_same_shape(train: Dataset, other: Dataset, name: str) -> None:
    """Refuse a split whose rows are not as long as the training rows."""
    wanted = (train.input_length, train.target_length)
    given = (other.input_length, other.target_length)
    if given != wanted:
        raise ValueError(f"{name}: rows of {given} inputs and steps given, training has {wanted}")
