"""Soft permutations: a matrix between all orders is trained together with a decoder, then hardened.

    L  steps    B  rows    S  (L, L) doubly stochastic weights, slots x steps    θ  (L, L) scores    τ  temperature
    G  (L, L) Gumbel noise

In each training step S = sinkhorn((θ + G) / τ). Slot j emits the mixture of the steps' embeddings with weights
S[j]; it sees the mixtures before it, and its loss is the cross-entropy of every step weighed by S[j]. τ falls from
``hot`` to ``cold``. In the end linear assignment turns θ, and θ with fresh noise, into orders, which meet in one
run of ordinary loss profiling.

*Leakage.* As long as S is not a permutation matrix, what slot j sees may hold a part of the step that it is asked
for. The loss then falls although no order does: the gradient makes S carry the answer to where it is read. Sato,
Kawamoto and Kera report this failure (arXiv 2506.23875). It is measured here: at ``LOOKS`` temperatures, on rows
that are not trained on, the loss under S is compared with the loss under the hardened S, by the same decoder, next
to the weight of steps not yet emitted in what the slots see.

The decoder is the built-in one of the profiling runs; with a caller's own module, whose embeddings cannot be mixed
from outside, that of the preset "nano". The last run uses the caller's.

Source: Mena, Belanger, Linderman, Snoek, arXiv 1802.08665.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pyorder._checks import check_integer
from pyorder._values import ByContents
from pyorder.data.tokens import Batch, Shape, Tokens
from pyorder.execution import RandomStream, multiply_in, row_slices
from pyorder.models.architecture import Architecture
from pyorder.models.decoder import Decoder
from pyorder.models.learner import DecoderLearner, Learner
from pyorder.orders.posets import Poset
from pyorder.profiling.profile import Profiler
from pyorder.profiling.result import Cost
from pyorder.search._pools import Orders, bend, count_up_to, distinct
from pyorder.search.laboratory import Laboratory
from pyorder.search.soft_permutations import Floats, harden, leaked_mass, sinkhorn
from pyorder.search.strategy import Strategy, check_temperatures
from pyorder.streams import nested, seed_from, stream
from pyorder.training.orders import OneOrder, RowQueue
from pyorder.training.presets import PRESETS
from pyorder.training.trainer import Trainer

LOOKS = 10  # temperatures, and measurements of leakage
SCORE_RATE = (
    0.02  # of θ, whatever the decoder's: Adam moves all parameters alike, and scores must outgrow the noise
)
DRAWS = 20  # hardenings that are tried for each candidate


@dataclass(frozen=True, eq=False)
class Leakage(ByContents):
    """What leaks through a soft permutation at one moment of training.

    Attributes
    ----------
    training_steps : so far
    temperature : τ
    soft_loss : nats a step under the weights
    hard_loss : nats a step under their hardening, a real order, by the same decoder on the same rows
    mass : (L,) weight of steps not yet emitted in what each slot sees; see `leaked_mass`
    """

    training_steps: int
    temperature: float
    soft_loss: float
    hard_loss: float
    mass: Floats

    @property
    def share(self) -> float:
        """Share of what all slots see that is not emitted yet."""
        length = len(self.mass)
        return float(self.mass.sum()) / max(1, length * (length - 1) / 2)


@dataclass(frozen=True)
class Soft(Strategy):
    """Gumbel-Sinkhorn relaxation, hardened; with a diagnosis of what leaked, as remarks of the result.

    Attributes
    ----------
    restarts : relaxations from different random numbers; fewer when the budget ends first
    steps : training steps of each
    hot, cold : first and last temperature
    samples : rows that each measurement of leakage rests on, at most
    candidates : orders in the last run

    Examples
    --------
    >>> Soft(restarts=2, steps=500).exploration_cost()
    Cost(training_steps=1000, rows_scored=20480)
    """

    name: ClassVar[str] = "soft"
    restarts: int = 4
    steps: int = 1000
    hot: float = 1.0
    cold: float = 0.1
    samples: int = 512
    candidates: int = 32

    def __post_init__(self) -> None:
        """Refuse options out of range."""
        for option, least in (("steps", LOOKS), ("samples", 1), ("candidates", 2), ("restarts", 1)):
            check_integer(getattr(self, option), option, least)
        check_temperatures(self.hot, self.cold)

    def pools(self, constraints: Poset) -> list[int]:
        """One run, of the hardened candidates."""
        return [count_up_to(constraints, self.candidates)]

    def exploration_cost(self) -> Cost:
        """All relaxations."""
        return sum([self.relaxation_cost()] * self.restarts, Cost())

    def relaxation_cost(self) -> Cost:
        """Training, and a soft and a hard loss at every look."""
        return Cost(self.steps, 2 * LOOKS * self.samples)

    def search(self, laboratory: Laboratory) -> Orders:
        """Relax, harden, rank."""
        if find_spec("scipy") is None:
            raise ModuleNotFoundError("strategy: 'soft' needs SciPy; pip install \"pyorder[soft]\"", name="scipy")
        tokens = laboratory.profiler.tokens
        if len(tokens) < 2:
            raise ValueError("train: 'soft' sets rows apart to measure leakage, at least 2 are needed, got 1")
        if len(set(tokens.schema.widths)) > 1 or tokens.padded:
            raise ValueError("strategy: 'soft' mixes steps, so all must have one width, and none may end early")
        rng, last, cost = laboratory.rng, self.pools(laboratory.constraints)[0], self.relaxation_cost()
        found: list[Floats] = []
        for number in range(1, self.restarts + 1):
            if not laboratory.affords(last, beside=cost):
                laboratory.curtail()
                break
            tell = laboratory.teller(f"relaxation {number}", cost, to_come=laboratory.run_cost(last))
            scores, looks = relax(laboratory.profiler, self, seed_from(rng), partial(tell, "training"))
            if not np.isfinite(scores).all():
                raise RuntimeError(f"relaxation {number}: training diverged; a lower learning_rate may help")
            laboratory.cost += cost
            laboratory.remarks.append(remark(number, looks))
            found.append(scores)
            hardened = harden(scores, nested(laboratory.seed))
            (laboratory.best,) = bend(laboratory.constraints, hardened[None])
        pool = hardenings(found, last, laboratory.constraints, rng) if found else laboratory.draw(last)
        return laboratory.profile(pool, "hardened candidates").best

    def temperature(self, look: int) -> float:
        """τ before look ``look``, from 0 on."""
        return self.hot * math.pow(self.cold / self.hot, look / (LOOKS - 1))


class SoftDecoder(nn.Module):
    """A decoder, and the scores θ of a soft permutation that it is trained with."""

    def __init__(self, decoder: Decoder, length: int, learning_rate: float) -> None:
        super().__init__()
        self.decoder = decoder
        self.rate = SCORE_RATE / learning_rate
        self.parameter = nn.Parameter(torch.randn(length, length, dtype=torch.float32) / self.rate)

    @property
    def scores(self) -> Tensor:
        """θ (L, L)."""
        return self.rate * self.parameter

    def forward(self, inputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss (B, C) by place, nats, of inputs (B, X) and targets (B, C) under weights (L, L)."""
        decoder = self.decoder
        width = targets.shape[1] // len(weights)
        weights = torch.kron(weights, torch.eye(width, device=weights.device, dtype=weights.dtype))  # (C, C)
        mixed = weights @ decoder.token_embedding(targets)  # (B, C, W)
        start = decoder.token_embedding(decoder.separator).expand(len(inputs), 1, -1)
        places = torch.arange(len(weights), device=inputs.device)
        before = torch.cat([start.to(mixed.dtype), mixed[:, :-1]], dim=1)
        visible = decoder.visible[decoder.input_length :, decoder.input_length :]
        logits, _ = decoder.write_embedded(decoder.read(inputs), before, places, visible)
        nats = -logits.float().log_softmax(-1)  # (B, C, V)
        of_columns = nats.gather(2, targets[:, None].expand(-1, len(weights), -1))  # (B, place, column)
        return (weights * of_columns).sum(2)


