"""Any-order profiling: one model, orders that change with every row, and the loss of each step in each order.

Rows are split once, by distinct input: the model trains on most of them, and *evidence* is what it loses on the
others. Test rows and the rows that rank candidates are never seen here.

    N  training rows    E  evidence rows    k  pairs of orders a row    X  input length    L  steps    C  columns
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pyorder.data.entropy import entropies
from pyorder.data.tokens import Batch, Tokens
from pyorder.dependencies.statistics import Evidence
from pyorder.execution import LOGITS_AT_ONCE, RandomStream, in_parts, multiply_in
from pyorder.models.any_order import AnyOrderDecoder
from pyorder.models.decoder import Block
from pyorder.models.learner import AnyOrderLearner, Learner
from pyorder.orders.permutations import sample
from pyorder.streams import on_device, seed_from, stream
from pyorder.training.memory import check_run
from pyorder.training.orders import RowQueue, Succession
from pyorder.training.recipe import Recipe
from pyorder.training.trainer import Trainer
from pyorder.world import World

Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# In half of the rows each input is hidden with a probability of its own row's, at most this. Steps that stand in
# for many inputs, the direct predecessors, are then worth more than roundabout rules that read all inputs.
HIDDEN_ROWS, MOST_HIDDEN = 0.5, 0.5
DROPOUT, WEIGHT_DECAY = 0.2, 0.3  # where rows are few
ROWS_AT_ONCE = 128
SCORES_ON_GPU = 2**27  # 512 MiB of attention scores in float32
LEAST_ENTROPY = 0.01  # nats; what hardly varies needs no predecessor
INPUTS_A_STEP = 2  # evidence is of so many inputs at least, or set apart by row; of L + 1 it tells errors badly
REPEATED, REPEATED_ROWS = 0.99, 1024  # in this share of so many rows, what a step repeats


class Explorer:
    """An any-order model in training, and its losses on the evidence rows.

    Attributes
    ----------
    length : L
    evidence_rows, training_rows : E, N
    cluster : (E,) equal for evidence rows that are not independent of each other
    base : (L,) nats, the entropy of each step's values over the training rows: its loss before any learning; at
        least ``LEAST_ENTROPY``
    steps_done : optimiser steps so far
    by_input : whether no evidence row has the input of a training row; where one input has too many rows, or there
        are no inputs, rows are set apart one by one
    """

    def __init__(
        self,
        tokens: Tokens,
        *,
        learner: Learner,
        recipe: Recipe,
        evidence_rows: int,
        seed: int,
        world: World | None = None,
    ) -> None:
        self.learner, self.recipe = learner, recipe
        self.world = World(tokens.device) if world is None else world
        self.device, self.length = tokens.device, tokens.length
        self.tokens = tokens.compact()
        evidence_rows, given = min(evidence_rows, len(tokens) // 5), evidence_rows
        least, looking = self.length + 1, f"train: looking for dependencies among {self.length} steps"
        if evidence_rows < least:  # as many unknowns as equations: nothing could ever be told
            raise ValueError(
                f"{looking} takes at least {5 * least} rows and {least} samples; {len(tokens)} rows and {given} "
                "samples given"
            )
        check_run(learner, self.tokens.shape, recipe, self.world)
        self.rng = stream(seed, "exploration")
        hide = HiddenInputs(self.tokens.vocabulary_size, seed_from(self.rng), self.device)
        apart = self.tokens.set_apart(evidence_rows, self.rng, INPUTS_A_STEP * self.length)
        held, kept, self.cluster, self.by_input = apart
        if (groups := len(np.unique(self.cluster))) < least:  # rows of one group are one equation
            raise ValueError(
                f"{looking} takes {least} groups as evidence at least; a fifth of the rows has {groups}"
            )
        self.evidence_rows, self.training_rows = len(held), len(kept)
        self._held, self._kept = (torch.from_numpy(rows).to(self.device) for rows in (held, kept))
        entropy = entropies(self.tokens, self._kept)
        self.base, self._varies = np.maximum(entropy, LEAST_ENTROPY), entropy > LEAST_ENTROPY
        drawn = RandomStream(seed_from(self.rng), self.device)
        with drawn.lent():
            module = learner.build(self.tokens.shape).to(self.device)
        self.trainer = Trainer(
            learner,
            module,
            self.tokens,
            recipe,
            RowQueue(len(kept), self.rng),
            stream=drawn,
            subset=self._kept,
            augment=hide if isinstance(learner, AnyOrderLearner) else None,
            world=self.world,
        )

    @property
    def steps_done(self) -> int:
        """Optimiser steps so far."""
        return self.trainer.steps_done

    def train(self, orders: Orders, on_share: Callable[[float], None] | None = None) -> None:
        """Train on the next rows, row n in the order ``orders[n]``; (n, L), a multiple of the batch size."""
        steps = len(orders) // self.recipe.batch_size

        def after_step(step: int) -> None:
            if on_share is not None:
                on_share((step + 1) / steps)

        self.trainer.train(Succession(self.tokens.column_orders(orders)), steps, after_step)

    def losses(self, rows: npt.NDArray[np.int64], orders: Orders, hidden: Tensor | None = None) -> Floats:
        """Loss of evidence row ``rows[n]`` in the order ``orders[n]``: (n, L), nats by canonical step.

        Inputs are not shown where ``hidden`` (X,) says so. Of steps that hardly vary, with an entropy of
        ``LEAST_ENTROPY`` at most, the loss is zero: there is nothing to learn.
        """
        return self._losses(self._held[torch.from_numpy(rows).to(self.device)], orders, hidden)

    def training_losses(self, orders: Orders) -> tuple[Floats, Orders | None]:
        """As `losses`, of random training rows: all of them where there are fewer than orders; and their groups.

        No groups where rows have none, or are all of one, whose error nobody could tell.
        """
        drawn = self.rng.permutation(self.training_rows)[: len(orders)]
        rows = self._kept[torch.from_numpy(drawn).to(self.device)]
        groups = None if self.tokens.groups is None else self.tokens.groups[rows.cpu().numpy()]
        if groups is not None and (groups == groups[0]).all():
            groups = None
        return self._losses(rows, orders[: len(rows)]), groups

    def state(self) -> dict[str, Any]:
        """What `restore` goes back to: the model and its optimiser, but not the rows and orders that come next."""
        state = self.trainer.state()
        return deepcopy({name: state[name] for name in ("module", "optimiser")})

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to a state of the parameters; what was changed since about how they learn stays."""
        decay = self.trainer.weight_decay
        self.trainer.go_back(state)
        self.trainer.change(self.learner, decay)

    def regularise(self) -> bool:
        """Go on with what small data need, dropout and more weight decay; False where that is so already.

        Nor is it done to a caller's own module.
        """
        learner, module = self.learner, self.trainer.module
        if not isinstance(learner, AnyOrderLearner) or learner.architecture.dropout >= DROPOUT:
            return False
        self.learner = AnyOrderLearner(replace(learner.architecture, dropout=DROPOUT))
        for block in module.modules():
            if isinstance(block, Block):
                block.dropout = DROPOUT
        self.trainer.change(self.learner, max(WEIGHT_DECAY, self.recipe.weight_decay))
        return True

    def slow_down(self, share: float) -> None:
        """Go on at this share of the learning rate."""
        self.recipe = replace(self.recipe, learning_rate=share * self.recipe.learning_rate)
        self.trainer.recipe = self.recipe

    @property
    def looks_up(self) -> bool:
        """Whether the model looks values up in the input."""
        return bool(getattr(self.trainer.module, "looks_up", False))

    @property
    def may_look_up(self) -> bool:
        """Whether the model could look values up in the input, and does not yet."""
        module = self.trainer.module
        return isinstance(module, AnyOrderDecoder) and not self.looks_up and self.tokens.shape.input_length > 0

    def look_up(self) -> bool:
        """Go on with a model that looks values up in the input; False where that is so already, or cannot be."""
        if not self.may_look_up:
            return False
        module = self.trainer.module
        assert isinstance(module, AnyOrderDecoder)
        module.looks_up = True
        self.trainer.change(self.learner, self.trainer.weight_decay)
        return True

    def hide(self, inputs: Tensor) -> None:
        """Show inputs (X,) no more in training."""
        hiding = self.trainer.augment
        assert isinstance(hiding, HiddenInputs)
        hiding.always = inputs
        self.trainer.change(self.learner, self.trainer.weight_decay)

    def repeated(self) -> tuple[Tensor, npt.NDArray[np.bool_]]:
        """Which inputs (X,) steps repeat, in nearly all training rows, and which steps (L,) are nothing else."""
        rows, offsets = self._kept[:REPEATED_ROWS], self.tokens.schema.offsets
        inputs, targets = self.tokens.inputs[rows].long(), self.tokens.targets[rows].long()
        # One input at a time: all at once would be gigabytes.
        same = torch.stack([(column[:, None] == targets).float().mean(0) for column in inputs.T]) >= REPEATED
        columns = same.any(0).cpu().numpy()
        return same.any(1), np.array([columns[first:stop].all() for first, stop in pairwise(offsets)])

    def evidence_inputs(self) -> Orders:
        """Token ids (E, X) of the evidence rows' inputs."""
        inputs: Orders = self.tokens.inputs[self._held].long().cpu().numpy()
        return inputs

    def input_name(self, column: int) -> str:
        """What the input is called that a column of the inputs belongs to."""
        fields = self.tokens.schema.inputs
        return [field.name for field in fields for _ in range(field.width)][column]

    def _losses(self, rows: Tensor, orders: Orders, hidden: Tensor | None = None) -> Floats:
        count, share = len(orders), self.world.share(len(orders))
        rows, columns = rows[share], self.tokens.column_orders(orders[share])
        at_once = min(ROWS_AT_ONCE, self.trainer.rows_at_once)
        if self.device.type == "cuda":  # the more at once, the fewer launches; nothing waits before the end
            scores = self.learner.scores(self.tokens.shape)
            logits = self.tokens.shape.columns * self.tokens.vocabulary_size
            at_once = min(SCORES_ON_GPU // scores, LOGITS_AT_ONCE // logits) if scores else at_once
        parts = [torch.empty(0, self.length, device=self.device)]  # of a share that has no rows

        def work(part: slice) -> None:
            batch = self.tokens.batch(rows[part], columns[part])
            if hidden is not None:
                shown = batch.inputs.masked_fill(hidden, self.tokens.vocabulary_size)
                batch = replace(batch, inputs=shown)
            parts.append(self.learner.step_loss(self.trainer.module, batch))

        with torch.inference_mode(), multiply_in(self.trainer.precision, self.device):
            in_parts(len(rows), 1, at_once, work)
            losses: Floats = self.world.gather(torch.cat(parts).double(), count).cpu().numpy()
        # Else the model's own noise about a constant would be waited for, and count as a dependency.
        return np.where(self._varies, losses, 0.0)

    def antithetic(self, samples: int, hidden: Tensor | None = None) -> Evidence:
        """Losses of every evidence row in k uniformly random orders and in their reverses: k E samples.

        k is as large as k E <= ``samples`` allows, and at least 1. Inputs are not shown where ``hidden`` says so.
        """
        pairs = max(1, samples // self.evidence_rows)
        rows = np.tile(np.arange(self.evidence_rows), pairs)
        orders = sample(self.length, len(rows), seed=seed_from(self.rng))
        both = orders, orders[:, ::-1].copy()
        losses = np.stack([self.losses(rows, one, hidden) for one in both], axis=1)
        return Evidence(losses, orders, self.cluster[rows], self.device)


class HiddenInputs:
    """Hides inputs in training, as this module's notes on ``HIDDEN_ROWS`` say; see `Augment`.

    Examples
    --------
    >>> hide = HiddenInputs(vocabulary_size=2, seed=0, device=torch.device("cpu"))
    >>> data = Dataset([[0] * 4] * 3, [[0, 1]] * 3, vocabulary=range(2))
    >>> tokens = Tokens.of(data, "train", torch.device("cpu"))
    >>> hide(tokens.batch(torch.arange(3), torch.arange(2).expand(3, 2))).inputs.tolist()
    [[0, 0, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0]]
    """

    always: Tensor | None = None  # (X,) inputs that no row shows any more

    def __init__(self, vocabulary_size: int, seed: int, device: torch.device) -> None:
        self.token = vocabulary_size
        self.generator = on_device(seed, device)

    def __call__(self, batch: Batch) -> Batch:
        """The batch, each input of half of its rows hidden with a probability of the row's own."""
        draw = self._uniform(len(batch.inputs), 2)
        rate = MOST_HIDDEN * draw[:, :1] * (draw[:, 1:] < HIDDEN_ROWS)
        hidden = self._uniform(*batch.inputs.shape) < rate
        if self.always is not None:
            hidden = hidden | self.always
        return replace(batch, inputs=batch.inputs.masked_fill(hidden, self.token))

    def _uniform(self, *shape: int) -> Tensor:
        generator = self.generator
        return torch.rand(shape, generator=generator, dtype=torch.float32, device=generator.device)
