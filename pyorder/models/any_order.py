"""The model that explores: it predicts any step from the input and whichever steps were emitted before.

Every step has a fixed place, and the order decides who sees whom: the query of a step attends to the input and to
the steps that are emitted before it, each of which carries its value. Nothing else passes between the steps, so a
step sees a *set* of earlier steps, not their sequence: what it predicts depends on which steps came before, and
that is what is measured.

Each head has a *link* from every step to every input and every other step, added to its attention scores: which
few of some hundred values it has to look at is what a step must find first, and a link is one number for one pair,
where products of embeddings move many pairs at once. It learns in far fewer steps than without links
(docs/precedence.md).

Where steps stay lost, the model is told to look up (`pyorder.models.matching`): then each value comes with what
stands beside its equals in the input.

A step that is wider than a column is emitted column by column: each has a place of its own, which also sees the
earlier columns of its own step. With one column a step, places are steps.

    B  rows    X  input length    C  columns    V  vocabulary size (token V hides an input)    W  width
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyorder.models.architecture import Architecture
from pyorder.models.decoder import FLOAT, Block, initialise
from pyorder.models.lookup import lookup
from pyorder.models.matching import Matching

# Adam moves all parameters at one rate. Links must reach attention scores of several units in a hundred steps.
LINK_RATE = 20.0


class AnyOrderDecoder(nn.Module):
    """Logits of every step given the input and the steps before it, for an order that may differ by row.

    Examples
    --------
    >>> model = AnyOrderDecoder(PRESETS["nano"].architecture, vocabulary_size=19, input_length=5, columns=3)
    >>> order = torch.tensor([[2, 0, 1]])
    >>> model(torch.zeros(1, 5, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long), order).shape
    torch.Size([1, 3, 19])
    """

    def __init__(self, architecture: Architecture, vocabulary_size: int, input_length: int, columns: int) -> None:
        super().__init__()
        width = architecture.width
        self.hidden = vocabulary_size
        # Without inputs there is one that tells nothing, so that what comes first has something to look at.
        self.given = max(1, input_length)
        self.token_embedding = nn.Embedding(vocabulary_size + 1, width, dtype=FLOAT)
        self.position_embedding = nn.Embedding(self.given + columns, width, dtype=FLOAT)
        self.query_embedding = nn.Embedding(columns, width, dtype=FLOAT)
        self.memory_norm = nn.LayerNorm(width, dtype=FLOAT)
        self.blocks = nn.ModuleList(Block(architecture) for _ in range(architecture.layers))
        self.norm = nn.LayerNorm(width, dtype=FLOAT)
        self.head = nn.Linear(width, vocabulary_size, bias=False, dtype=FLOAT)
        places = (columns, self.given + columns)
        self.links = nn.ParameterList(
            torch.zeros(architecture.heads, *places, dtype=FLOAT) for _ in range(architecture.layers)
        )
        initialise(self, architecture)
        for link in self.links:
            nn.init.zeros_(link)
        self.matching = Matching(architecture, vocabulary_size, input_length)
        self.looks_up = False

    def forward(self, inputs: Tensor, targets: Tensor, columns: Tensor, padding: Tensor | None = None) -> Tensor:
        """Logits (B, C, V) by canonical column; each sees inputs (B, X) and those of targets (B, C) before it.

        ``columns`` (B, C) is the order of the columns, those of a step together and in sequence. Where
        ``padding`` (B, C) is true nothing was emitted, and nobody looks there.
        """
        if not inputs.shape[1]:
            inputs = inputs.new_full((len(inputs), 1), self.hidden)
        given = torch.cat([inputs, targets], dim=1)
        memory = lookup(given, self.token_embedding.weight) + self.position_embedding.weight
        if self.looks_up:
            memory = memory + self.matching(given, self.hidden)
        memory = self.memory_norm(memory)  # (B, X + C, W)
        visible = sees(columns, self.given)
        if padding is not None:
            visible[..., self.given :] &= ~padding[:, None, None]
        x = self.query_embedding.weight[None]  # (1, C, W), all that the first layer knows of a row's places
        for block, link in zip(self.blocks, self.links, strict=True):
            assert isinstance(block, Block)
            x = block(x, block.normalised(x), *block.keys_and_values(memory), visible, LINK_RATE * link)
        logits: Tensor = self.head(self.norm(x))
        return logits


def sees(order: Tensor, input_length: int) -> Tensor:
    """What each column sees, the whole input and the columns before it: (B, C) -> (B, 1, C, X + C) bool.

    Examples
    --------
    >>> sees(torch.tensor([[1, 0]]), 1)[0, 0].int().tolist()
    [[1, 0, 1], [1, 0, 0]]
    """
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    slots = torch.empty_like(order).scatter_(1, order, places)  # sorting takes a GPU eight kernels
    before = slots[:, None] < slots[:, :, None]
    return torch.cat([before.new_ones(*order.shape, input_length), before], dim=2)[:, None]