class SoftLearner(Learner):
    """Learns a soft permutation at the ``temperature`` of the moment, with fresh Gumbel noise at every step."""

    name = "soft"

    def __init__(self, architecture: Architecture, learning_rate: float, length: int, temperature: float) -> None:
        self.architecture, self.learning_rate, self.length = architecture, learning_rate, length
        self.temperature = temperature

    def build(self, shape: Shape) -> SoftDecoder:
        """A decoder, then the scores, from torch's generator."""
        return SoftDecoder(Decoder(self.architecture, *shape), self.length, self.learning_rate)

    def losses(self, module: nn.Module, batch: Batch, weights: Tensor | None = None) -> Tensor:
        """As `Learner.losses`, by place; no order is looked at."""
        assert isinstance(module, SoftDecoder)
        soft = sinkhorn((module.scores + gumbel_noise(module.scores)) / self.temperature)
        losses: Tensor = module(batch.inputs, batch.targets, soft)
        return losses

    def step_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """Nats (B, L) by slot: there are no steps in a mixture."""
        return batch.tokens.by_step(self.losses(module, batch))


def relax(
    profiler: Profiler, strategy: Soft, seed: int, on_share: Callable[[float], object]
) -> tuple[Floats, tuple[Leakage, ...]]:
    """Train one soft permutation with its decoder: its scores θ (L, L), and what leaked at each look."""
    recipe = replace(profiler.recipe, steps=strategy.steps, step_weights=None)  # a mixture has no steps to weigh
    kind = profiler.learner if isinstance(profiler.learner, DecoderLearner) else None
    architecture = PRESETS["nano"].architecture if kind is None else kind.architecture
    tokens, device = profiler.tokens, profiler.device
    rng = stream(seed, "relaxation")
    apart = tokens.set_apart(min(strategy.samples, max(1, len(tokens) // 5)), rng)
    held = tokens.select(torch.from_numpy(apart.held).to(device))
    learner = SoftLearner(architecture, recipe.learning_rate, tokens.length, strategy.temperature(0))
    drawn = RandomStream(seed, device)
    with drawn.lent():
        module = learner.build(tokens.shape).to(device)
    trainer = Trainer(
        learner,
        module,
        tokens,
        recipe,
        RowQueue(len(apart.kept), rng),
        stream=drawn,
        subset=torch.from_numpy(apart.kept).to(device),
    )
    looks: list[Leakage] = []

    def after_step(step: int) -> None:
        on_share((step + 1) / strategy.steps)
        if LOOKS * (step + 1) // strategy.steps > len(looks):
            with multiply_in(trainer.precision, device):
                looks.append(diagnose(module, held, learner.temperature, step + 1, rng))
        learner.temperature = strategy.temperature(LOOKS * (step + 1) // strategy.steps)

    given = torch.arange(tokens.schema.columns, device=device)
    trainer.train(OneOrder(given), strategy.steps, after_step)
    scores = module.scores.detach().double().cpu().numpy()
    # Noise is of the matrix and not of rows, so every process has done all of it.
    return profiler.world.agreed(lambda: (scores, tuple(looks)))


@torch.no_grad()
def diagnose(
    module: SoftDecoder, held: Tokens, temperature: float, steps: int, rng: np.random.Generator
) -> Leakage:
    """Measure what leaks at a temperature, without noise, on R rows."""
    weights = sinkhorn(module.scores / temperature)
    order = harden(module.scores.cpu(), rng)
    hard = torch.eye(len(weights), device=weights.device, dtype=weights.dtype)[
        torch.from_numpy(order).to(weights.device)
    ]
    module.eval()
    soft_loss, hard_loss = (
        sum(
            float(module(held.inputs[part].long(), held.targets[part].long(), matrix).sum())
            for part in row_slices(len(held), held.schema.columns, at_once=4096)
        )
        / (len(held) * held.length)
        for matrix in (weights, hard)
    )
    module.train()
    return Leakage(steps, temperature, soft_loss, hard_loss, leaked_mass(weights.cpu(), order))


def gumbel_noise(like: Tensor) -> Tensor:
    """Standard Gumbel noise, from torch's generator."""
    return -torch.empty_like(like).exponential_().log()


def hardenings(found: list[Floats], count: int, constraints: Poset, rng: np.random.Generator) -> Orders:
    """Up to ``count`` distinct orders that are allowed, in turn from each scores (L, L), in random sequence.

    Scores are hardened without noise first, then with.
    """
    drawn = [harden(scores, rng) for scores in found]
    pool = distinct(bend(constraints, np.array(drawn)))
    for draw in range(DRAWS * count):
        if len(pool) >= count:
            break
        scores = found[draw % len(found)]
        hardened = harden(scores + rng.gumbel(size=scores.shape), rng)
        pool = distinct(np.concatenate([pool, bend(constraints, hardened[None])]))
    return rng.permutation(pool[:count])


def remark(number: int, looks: tuple[Leakage, ...]) -> str:
    """Say in a sentence where soft and hard loss were furthest apart, and how it ended."""
    worst, end = max(looks, key=lambda look: look.hard_loss - look.soft_loss), looks[-1]
    told = [
        f"at temperature {look.temperature:.2g} a loss of {look.soft_loss:.3f} nats a step soft and "
        f"{look.hard_loss:.3f} hard, {look.share:.0%} of what its slots saw not emitted yet"
        for look in ((worst, end) if worst is not end else (end,))
    ]
    return f"Relaxation {number}: {'; '.join(told)}."
