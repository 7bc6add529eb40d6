"""The one training loop: loss profiling, exploration, soft relaxation and final training all go through it.

Rows, orders and learning rates of many steps are handed to the device at once, and nothing in a step waits for
it. On a GPU the whole step of a built-in module (lookup, forward, backward, optimiser) is captured in a CUDA graph
when it is first taken; every later step is a replay and no more, until the module or its optimiser is changed from
outside. Small models leave a GPU idle: `train_together` replays the steps of several side by side.

In a world of several processes each learns from its share of a batch, and gradients are summed before a step.

    B  rows a step    C  columns    L  steps of a target
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from pyorder.data.tokens import Batch, Shape, Tokens
from pyorder.execution import LOGITS_AT_ONCE, RandomStream, multiply_in, resolve_precision, row_slices
from pyorder.models.learner import Learner
from pyorder.training.orders import OrderSource, RowQueue
from pyorder.training.recipe import Recipe
from pyorder.world import World

StepHook = Callable[[int], None]


class Augment(Protocol):
    """Changes the inputs of a batch before it is learned, by random numbers of its own."""

    generator: torch.Generator  # on the device of the batches

    def __call__(self, batch: Batch) -> Batch:
        """The batch that is learned instead."""


STEPS_AT_ONCE = 128  # whose rows and orders are drawn and handed over together
# On a CPU a batch is learned in parts whose attention scores are at most so many. What is larger than caches, and
# than the memory that the C library keeps (32 MiB), costs more time to get than to fill.
SCORES_AT_ONCE = 2**21 + 2**19
FEWEST_ROWS = 8
WARM_UP_STEPS = 3  # libraries make their handles and workspaces in these, which a graph cannot record


class Trainer:
    """A module in training on tokens: its optimiser, its place among the rows, its random numbers.

    Parameters
    ----------
    learner, module : the module is one of the learner's, on the tokens' device
    tokens : the rows that may be trained on
    recipe : numbers of the run; its step weights are by the tokens' steps
    queue : which rows come next
    stream : for modules that draw from torch's global generators; that of seed 0 without it
    subset : (n,) int64 on the device, the rows that the queue numbers; all rows without it
    augment : changes a batch before it is learned
    world : the processes that train it, all of which are to make the same trainer; this one alone without it

    Examples
    --------
    >>> from pyorder.models.learner import DecoderLearner
    >>> from pyorder.training.orders import OneOrder
    >>> data = Dataset([[0], [1]], [[1, 0], [0, 1]])
    >>> tokens = Tokens.of(data, "train", torch.device("cpu"))
    >>> learner, recipe = DecoderLearner(PRESETS["nano"].architecture), PRESETS["nano"].recipe
    >>> queue = RowQueue(2, np.random.default_rng(0))
    >>> trainer = Trainer(learner, learner.build(tokens.shape), tokens, recipe, queue)
    >>> trainer.train(OneOrder(torch.tensor([1, 0])), steps=3).shape
    torch.Size([3])
    """

    def __init__(
        self,
        learner: Learner,
        module: nn.Module,
        tokens: Tokens,
        recipe: Recipe,
        queue: RowQueue,
        *,
        stream: RandomStream | None = None,
        subset: Tensor | None = None,
        augment: Augment | None = None,
        world: World | None = None,
    ) -> None:
        self.learner, self.module, self.tokens, self.recipe = learner, module, tokens, recipe
        self.device = tokens.device
        self.world = World(self.device) if world is None else world
        self.queue, self.subset, self.augment = queue, subset, augment
        self.stream = RandomStream(0, self.device) if stream is None else stream
        self.weights = column_weights(recipe, tokens)
        self.precision = self.world.agreed(lambda: resolve_precision(recipe.precision, self.device))
        self.steps_done = 0
        # What processes tell each other is not recorded.
        captured = learner.capturable and self.device.type == "cuda" and self.world.size == 1
        most = rows_at_once(learner, tokens.shape, recipe.batch_size, self.device)
        self.rows_at_once = min(most, learner.rows_at_once(tokens) or most)
        self._rate = torch.zeros((), device=self.device) if captured else None
        self.optimiser = torch.optim.AdamW(
            module.parameters(),
            lr=recipe.learning_rate if self._rate is None else self._rate,
            betas=recipe.betas,
            weight_decay=recipe.weight_decay,
            fused=True,
            capturable=captured,
        )
        self._graph: _Graph | None = None
        # Where a graph is recorded, and replayed beside others: cuBLAS has a workspace a stream, so that graphs of
        # one stream must not run at once. Torch's own for captures is on whichever device was first to capture.
        self.lane = torch.cuda.Stream(self.device) if captured else None  # type: ignore[no-untyped-call]

    def train(self, source: OrderSource, steps: int, after_step: StepHook | None = None) -> Tensor:
        """Take the next steps.

        Parameters
        ----------
        source : the orders that rows are shown in
        after_step : called with the number of every step that was handed to the device, from 0 on

        Returns
        -------
        (steps,) float32 training loss, nats a step of the target, on the CPU; weighted as the recipe says
        """
        losses = torch.empty(steps, dtype=torch.float32, device=self.device)
        for step in self.stepping(source, losses):
            if after_step is not None:
                after_step(step)
        return losses.cpu()

    def stepping(self, source: OrderSource, losses: Tensor) -> Iterator[int]:
        """Hand a step to the device at each turn, and say its number; ``losses`` (steps,) are full at the end.

        It ends early where it sees that the losses left the finite numbers; those of the steps left out are NaN.
        """
        self.world.match(self.module)
        self.module.train()
        for first in range(0, len(losses), STEPS_AT_ONCE):
            part = losses[first : first + STEPS_AT_ONCE]
            places = self._places(len(part))
            for step in self._taking(self._rows(places), source.columns(places), part):
                yield first + step
            # What is not a number stays none. A GPU is not waited for.
            if self.device.type == "cpu" and not bool(part[-1].isfinite()):
                losses[first + len(part) :] = torch.nan
                break
        self.module.eval()
        self.world.match(self.module)

    def _taking(self, rows: Tensor, columns: Tensor, losses: Tensor) -> Iterator[int]:
        """Take n steps on rows (n, B), each with an order (n, B, C) of its columns, one at each turn; losses (n,).

        At most ``STEPS_AT_ONCE`` steps. Nothing waits for the device.
        """
        count = len(rows)
        rates = [self.recipe.rate_at(self.steps_done + step) for step in range(count)]
        self.steps_done += count
        if self._rate is None:
            stream = self.world.branch(self.stream) if self.learner.draws else None
            for step in range(count):
                with nullcontext() if stream is None else stream.lent():
                    self.optimiser.param_groups[0]["lr"] = rates[step]
                    losses[step] = self._step(rows[step], columns[step])
                yield step
            return
        if self._graph is None:
            self._graph = _Graph(self, rows[0], columns[0])
        self._graph.load(rows, columns, self._handed_over(torch.tensor(rates, dtype=torch.float32)))
        for step in range(count):
            self._graph.replay()
            yield step
        losses.copy_(self._graph.losses[:count])

    def restart(self, queue: RowQueue, stream: RandomStream, subset: Tensor) -> None:
        """Begin another run with the same module, whose parameters were drawn anew in place."""
        self.queue, self.subset, self.steps_done = queue, subset, 0
        self.stream.set_state(stream.state())  # a graph draws from the stream that it was recorded with
        for state in self.optimiser.state.values():
            for value in state.values():
                value.zero_()

    def state(self) -> dict[str, Any]:
        """All that the next step depends on, in what `torch.save` and `torch.load(weights_only=True)` take."""
        return {
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "steps_done": self.steps_done,
            "waiting": torch.from_numpy(self.queue.waiting),
            "queue": self.queue.rng.bit_generator.state,
            "stream": self.stream.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state, of a trainer that was made the same way."""
        self.go_back(state)
        self.steps_done = state["steps_done"]
        self.queue.waiting = state["waiting"].numpy()
        self.queue.rng.bit_generator.state = state["queue"]
        self.stream.set_state(state["stream"])

    def go_back(self, state: Mapping[str, Any]) -> None:
        """Take module and optimiser from a state, and go on with the rows that come next here."""
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(deepcopy(state["optimiser"]))  # which would share the state's tensors
        if self._rate is not None:
            for group in self.optimiser.param_groups:
                group["lr"] = self._rate
        self._graph = None

    @property
    def weight_decay(self) -> float:
        """Weight decay of the next step."""
        return float(self.optimiser.param_groups[0]["weight_decay"])

    def change(self, learner: Learner, weight_decay: float) -> None:
        """Go on with another learner of the same modules, and another weight decay."""
        self.learner = learner
        for group in self.optimiser.param_groups:
            group["weight_decay"] = weight_decay
        self._graph = None

    def _places(self, steps: int) -> Tensor:
        """The next rows of the queue: (steps, B) on the device."""
        drawn = self.queue.take(steps * self.recipe.batch_size)
        return self._handed_over(torch.from_numpy(drawn.reshape(steps, -1)))

    def _rows(self, places: Tensor) -> Tensor:
        """Rows of the tokens (n, B) at places (n, B) of the queue."""
        return places if self.subset is None else self.subset[places]

    def _handed_over(self, host: Tensor) -> Tensor:
        """On the device, which is not waited for."""
        return host if self.device.type == "cpu" else host.pin_memory().to(self.device, non_blocking=True)

    def _step(self, rows: Tensor, columns: Tensor) -> Tensor:
        self.optimiser.zero_grad()
        batch = self._batch(rows, columns)
        parts = row_slices(len(batch.rows), 1, self.rows_at_once)
        first, *others = [self._learn(batch.part(part)) for part in parts]
        loss = self.world.sum_gradients(self.optimiser.param_groups[0]["params"], sum(others, first))
        self.optimiser.step()
        return loss

    def _batch(self, rows: Tensor, columns: Tensor) -> Batch:
        """The share of a batch that is learned here, changed as all of it is: numbers are drawn for every row."""
        batch = self.tokens.batch(rows, columns)
        if self.augment is not None:
            parts = row_slices(len(rows), 1, self.rows_at_once)
            batch = replace(batch, inputs=torch.cat([self.augment(batch.part(part)).inputs for part in parts]))
        return batch.part(self.world.share(len(rows)))

    def _learn(self, batch: Batch) -> Tensor:
        """Add the gradients of some rows, or of all; their part of the mean loss."""
        with multiply_in(self.precision, self.device):
            losses = self.learner.losses(self.module, batch, self.weights)
        mean = losses.float().sum() / (self.recipe.batch_size * self.tokens.length)
        mean.backward()  # type: ignore[no-untyped-call]
        return mean.detach()


