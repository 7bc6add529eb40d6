"""The decoder that learns (X, Y) pairs.

A GPT-2-style Transformer reads X, a separator, and the columns of Y emitted so far; only Y counts in the loss.
Two halves make one forward pass: `Decoder.read` runs over X and leaves keys and values, `Decoder.write` runs
over the emitted columns. X never sees Y, so one reading serves every order that Y is written in. A GPU waits for
launches more than for numbers, and runs over both at once in training: `Decoder.together`.

    B  rows                          V  vocabulary size (the separator is token V)
    X  input length, 0 or more       W  width
    C  columns of a target           H  heads
    U  positions of Y at once: C in training; when scoring, the nodes of a tree of orders

Source: Radford et al. 2019 (GPT-2); settings as in Sato, Kawamoto, Kera, arXiv 2506.23875.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyorder.models.architecture import Architecture
from pyorder.models.lookup import lookup

Memory: TypeAlias = list[tuple[Tensor, Tensor]]
Positions: TypeAlias = Tensor | range

FLOAT = torch.float32  # of weights, whatever the calling program's default type


def attend(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    visible: Tensor,
    dropout: float,
    bias: Tensor | None = None,
) -> Tensor:
    """Attend from (B, H, U, W / H), or (1, H, U, W / H), to (B, H, S, W / H) where ``visible``, with a ``bias``.

    ``visible`` is (U, S) or (B, 1, U, S); the bias (H, U, S) is added to the scores.

    PyTorch's fused attention is the fastest forward. Backward on a CPU it takes two thirds of a training step at
    the lengths of this package, where plain matrix products take a tenth.
    """
    if not torch.is_grad_enabled():
        mask = visible if bias is None else bias.to(queries.dtype).masked_fill(~visible, -math.inf)
        queries = queries.expand(len(keys), -1, -1, -1)  # fused attention takes no other batch than that of keys
        return F.scaled_dot_product_attention(queries, keys, values, mask, dropout)
    scores = (queries / math.sqrt(queries.shape[-1])) @ keys.transpose(-2, -1)
    if bias is not None:
        scores = scores + bias.to(scores.dtype)
    # In place and unseen by autograd: a weight of zero sends no gradient back, so there is none to mask.
    scores.detach().masked_fill_(~visible, -math.inf)
    weights = scores.softmax(-1)
    return F.dropout(weights, dropout).to(values.dtype) @ values


class Block(nn.Module):
    """One layer: attention, then a feed-forward network, each normalised before and added to its input."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.heads = architecture.heads
        self.dropout = architecture.dropout
        width, inner = architecture.width, architecture.feed_forward
        self.attention_norm = nn.LayerNorm(width, dtype=FLOAT)
        self.query = nn.Linear(width, width, dtype=FLOAT)
        self.key_value = nn.Linear(width, 2 * width, dtype=FLOAT)
        self.attention_out = nn.Linear(width, width, dtype=FLOAT)
        self.feed_forward_norm = nn.LayerNorm(width, dtype=FLOAT)
        self.feed_forward_in = nn.Linear(width, inner, dtype=FLOAT)
        self.feed_forward_out = nn.Linear(inner, width, dtype=FLOAT)

    def split(self, x: Tensor) -> Tensor:
        """(B, U, W) -> (B, H, U, W / H)."""
        return x.view(*x.shape[:2], self.heads, x.shape[2] // self.heads).transpose(1, 2)

    def normalised(self, x: Tensor) -> Tensor:
        """What queries, keys and values are products of; under autocast cast once for all of them."""
        normed: Tensor = self.attention_norm(x)
        kind = x.device.type
        return normed.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else normed

    def keys_and_values(self, normed: Tensor) -> tuple[Tensor, Tensor]:
        """(B, U, W) -> keys and values, each (B, H, U, W / H)."""
        keys, values = self.key_value(normed).chunk(2, dim=-1)
        return self.split(keys), self.split(values)

    def forward(
        self,
        x: Tensor,
        normed: Tensor,
        keys: Tensor,
        values: Tensor,
        visible: Tensor,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Attend from x (B, U, W) to keys (B, H, S, W / H) where ``visible``, with ``bias``, as in ``attend``."""
        drop = self.dropout if self.training else 0.0
        attended = attend(self.split(self.query(normed)), keys, values, visible, drop, bias)
        attended = self.attention_out(attended.transpose(1, 2).flatten(2))
        x = x + F.dropout(attended, drop)
        hidden = F.gelu(self.feed_forward_in(self.feed_forward_norm(x)))
        return x + F.dropout(self.feed_forward_out(hidden), drop)


def initialise(module: nn.Module, architecture: Architecture) -> None:
    """Draw the parameters as GPT-2 does, but for the size of the embeddings, which is the architecture's."""
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif "embedding" in name:
            nn.init.normal_(parameter, std=architecture.embedding_std)
        elif "norm" not in name:
            residual = name.endswith("out.weight")  # scaled so that depth does not add up
            nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * architecture.layers) if residual else 0.02)


