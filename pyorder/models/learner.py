"""What can learn: the built-in decoder, the any-order model, and a caller's own module.

A caller's own model is a function ``build(vocabulary_size, input_length, target_length)`` that returns a
``torch.nn.Module`` with ``forward(inputs (B, X), emitted (B, C), order=None) -> logits (B, C, V)``: at place j it
predicts ``emitted[:, j]`` and may look at ``inputs`` and ``emitted[:, :j]``. All of these are token ids, and
``target_length`` is C, the columns of a target: its steps, where each is one column wide.

    B  rows    X  input length    C  columns    L  steps    V  vocabulary size
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from typing import Any, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyorder.data.schema import IGNORED, Schema
from pyorder.data.tokens import Batch, Shape, Tokens
from pyorder.losses import permuted_cross_entropy
from pyorder.models.any_order import AnyOrderDecoder
from pyorder.models.architecture import Architecture
from pyorder.models.decoder import Decoder, Memory
from pyorder.streams import on_device

Build: TypeAlias = Callable[[int, int, int], nn.Module]

MOST_LOGITS = 2**24  # at once, in the check of causality: 64 MiB


class Incremental(Protocol):
    """A module that reads inputs once, and writes any number of continuations from what it remembers."""

    separator: Tensor

    def read(self, inputs: Tensor) -> Memory:
        """Inputs (B, X) -> what is remembered of them."""

    def write(
        self,
        memory: Memory,
        before: Tensor,
        slots: Tensor,
        visible: Tensor,
        remembered: Tensor | None = None,
    ) -> tuple[Tensor, Memory]:
        """As `Decoder.write`."""


class Learner(ABC):
    """Builds modules of one kind, and knows what they lose.

    Attributes
    ----------
    name : as it is written beside a result
    draws : whether training draws from torch's global random generators
    capturable : whether a training step can be recorded as a CUDA graph
    usual_rate : the learning rate that it is trained at where nobody says another; None: the preset's
    """

    name: str
    draws: bool = True
    capturable: bool = False
    usual_rate: float | None = None

    @property
    def writes(self) -> bool:
        """Whether it can write targets in an order: whether it has `logits` of places."""
        return type(self).logits is not Learner.logits

    @abstractmethod
    def build(self, shape: Shape) -> nn.Module:
        """Build a module on the CPU; its parameters are drawn from torch's global generator."""

    @abstractmethod
    def losses(self, module: nn.Module, batch: Batch, weights: Tensor | None = None) -> Tensor:
        """Nats (B, C) in the sequence of emission, each times the weight (C,) of its column."""

    @abstractmethod
    def step_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Nats (B, L) by canonical step: the sum over its columns."""

    def scores(self, shape: Shape) -> int:
        """Attention scores of a row in a layer; 0 where that is not known."""
        return 0

    def numbers(self, shape: Shape) -> tuple[int, int]:
        """About how many weights a module has, and activations a row in training, from below; 0 if not known."""
        return 0, 0

    def rows_at_once(self, tokens: Tokens) -> int | None:
        """Most rows that are learned from together for want of memory; None where that is no matter."""
        return None

    def logits(self, module: nn.Module, batch: Batch, emitted: Tensor) -> Tensor:
        """Logits (B, C, V) by place, when ``emitted`` (B, C) was written in the batch's order."""
        raise NotImplementedError(f"{self.name}: writes in no order")

    def continuing(self, module: nn.Module, batch: Batch) -> Callable[[Tensor, int], Tensor]:
        """A function of what was emitted (B, C), and a place, that gives the logits (B, V) of that place.

        It is called for one place after the other; what comes at or behind the place is `IGNORED`.
        """

        def logits(emitted: Tensor, place: int) -> Tensor:
            so_far = emitted.masked_fill(emitted == IGNORED, batch.tokens.vocabulary_size - 1)
            return self.logits(module, batch, so_far)[:, place]

        return logits

    def look(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats (B, C) at each place, and whether the likeliest token there is the right one."""
        logits = self.logits(module, batch, batch.emitted).float()
        wanted = batch.targets.gather(1, batch.columns)
        nats = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none", ignore_index=IGNORED)
        return nats, logits.argmax(-1) == wanted

    def incremental(self, module: nn.Module) -> Incremental | None:
        """The module, if it can read once and write often."""
        return None

    def exploring(self, shape: Shape, length: int) -> Learner | None:
        """What is told the order of the ``length`` steps, and can explore; None if this never is."""
        return None

    def check_data(self, schema: Schema) -> None:
        """Refuse data that the learner cannot read; InputError."""
        return

    def check(self, module: nn.Module, shape: Shape) -> None:
        """Refuse a module that looks ahead; it is in evaluation mode. A built-in one does not."""
        return

    def record(self) -> dict[str, Any] | None:
        """The architecture in values of JSON; None if it is the caller's own."""
        return None


class DecoderLearner(Learner):
    """The built-in decoder, which is not told the order.

    Examples
    --------
    >>> learner = DecoderLearner(PRESETS["nano"].architecture)
    >>> type(learner.build(Shape(vocabulary_size=19, input_length=5, columns=4))).__name__
    'Decoder'
    """

    capturable = True

    def __init__(self, architecture: Architecture, name: str = "architecture") -> None:
        self.architecture = architecture
        self.name = name
        self.draws = architecture.dropout > 0

    def build(self, shape: Shape) -> Decoder:
        """A decoder with freshly drawn parameters."""
        return Decoder(self.architecture, *shape)

    def scores(self, shape: Shape) -> int:
        """As `Learner.scores`."""
        return self.architecture.heads * shape.columns * (shape.input_length + shape.columns)

    def numbers(self, shape: Shape) -> tuple[int, int]:
        """As `Learner.numbers`."""
        return self.architecture.numbers(*shape)

    def logits(self, module: nn.Module, batch: Batch, emitted: Tensor) -> Tensor:
        """As `Learner.logits`."""
        padding = batch.padding
        logits: Tensor = module(
            batch.inputs, emitted, None if padding is None else padding.gather(1, batch.columns)
        )
        return logits

    def losses(self, module: nn.Module, batch: Batch, weights: Tensor | None = None) -> Tensor:
        """As `Learner.losses`."""
        return permuted_losses(self.logits(module, batch, batch.emitted), batch, weights)

    def step_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """As `Learner.step_loss`."""
        return by_step_of_place(self.losses(module, batch), batch)

    def incremental(self, module: nn.Module) -> Incremental:
        """The module itself."""
        assert isinstance(module, Decoder)
        return module

    def record(self) -> dict[str, Any]:
        """The architecture's numbers."""
        return asdict(self.architecture)


class AnyOrderLearner(Learner):
    """The model that explores: it is told the order, and predicts every step from those before it.

    Examples
    --------
    >>> learner = AnyOrderLearner(PRESETS["nano"].architecture)
    >>> type(learner.build(Shape(vocabulary_size=19, input_length=5, columns=4))).__name__
    'AnyOrderDecoder'
    """

    name = "any-order"
    capturable = True

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self.draws = architecture.dropout > 0

    def build(self, shape: Shape) -> AnyOrderDecoder:
        """An any-order model with freshly drawn parameters."""
        return AnyOrderDecoder(self.architecture, *shape)

    def scores(self, shape: Shape) -> int:
        """As `Learner.scores`."""
        return self.architecture.heads * shape.columns * (shape.input_length + shape.columns)

    def numbers(self, shape: Shape) -> tuple[int, int]:
        """As `Learner.numbers`."""
        return self.architecture.numbers(*shape)

    def losses(self, module: nn.Module, batch: Batch, weights: Tensor | None = None) -> Tensor:
        """As `Learner.losses`."""
        nats = self._of_columns(module, batch)
        return (nats if weights is None else nats * weights).gather(1, batch.columns)

    def step_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """As `Learner.step_loss`."""
        return batch.tokens.by_step(self._of_columns(module, batch))

    def _of_columns(self, module: nn.Module, batch: Batch) -> Tensor:
        """Nats (B, C) by canonical column."""
        logits = module(batch.inputs, batch.tokens.filled(batch.targets), batch.columns, batch.padding)
        return F.cross_entropy(
            logits.transpose(1, 2).float(), batch.targets, reduction="none", ignore_index=IGNORED
        )

    def record(self) -> dict[str, Any]:
        """The architecture's numbers."""
        return asdict(self.architecture)


class CustomLearner(Learner):
    """A caller's own module.

    ``told`` says whether it is given the order of the steps, as `takes_order` finds out.
    """

    def __init__(self, build: Build, *, told: bool = False) -> None:
        self.function = build
        self.name = getattr(build, "__name__", type(build).__name__)
        self.told = told

    def build(self, shape: Shape) -> nn.Module:
        """A module that keeps the contract.

        Raises
        ------
        TypeError
            If the function returns no module, or the module no tensor.
        ValueError
            If the module fails on this data's shapes, its logits have another shape, or a place sees its own or a
            later column.
        """
        module = self.function(*shape)
        if not isinstance(module, nn.Module):
            raise TypeError(f"model: build returned {type(module).__name__}, a torch.nn.Module is needed")
        if not any(parameter.requires_grad for parameter in module.parameters()):
            raise ValueError("model: the module has no parameter to train")
        was_training = module.training
        module.eval()
        with torch.no_grad():
            check_causality(module, *shape)
        module.train(was_training)
        return module

    def logits(self, module: nn.Module, batch: Batch, emitted: Tensor) -> Tensor:
        """As `Learner.logits`."""
        told = (batch.order,) if self.told else ()
        logits: Tensor = module(batch.inputs, emitted, *told)
        return logits

    def losses(self, module: nn.Module, batch: Batch, weights: Tensor | None = None) -> Tensor:
        """As `Learner.losses`."""
        return permuted_losses(self.logits(module, batch, batch.emitted), batch, weights)

    def step_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """As `Learner.step_loss`."""
        return by_step_of_place(self.losses(module, batch), batch)

    def exploring(self, shape: Shape, length: int) -> CustomLearner | None:
        """The same, told the order, if what its modules predict depends on that."""
        if not takes_order(self.build(shape), shape, length):
            return None
        return CustomLearner(self.function, told=True)

    def check(self, module: nn.Module, shape: Shape) -> None:
        """Look once more after training: a leak may show only then, behind an output layer that starts at zero."""
        with torch.no_grad():
            check_causality(module, *shape)


def permuted_losses(logits: Tensor, batch: Batch, weights: Tensor | None) -> Tensor:
    """Nats (B, C) by place of logits (B, C, V) by place."""
    places = torch.arange(len(batch.rows), device=batch.rows.device)
    return permuted_cross_entropy(
        logits, batch.tokens.targets, batch.columns, places, batch.rows, weights=weights, reduction="none"
    )


def by_step_of_place(losses: Tensor, batch: Batch) -> Tensor:
    """Losses (B, C) in the sequence of emission, summed by canonical step: (B, L)."""
    return batch.tokens.by_step(torch.empty_like(losses).scatter(1, batch.columns, losses))


def takes_order(module: nn.Module, shape: Shape, length: int) -> bool:
    """Whether what a module predicts depends on the order it is told; (B, L) is its third argument then.

    A copy with noise on its parameters is asked, because an output layer that starts at zero hides everything.
    """
    probe = deepcopy(module).eval()
    generator = on_device(0)
    with torch.no_grad():
        for parameter in probe.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator).to(parameter))
        inputs, emitted = _example(shape, probe)
        order = torch.arange(length, device=emitted.device)[None]
        try:
            one, other = probe(inputs, emitted, order), probe(inputs, emitted, order.flip(1))
        except Exception:  # no third argument, or one that is refused: not told
            return False
    return isinstance(one, Tensor) and isinstance(other, Tensor) and not torch.equal(one, other)