def rows_at_once(learner: Learner, shape: Shape, batch_size: int, device: torch.device) -> int:
    """How many rows of a batch are learned from at once: as many as their logits and attention scores allow.

    Examples
    --------
    >>> from pyorder.models.learner import DecoderLearner
    >>> learner, cpu = DecoderLearner(PRESETS["nano"].architecture), torch.device("cpu")
    >>> [rows_at_once(learner, Shape(20, length, length), 128, cpu) for length in (13, 1000)]
    [128, 8]
    """
    most = min(batch_size, max(1, LOGITS_AT_ONCE // (shape.columns * shape.vocabulary_size)))
    if device.type == "cpu" and (scores := learner.scores(shape)):
        most = min(most, max(FEWEST_ROWS, SCORES_AT_ONCE // scores))
    return most


def train_together(
    trainers: Sequence[Trainer], sources: Sequence[OrderSource], steps: int, after_step: StepHook | None = None
) -> Tensor:
    """Train several side by side, each exactly as alone: losses (trainers, steps) as `Trainer.train` gives them.

    On a GPU the replays of each go to a stream of their own, where small ones fill what the others leave idle.

    Parameters
    ----------
    sources : one for each trainer
    after_step : called with the number of every step that was handed over for all of them
    """
    losses = [torch.empty(steps, dtype=torch.float32, device=trainer.device) for trainer in trainers]
    turns = [one.stepping(source, into) for one, source, into in zip(trainers, sources, losses, strict=True)]
    lanes = [trainer.lane for trainer in trainers]
    for lane in lanes:
        if lane is not None:
            lane.wait_stream(torch.cuda.current_stream(lane.device))
    for step in range(steps + 1):  # in the last turn each ends
        for turn, lane in zip(turns, lanes, strict=True):
            with nullcontext() if lane is None else torch.cuda.stream(lane):  # None would still set CUDA up
                next(turn, None)
        if after_step is not None and step < steps:
            after_step(step)
    for lane in lanes:
        if lane is not None:
            torch.cuda.current_stream(lane.device).wait_stream(lane)
    return torch.stack(losses).cpu()


def column_weights(recipe: Recipe, tokens: Tokens) -> Tensor | None:
    """Weights (C,) by column that make the mean over steps the recipe's weighted mean; None if all count alike.

    Examples
    --------
    >>> tokens = Tokens.of(Dataset([[0]], [[1, 0, 1]], widths=[2, 1]), "train", torch.device("cpu"))
    >>> column_weights(Recipe(steps=1, learning_rate=1.0, step_weights=(1, 3)), tokens)
    tensor([0.5000, 0.5000, 1.5000])
    """
    recipe.check_length(tokens.length)
    if recipe.step_weights is None:
        return None
    weights = np.array(recipe.step_weights) / np.mean(recipe.step_weights)
    return torch.tensor(weights, dtype=torch.float32, device=tokens.device)[tokens.step_of_column]


class _Graph:
    """A trainer's step as a CUDA graph that reads rows, orders and rate of the next step from tables."""

    def __init__(self, trainer: Trainer, rows: Tensor, columns: Tensor) -> None:
        self.rows, self.columns = (one.repeat(STEPS_AT_ONCE, *[1] * one.dim()) for one in (rows, columns))
        self.rates = torch.zeros(STEPS_AT_ONCE, dtype=torch.float32, device=trainer.device)
        self.losses = torch.zeros(STEPS_AT_ONCE, dtype=torch.float32, device=trainer.device)
        self.next = torch.zeros(1, dtype=torch.long, device=trainer.device)
        self.graph = torch.cuda.CUDAGraph()
        lane = trainer.lane
        assert lane is not None
        with torch.cuda.device(trainer.device), _undone(trainer), trainer.stream.lent():
            lane.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(lane):
                for _ in range(WARM_UP_STEPS):
                    self._step(trainer)
            torch.cuda.current_stream().wait_stream(lane)
            trainer.optimiser.zero_grad()  # so that gradients are made in the graph's own memory
            if trainer.augment is not None:
                self.graph.register_generator_state(trainer.augment.generator)
            # Other threads of the calling program may use the device meanwhile.
            with torch.cuda.graph(self.graph, stream=lane, capture_error_mode="thread_local"):
                self._step(trainer)

    def _step(self, trainer: Trainer) -> None:
        rate, rows, columns = (
            table.index_select(0, self.next)[0] for table in (self.rates, self.rows, self.columns)
        )
        assert trainer._rate is not None
        trainer._rate.copy_(rate)
        self.losses.index_copy_(0, self.next, trainer._step(rows, columns)[None])
        self.next += 1

    def load(self, rows: Tensor, columns: Tensor, rates: Tensor) -> None:
        """Fill the tables of the next steps."""
        for table, given in ((self.rows, rows), (self.columns, columns), (self.rates, rates)):
            table[: len(given)].copy_(given)
        self.next.zero_()

    def replay(self) -> None:
        """Take the next step."""
        self.graph.replay()


@contextmanager
def _undone(trainer: Trainer) -> Iterator[None]:
    """Undo at the end what is learned and drawn meanwhile, in place; a new optimiser's state becomes zeros."""
    parameters = list(trainer.module.parameters())
    states, augment = trainer.optimiser.state, trainer.augment
    learned = [parameter.detach().clone() for parameter in parameters]
    moments = {key: {name: value.clone() for name, value in state.items()} for key, state in states.items()}
    drawn = None if augment is None else augment.generator.get_state()
    place = trainer.stream.state()
    yield
    trainer.stream.set_state(place)
    with torch.no_grad():
        for parameter, value in zip(parameters, learned, strict=True):
            parameter.copy_(value)
        for key, state in states.items():
            for name, value in state.items():
                value.copy_(moments[key][name]) if key in moments else value.zero_()
    if augment is not None and drawn is not None:
        augment.generator.set_state(drawn)
