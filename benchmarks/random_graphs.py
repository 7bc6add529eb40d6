"""Random dependency graphs: data whose steps each follow from an input and one to three earlier steps.

Step i is one of four functions of x_i and of its predecessors, drawn at random, none of which can be undone:

- clip: the sum of x_i and the predecessors, cut to [0, 9]
- bend: the absolute value of that sum, at most 9
- fold: that sum, reflected at -9 and 9 until it lies between
- square: (x_i² + y_p²) mod 19 as the residue in [-9, 9], of a single predecessor p

The number of predecessors is 1, 2 or 3, drawn uniformly, and which they are is drawn uniformly from the earlier
steps. x_i are uniform in [-9, 9]. Step 0 follows from the input alone. (Squares of several predecessors modulo
19 were tried first: trained in the forward order alone, the exploring model needs 1,600 steps for such a step or
does not learn it, and a graph cannot be read off what is not learned.)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
KINDS = ("clip", "bend", "fold", "square")


class RandomGraph:
    """A graph on ``length`` steps and the functions at its nodes, all drawn from ``seed``."""

    def __init__(self, length: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 91])
        self.length = length
        self.kinds = rng.integers(len(KINDS), size=length)
        self.predecessors: list[Ints] = []
        for step in range(length):
            wanted = 1 if KINDS[self.kinds[step]] == "square" else int(rng.integers(1, 4))
            drawn = rng.choice(step, size=min(step, wanted), replace=False) if step else np.empty(0, np.int64)
            self.predecessors.append(np.sort(drawn).astype(np.int64))

    @property
    def edges(self) -> list[tuple[int, int]]:
        """All pairs (p, i) where step i is computed from step p."""
        return [(int(before), after) for after in range(self.length) for before in self.predecessors[after]]

    @property
    def dependencies(self) -> list[tuple[int, int]]:
        """The edges but for those from step 0, which the input tells already."""
        return [(before, after) for before, after in self.edges if before > 0]

    def draw(self, rows: int, seed: int) -> tuple[Ints, Ints]:
        """Inputs and targets, (rows, L) each."""
        inputs = np.random.default_rng([seed, 92]).integers(-9, 10, size=(rows, self.length))
        return inputs, self.compute(inputs)

    def compute(self, inputs: Ints) -> Ints:
        """Targets (N, L) of inputs (N, L)."""
        targets = np.zeros_like(inputs)
        for step, before in enumerate(self.predecessors):
            x, y = inputs[:, step], targets[:, before]
            total = x + y.sum(1)
            kind = KINDS[self.kinds[step]]
            if kind == "clip":
                targets[:, step] = np.clip(total, 0, 9)
            elif kind == "bend":
                targets[:, step] = np.minimum(np.abs(total), 9)
            elif kind == "fold":
                targets[:, step] = 9 - np.abs((total + 9) % 36 - 18)
            else:
                targets[:, step] = (x**2 + (y**2).sum(1) + 9) % 19 - 9
        return targets
