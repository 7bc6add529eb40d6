"""What a built-in model is made of."""

from __future__ import annotations

from dataclasses import dataclass

from pyorder._checks import check_integer


@dataclass(frozen=True)
class Architecture:
    """Layers, heads and sizes of a built-in Transformer.

    Attributes
    ----------
    layers, heads, width, feed_forward : of the network; ``heads`` divide ``width``
    dropout : share of units dropped in training
    embedding_std : standard deviation of the embeddings at the start
    tied : whether the output layer shares the token embedding

    Examples
    --------
    >>> from dataclasses import replace
    >>> replace(PRESETS["nano"].architecture, width=64).width
    64
    """

    layers: int
    heads: int
    width: int
    feed_forward: int
    dropout: float
    embedding_std: float
    tied: bool

    def numbers(self, vocabulary_size: int, input_length: int, columns: int) -> tuple[int, int]:
        """About how many weights a module has, and activations a row that is trained on, from below.

        Examples
        --------
        >>> PRESETS["nano"].architecture.numbers(19, 9, 9)
        (203904, 44136)
        """
        tokens = input_length + columns
        embeddings = (vocabulary_size * (1 if self.tied else 2) + tokens) * self.width
        weights = self.layers * (4 * self.width + 2 * self.feed_forward) * self.width + embeddings
        scores = self.heads * columns * tokens
        return weights, self.layers * (tokens * (6 * self.width + 2 * self.feed_forward) + scores)

    def __post_init__(self) -> None:
        """Refuse numbers that make no model."""
        for name in ("layers", "heads", "width", "feed_forward"):
            check_integer(getattr(self, name), name, 1)
        if self.width % self.heads:
            raise ValueError(f"heads: {self.heads} do not divide the width {self.width}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: {self.dropout} is not in [0, 1)")
