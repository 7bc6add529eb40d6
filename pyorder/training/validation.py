"""Looks at validation rows during final training, and the weights that lost least there."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pyorder.data.tokens import Tokens
from pyorder.models.learner import Learner
from pyorder.training.generation import look
from pyorder.world import World


@dataclass(eq=False)
class Validation:
    """What a module loses on rows that it is not trained on, every so many steps and at the end.

    Few rows are learned by heart: the loss on others is least long before training ends, and by the end orders
    differ by how they overfit. ``keep_best`` is for going back to where it was least.
    """

    learner: Learner
    module: nn.Module
    tokens: Tokens
    order: npt.NDArray[np.int64]
    precision: torch.dtype
    every: int
    keep_best: bool
    world: World | None = None
    looks: list[tuple[int, float, float]] = field(default_factory=list)
    best: tuple[int, dict[str, torch.Tensor]] | None = None  # steps of training, and the weights after them

    def look(self, steps: int, last: bool) -> None:
        """Look, if that is due after so many training steps."""
        if not last and steps % self.every:
            return
        least = min((loss for _, loss, _ in self.looks), default=math.inf)
        self.module.eval()
        loss, right = look(self.learner, self.module, self.tokens, self.order, self.precision, self.world)
        self.module.train()
        self.looks.append((steps, loss, right))
        if self.keep_best and loss < least:
            frozen = {name for name, weight in self.module.named_parameters() if not weight.requires_grad}
            self.best = None  # there is no room for two of a large model
            weights = self.module.state_dict()
            self.best = steps, {name: value.clone() for name, value in weights.items() if name not in frozen}

    @property
    def curve(self) -> npt.NDArray[np.float64]:
        """The looks as `Fitted.validation_curve` has them."""
        return np.array(self.looks).reshape(-1, 3)  # of none, too

    def go_back(self) -> None:
        """Give the module the weights that lost least, if they were kept."""
        if self.best is not None:
            self.module.load_state_dict(self.best[1], strict=False)  # frozen ones are as they were

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"looks": self.looks, "best": self.best}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.looks, self.best = state["looks"], state["best"]
