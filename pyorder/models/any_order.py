"""The model that explores: it predicts any step from the input and whichever steps were emitted before.

Every step has a fixed place, and the order decides who sees whom: the query of a step attends to the input and to
the steps that are emitted before it, each of which carries its value. Nothing else passes between the steps, so a
step sees a *set* of earlier steps, not their sequence: what it predicts depends on which steps came before, and
that is what is measured.

Each head has a *link* from every step to every input and every other step, added to its attention scores: which
few of some hundred values it has to look at is what a step must find first, and a link is one number for one pair,
where products of embeddings move many pairs at once. It learns in far fewer steps than without links
(docs/precedence.md).

    B  rows    X  input length    L  steps    V  vocabulary size (token V hides an input)    W  width
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyorder.models.decoder import Block, Preset, initialise

# Two layers: one finds the value of another step, the next may use it to find an input.
EXPLORER = Preset(
    layers=2, heads=4, width=128, feed_forward=512, dropout=0.0, embedding_std=0.5, tied=False,
    learning_rate=3e-3, warmup=50, steps=100,
)  # fmt: skip

# Adam moves all parameters at one rate. Links must reach attention scores of several units in a hundred steps.
LINK_RATE = 20.0


class AnyOrderDecoder(nn.Module):
    """Logits of every step given the input and the steps before it, for an order that may differ by row.

    Examples
    --------
    >>> model = AnyOrderDecoder(EXPLORER, vocabulary_size=19, input_length=5, target_length=3)
    >>> order = torch.tensor([[2, 0, 1]])
    >>> model(torch.zeros(1, 5, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long), order).shape
    torch.Size([1, 3, 19])
    """

    def __init__(self, preset: Preset, vocabulary_size: int, input_length: int, target_length: int) -> None:
        super().__init__()
        self.hidden = vocabulary_size
        self.token_embedding = nn.Embedding(vocabulary_size + 1, preset.width)
        self.position_embedding = nn.Embedding(input_length + target_length, preset.width)
        self.query_embedding = nn.Embedding(target_length, preset.width)
        self.memory_norm = nn.LayerNorm(preset.width)
        self.blocks = nn.ModuleList(Block(preset) for _ in range(preset.layers))
        self.norm = nn.LayerNorm(preset.width)
        self.head = nn.Linear(preset.width, vocabulary_size, bias=False)
        places = (target_length, input_length + target_length)
        self.links = nn.ParameterList(torch.zeros(preset.heads, *places) for _ in range(preset.layers))
        initialise(self, preset)
        for link in self.links:
            nn.init.zeros_(link)

    def forward(self, inputs: Tensor, targets: Tensor, order: Tensor) -> Tensor:
        """Logits (B, L, V) by canonical step; each sees inputs (B, X) and those of targets (B, L) before it."""
        memory = self.token_embedding(torch.cat([inputs, targets], dim=1)) + self.position_embedding.weight
        memory = self.memory_norm(memory)  # (B, X + L, W)
        visible = sees(order, inputs.shape[1])
        x = self.query_embedding.weight.expand(len(inputs), -1, -1)  # (B, L, W)
        for block, link in zip(self.blocks, self.links, strict=True):
            assert isinstance(block, Block)
            x = block(x, block.attention_norm(x), *block.keys_and_values(memory), visible, LINK_RATE * link)
        logits: Tensor = self.head(self.norm(x))
        return logits


def sees(order: Tensor, input_length: int) -> Tensor:
    """What each step sees, the whole input and the steps before it: (B, L) -> (B, 1, L, X + L) bool.

    Examples
    --------
    >>> sees(torch.tensor([[1, 0]]), 1)[0, 0].int().tolist()
    [[1, 0, 1], [1, 0, 0]]
    """
    slots = order.argsort(1)
    before = slots[:, None] < slots[:, :, None]
    return torch.cat([before.new_ones(*order.shape, input_length), before], dim=2)[:, None]