def _example(shape: Shape, module: nn.Module) -> tuple[Tensor, Tensor]:
    """A row of random tokens, on the module's device: (1, X) and (1, C)."""
    device = next(module.parameters()).device
    generator = on_device(0)
    lengths = (shape.input_length, shape.columns)
    inputs, emitted = (torch.randint(shape.vocabulary_size, (1, size), generator=generator) for size in lengths)
    return inputs.to(device), emitted.to(device)


def check_causality(module: nn.Module, vocabulary_size: int, input_length: int, columns: int) -> None:
    """Change the emitted columns from place k on, for every k: logits up to place k must stay.

    The module is in evaluation mode, without gradients.

    Raises
    ------
    TypeError, ValueError
        As `CustomLearner.build`.
    """
    inputs, emitted = _example(Shape(vocabulary_size, input_length, columns), module)
    other = (emitted + 1) % vocabulary_size
    places = torch.arange(columns, device=emitted.device)
    # A few at a time: all C changes of C places and V logits at once may take gigabytes.
    for changes in torch.split(places, max(1, MOST_LOGITS // (columns * vocabulary_size))):
        changed = torch.where(places >= changes[:, None], other, emitted)  # (k, j)
        batch = torch.cat([emitted, changed])
        try:
            logits = module(inputs.expand(len(batch), -1), batch)
        except Exception as error:
            raise ValueError(
                f"model: the module fails on {input_length} inputs and {columns} steps of a vocabulary of "
                f"{vocabulary_size}: {type(error).__name__}: {error}"
            ) from error
        if not isinstance(logits, Tensor):
            raise TypeError(f"model: forward returned {type(logits).__name__}, logits as a tensor are needed")
        wanted = (len(batch), columns, vocabulary_size)
        if logits.shape != wanted:
            raise ValueError(f"model: forward returned logits of shape {tuple(logits.shape)}, {wanted} is needed")
        moved = (logits[1:] - logits[:1]).abs().amax(2)  # (k, j)
        leaks = (moved > 1e-4 * logits.abs().max().clamp(min=1.0)) & (places <= changes[:, None])
        if bool(leaks.any()):
            k, j = cast("list[int]", leaks.nonzero()[0].tolist())
            raise ValueError(
                f"model: the logits of slot {j} change with the step emitted at slot {int(changes[k])} or later"
            )
