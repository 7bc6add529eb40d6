"""The model that explores: it predicts any step from the input and whichever steps were emitted before.

It is told the order. A step to be emitted next is a query that knows only which step it is; layer after layer it
attends to the input and to the emitted steps, each of which carries its value and which step it is. Nothing else
passes between the slots, so a slot sees a *set* of earlier steps, not their sequence: what it predicts depends on
which steps came before, and that is what is measured.

    B  rows    X  input length    L  steps    V  vocabulary size (token V hides an input)    W  width

It learns in fewer steps than a GPT-2-style model with the identities of two steps added to every slot
(docs/precedence.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyorder.model import Block, Preset, initialise

# Two layers: one finds the value of another step, the next may use it to find an input.
EXPLORER = Preset(
    layers=2, heads=4, width=128, feed_forward=512, dropout=0.0, embedding_std=0.5, tied=False,
    learning_rate=3e-3, warmup=50, steps=100,
)  # fmt: skip


class AnyOrderDecoder(nn.Module):
    """Logits of every step given the input and the steps before it, for an order that may differ by row.

    Examples
    --------
    >>> model = AnyOrderDecoder(EXPLORER, vocabulary_size=19, input_length=5, target_length=3)
    >>> order = torch.tensor([[2, 0, 1]])
    >>> model(torch.zeros(1, 5, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long), order).shape
    torch.Size([1, 3, 19])
    """

    visible: Tensor

    def __init__(self, preset: Preset, vocabulary_size: int, input_length: int, target_length: int) -> None:
        super().__init__()
        self.hidden = vocabulary_size
        self.token_embedding = nn.Embedding(vocabulary_size + 1, preset.width)
        self.position_embedding = nn.Embedding(input_length, preset.width)
        self.emitted_embedding = nn.Embedding(target_length, preset.width)
        self.next_embedding = nn.Embedding(target_length, preset.width)
        self.memory_norm = nn.LayerNorm(preset.width)
        self.blocks = nn.ModuleList(Block(preset) for _ in range(preset.layers))
        self.norm = nn.LayerNorm(preset.width)
        self.head = nn.Linear(preset.width, vocabulary_size, bias=False)
        inputs = torch.ones(target_length, input_length, dtype=torch.bool)
        earlier = torch.ones(target_length, target_length, dtype=torch.bool).tril(-1)
        self.register_buffer("visible", torch.cat([inputs, earlier], dim=1), persistent=False)
        initialise(self, preset)

    def forward(self, inputs: Tensor, emitted: Tensor, order: Tensor) -> Tensor:
        """Logits (B, L, V) by slot; slot j sees inputs (B, X), ``emitted[:, :j]`` and ``order[:, :j + 1]``."""
        read = self.token_embedding(inputs) + self.position_embedding.weight
        written = self.token_embedding(emitted) + self.emitted_embedding(order)
        memory = self.memory_norm(torch.cat([read, written], dim=1))  # (B, X + L, W)
        x = self.next_embedding(order)  # (B, L, W)
        for block in self.blocks:
            assert isinstance(block, Block)
            x = block(x, block.attention_norm(x), *block.keys_and_values(memory), self.visible)
        logits: Tensor = self.head(self.norm(x))
        return logits