class Decoder(nn.Module):
    """The built-in model: learned positions, and one embedding of the values for X and Y.

    Parameters are drawn from torch's global generator, like those of every torch module.

    Examples
    --------
    >>> model = Decoder(PRESETS["nano"].architecture, vocabulary_size=19, input_length=5, columns=4)
    >>> model(torch.zeros(2, 5, dtype=torch.long), torch.zeros(2, 4, dtype=torch.long)).shape
    torch.Size([2, 4, 19])
    """

    visible: Tensor  # (X + C, X + C)
    separator: Tensor

    def __init__(self, architecture: Architecture, vocabulary_size: int, input_length: int, columns: int) -> None:
        super().__init__()
        width = architecture.width
        self.vocabulary_size = vocabulary_size
        self.input_length = input_length
        self.dropout = architecture.dropout
        self.token_embedding = nn.Embedding(vocabulary_size + 1, width, dtype=FLOAT)
        self.position_embedding = nn.Embedding(input_length + columns, width, dtype=FLOAT)
        self.blocks = nn.ModuleList(Block(architecture) for _ in range(architecture.layers))
        self.norm = nn.LayerNorm(width, dtype=FLOAT)
        self.head = nn.Linear(width, vocabulary_size + 1, bias=False, dtype=FLOAT)
        causal = torch.ones(input_length + columns, input_length + columns, dtype=torch.bool).tril()
        self.register_buffer("visible", causal, persistent=False)
        self.register_buffer("separator", torch.tensor([vocabulary_size]), persistent=False)
        initialise(self, architecture)
        if architecture.tied:
            self.head.weight = self.token_embedding.weight

    def forward(self, inputs: Tensor, emitted: Tensor, padding: Tensor | None = None) -> Tensor:
        """Logits (B, C, V) at each position of Y, which sees inputs (B, X) and those of ``emitted`` before it.

        Where ``padding`` (B, C) is true nothing was emitted, and no other position looks there.
        """
        before = torch.cat([self.separator.expand(len(emitted), 1), emitted[:, :-1]], dim=1)
        shown = None if padding is None else F.pad(~padding[:, :-1], (1, 0), value=True)
        if inputs.is_cuda:
            return self.together(inputs, before, shown)
        visible = self.visible[self.input_length :, self.input_length :]
        if shown is not None:
            visible = sees_shown(visible, shown)
        return self.write(self.read(inputs), before, range(emitted.shape[1]), visible)[0]

    def together(self, inputs: Tensor, before: Tensor, shown: Tensor | None) -> Tensor:
        """As `read`, and `write` of all of Y; what is not ``shown`` (B, C) no other position sees.

        A training step of one layer then has 131 operations instead of 160. But X computes scores against Y that
        are hidden, and gradients are padded with those of X: on a CPU, which has no operation that costs nothing,
        a step takes 4 to 14 % more time.
        """
        known = self.input_length
        tokens = torch.cat([inputs, before], dim=1)
        visible = self.visible
        if shown is not None:
            visible = sees_shown(visible, F.pad(shown, (known, 0), value=True))
        x = self.place(lookup(tokens, self.token_embedding.weight), range(tokens.shape[1]))
        for layer, block in enumerate(self.blocks, 1):
            assert isinstance(block, Block)
            normed = block.normalised(x)
            keys, values = block.keys_and_values(normed)
            if layer == len(self.blocks):  # whose outputs at X are never read
                x, normed, visible = x[:, known:], normed[:, known:], visible[..., known:, :]
            x = block(x, normed, keys, values, visible)
        return self.predict(x)

    def place(self, x: Tensor, positions: Positions, first: int = 0) -> Tensor:
        """Embedded tokens (B, U, W) at sequence positions (U,), counted from the one called first."""
        if isinstance(positions, range):  # a view, where looking up takes a kernel forward and two backward
            there = self.position_embedding.weight[first + positions.start : first + positions.stop]
        else:
            there = self.position_embedding(first + positions)
        return F.dropout(x + there, self.dropout, self.training)

    def read(self, inputs: Tensor) -> Memory:
        """Inputs (B, X) -> keys and values of every layer, each (B, H, X, W / H)."""
        x = self.place(lookup(inputs, self.token_embedding.weight), range(self.input_length))
        memory: Memory = []
        for block in self.blocks:
            assert isinstance(block, Block)
            normed = block.normalised(x)
            memory.append(block.keys_and_values(normed))
            if len(memory) < len(self.blocks):  # the last layer's outputs at X are never read
                x = block(x, normed, *memory[-1], self.visible[: self.input_length, : self.input_length])
        return memory

    def write(
        self,
        memory: Memory,
        before: Tensor,
        slots: Positions,
        visible: Tensor,
        remembered: Tensor | None = None,
    ) -> tuple[Tensor, Memory]:
        """Logits (B, U, V) at U positions of Y, and the memory with these positions added.

        ``before`` (B, U) is the token emitted just before each position, ``slots`` (U,) the place in Y that each
        is about to fill. Every position attends to all of ``memory``, or to what ``remembered`` (B, S) says of its
        S places; ``visible`` (U, U) or (B, 1, U, U) says to which of the U it attends, itself included.
        """
        before = lookup(before, self.token_embedding.weight)
        return self.write_embedded(memory, before, slots, visible, remembered)

    def write_embedded(
        self,
        memory: Memory,
        before: Tensor,
        slots: Positions,
        visible: Tensor,
        remembered: Tensor | None = None,
    ) -> tuple[Tensor, Memory]:
        """As `write`, for embeddings ``before`` (B, U, W), which may be mixtures of those of tokens."""
        x = self.place(before, slots, self.input_length)
        if remembered is None:
            known = visible.new_ones(*visible.shape[:-1], memory[0][0].shape[2])
        else:
            known = remembered[:, None, None].expand(-1, 1, len(slots), -1)
            visible = visible.expand(len(known), 1, *visible.shape[-2:])
        sees = torch.cat([known, visible], dim=-1)  # (U, S + U)
        extended: Memory = []
        for block, (old_keys, old_values) in zip(self.blocks, memory, strict=True):
            assert isinstance(block, Block)
            normed = block.normalised(x)
            keys, values = block.keys_and_values(normed)
            extended.append((torch.cat([old_keys, keys], 2), torch.cat([old_values, values], 2)))
            x = block(x, normed, *extended[-1], sees)
        return self.predict(x), extended

    def predict(self, x: Tensor) -> Tensor:
        """What the last layer leaves (B, U, W) -> logits (B, U, V)."""
        logits: Tensor = self.head(self.norm(x))
        return logits[..., : self.vocabulary_size]


def sees_shown(visible: Tensor, shown: Tensor) -> Tensor:
    """Hide what is not ``shown`` (B, U) from all positions but itself: (U, U) -> (B, 1, U, U).

    Examples
    --------
    >>> sees_shown(torch.ones(2, 2, dtype=torch.bool), torch.tensor([[False, True]]))[0, 0].int().tolist()
    [[1, 1], [0, 1]]
    """
    itself = torch.eye(visible.shape[0], dtype=torch.bool, device=visible.device)
    return (visible & shown[:, None] | itself)[:, None]
