"""Looking values up: what stands beside a token's equal in the input.

Many steps are found in a list that the input holds: the next node in a list of edges, the field behind a name.
Attention learns that late, and in a mixture of orders hardly ever: one layer has to tell every input what stands
beside it, another has to compare values, and neither is worth anything alone. Here equality is given, and only
*where beside* is learned: a number for each pair of places of the input.

    B  rows    X  input length    S  places (those of the input come first)    V  vocabulary size    W  width
    H  ways of reading: what stands before and what stands behind mean different things
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyorder.models.architecture import Architecture
from pyorder.models.lookup import lookup

WAYS = 2
RATE = 20.0  # as of links in `pyorder.models.any_order`: Adam moves all parameters at one rate


class Matching(nn.Module):
    """Embeds, for each place, what stands beside the inputs that equal its token; nothing before it is trained.

    Examples
    --------
    >>> matching = Matching(PRESETS["nano"].architecture, vocabulary_size=9, input_length=4)
    >>> found = matching(torch.tensor([[5, 6, 7, 8, 7]]), hidden=9)
    >>> found.shape, found.any().item()
    (torch.Size([1, 5, 128]), False)
    """

    offsets: Tensor  # (H, 1)

    def __init__(self, architecture: Architecture, vocabulary_size: int, input_length: int) -> None:
        super().__init__()
        self.input_length, tokens = input_length, vocabulary_size + 1
        values = torch.empty(WAYS * tokens, architecture.width, dtype=torch.float32)
        self.values = nn.Parameter(nn.init.normal_(values, std=architecture.embedding_std))
        self.beside = nn.Parameter(torch.zeros(input_length, WAYS * input_length, dtype=torch.float32))
        self.register_buffer("offsets", tokens * torch.arange(WAYS)[:, None], persistent=False)

    def forward(self, given: Tensor, hidden: int) -> Tensor:
        """Tokens (B, S), of which the first X are the input -> (B, S, W); what is ``hidden`` equals nothing."""
        inputs = given[:, : self.input_length]
        values = lookup((inputs[:, None] + self.offsets).flatten(1), self.values)  # (B, H X, W)
        found: Tensor = equals(given, inputs, hidden) @ (RATE * self.beside @ values)
        return found


def equals(given: Tensor, inputs: Tensor, hidden: int) -> Tensor:
    """1 where tokens (B, S) equal inputs (B, X), which are the first of them, but for themselves: (B, S, X).

    Examples
    --------
    >>> equals(torch.tensor([[1, 1, 2, 1]]), torch.tensor([[1, 1, 2]]), hidden=9)[0].int().tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]]
    """
    equal = (given[:, :, None] == inputs[:, None]) & (inputs != hidden)[:, None]
    itself = torch.eye(given.shape[1], inputs.shape[1], dtype=torch.bool, device=given.device)
    return (equal & ~itself).to(torch.float32)
