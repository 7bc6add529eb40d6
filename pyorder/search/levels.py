"""Levels on data: whether steps that no dependency separates can really be written at once.

Steps that are written at once see the input and what earlier levels have written, and nothing of each other. One
any-order model is trained to write the levels in sequence, the steps of a level in random sequence, and is then
asked both ways: for all steps of a level at once, and step by step.

*Pairs.* On rows that the model is not trained on, steps of a level go in a random sequence and in its reverse, and
the first look (`pyorder.dependencies.statistics`) says what each is worth to each other, all earlier levels being
ahead. A pair that is surely worth something is no pair to write at once: it gets an edge, the strongest first, and
with it a level more, where it needs one.

    S  samples    R  test rows    L  steps    C  columns
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from pyorder._checks import MAX_SEED, check_integer
from pyorder._values import ByContents
from pyorder.data.dataset import Dataset, check_datasets
from pyorder.data.entropy import entropies
from pyorder.data.schema import IGNORED
from pyorder.data.tokens import Tokens
from pyorder.dependencies.explorer import INPUTS_A_STEP, LEAST_ENTROPY, HiddenInputs
from pyorder.dependencies.graph import NOTHING, NOTHING_OF_ENTROPY
from pyorder.dependencies.statistics import Evidence, mean_and_error, measure, z_threshold
from pyorder.errors import InputError
from pyorder.execution import RandomStream, isolated, row_slices
from pyorder.models.learner import AnyOrderLearner
from pyorder.orders.posets import Poset
from pyorder.progress import Progress, Report, resolve_progress
from pyorder.streams import seed_from, stream
from pyorder.training.memory import check_run
from pyorder.training.orders import RowQueue, Succession
from pyorder.training.presets import EXPLORER
from pyorder.training.recipe import Numbers, Recipe
from pyorder.training.trainer import Trainer
from pyorder.world import World

Levels = Sequence[Sequence[int]]
Orders = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

RECIPE = replace(
    EXPLORER.recipe, steps=1000, schedule="linear"
)  # what is reached counts, not what is seen on the way
SAMPLES = 2048  # pairs of an order and its reverse
FEWEST_ROWS = 10  # a fifth is set apart
ROWS_AT_ONCE = 256
STEPS_AT_ONCE = 50  # training steps whose orders are drawn together
MOST_WRITTEN, FEWEST_WRITTEN = 40_000, 500  # steps of test rows that are generated; rows at least


@dataclass(frozen=True)
class Bound:
    """Two steps of a level that are not independent, given all earlier levels.

    Attributes
    ----------
    before, after : steps
    benefit, standard_error : nats that ``after`` loses less with ``before`` ahead of it
    """

    before: int
    after: int
    benefit: float
    standard_error: float


@dataclass(frozen=True, eq=False)
class LevelCheck(ByContents):
    """What writing whole levels at once costs, beside writing step by step, by one model on the same rows.

    Attributes
    ----------
    levels : steps that are written at once, level by level; as the graph has them, but for ``bound``
    bound : pairs that were in one level of the graph and are not independent, the strongest first
    passes, passes_in_sequence : of the model, to write a row; a step of w columns takes w
    success, success_in_sequence : share of test rows that are generated without a mistake
    success_difference : at once minus in sequence, and the standard error, row by row (or group by group)
    row_loss, row_loss_in_sequence : nats a test row
    loss_difference : the same of these: what is lost by writing at once
    test_rows : how many those are
    seconds : wall time
    settings : how the model was trained
    """

    levels: tuple[tuple[int, ...], ...]
    bound: tuple[Bound, ...]
    passes: int
    passes_in_sequence: int
    success: float
    success_in_sequence: float
    success_difference: tuple[float, float]
    row_loss: float
    row_loss_in_sequence: float
    loss_difference: tuple[float, float]
    test_rows: int
    seconds: float
    settings: dict[str, Any]

    def summary(self, step_names: Sequence[str] = ()) -> dict[str, Any]:
        """The same in values of JSON; with names where steps have some."""
        told = asdict(self)
        for pair in told["bound"] if step_names else ():
            pair |= {f"{end}_name": step_names[pair[end]] for end in ("before", "after")}
        named = {"names": [[step_names[step] for step in level] for level in self.levels]} if step_names else {}
        return {**told, **named}


@isolated()
def check_levels(
    graph: Poset,
    train: Dataset,
    *,
    test: Dataset,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: str | torch.device | World = "auto",
    progress: Report | bool | None = None,
    **numbers: Unpack[Numbers],
) -> LevelCheck:
    """Train one any-order model to write the levels of a graph, and compare writing them at once and in sequence.

    Parameters
    ----------
    graph : of the data's steps, such as ``found.graph``
    train, test : Datasets; ``test`` should be neither trained on nor used to find the graph
    recipe, numbers : of the training
    seed, device, progress : as in `discover`

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described; nothing has been trained then.

    Examples
    --------
    >>> splits = make_task("square", length=4).splits(train=500, validation=50, test=50)
    >>> graph = posets.Poset(4, [[0, 1], [1, 2]])
    >>> checked = search.check_levels(graph, splits.train, test=splits.test, steps=5)
    >>> checked.levels, checked.passes, checked.passes_in_sequence
    (((0, 3), (1,), (2,)), 3, 4)
    """
    check_datasets(train=train, test=test)
    check_integer(seed, "seed", 0, MAX_SEED)
    if not isinstance(graph, Poset) or graph.length != train.target_length:
        given = f"one of {graph.length}" if isinstance(graph, Poset) else type(graph).__name__
        raise InputError(f"graph: a Poset of {train.target_length} steps is needed, {given} given")
    if len(train) < FEWEST_ROWS:
        raise InputError(f"train: at least {FEWEST_ROWS} rows are needed, some to learn from, {len(train)} given")
    of_rows, count = ("rows", len(test)) if test.groups is None else ("groups", len(np.unique(test.groups)))
    if count < 2:
        raise InputError(f"test: at least 2 {of_rows} are needed, since one says nothing of chance; 1 given")
    world = World.of(device)
    started, shown = time.perf_counter(), resolve_progress(world.only_first(progress), "levels")
    recipe = (recipe or RECIPE).but(numbers)
    if recipe.precision == "auto" and world.device.type == "cuda":
        recipe = replace(recipe, precision="float32")  # as what explores
    with shown as report:
        writer = _Writer(train, test, max(map(len, graph.levels)), recipe, seed, world)

        def tell(share: float) -> None:
            if report is not None:
                report(Progress("training on levels", 0.9 * share, time.perf_counter() - started))

        writer.train(graph.levels, tell)
        bound = writer.bound_pairs(graph.levels)
        bonds = Poset(graph.length)
        for pair in bound:
            bonds.add(pair.before, pair.after)
        # Levels are parted, and never joined in another way: all pairs of one were asked about.
        parts = [tuple(step for step in level if step in part) for level in graph.levels for part in bonds.levels]
        levels = tuple(part for part in parts if part)
        sequence = [(step,) for level in levels for step in writer.rng.permutation(level).tolist()]
        rows, groups = writer.test_rows(max(FEWEST_WRITTEN, MOST_WRITTEN // graph.length))
        right, right_in_sequence = (writer.written_right(rows, way) for way in (levels, sequence))
        lost, lost_in_sequence = (writer.losses(rows, way).sum(1) for way in (levels, sequence))
    widths = np.array(train.schema.widths)
    return LevelCheck(
        levels=levels,
        bound=tuple(bound),
        passes=sum(int(widths[list(level)].max()) for level in levels),
        passes_in_sequence=int(widths.sum()),
        success=float(right.mean()),
        success_in_sequence=float(right_in_sequence.mean()),
        success_difference=mean_and_error(right.astype(float) - right_in_sequence, groups),
        row_loss=float(lost.mean()),
        row_loss_in_sequence=float(lost_in_sequence.mean()),
        loss_difference=mean_and_error(lost - lost_in_sequence, groups),
        test_rows=len(rows),
        seconds=time.perf_counter() - started,
        settings={**recipe.record(writer.device), "device": str(writer.device), "seed": seed},
    )


class _Writer:
    """An any-order model that learns to write levels, rows that it never sees, and those that it is tested on."""

    def __init__(
        self, train: Dataset, test: Dataset, widest: int, recipe: Recipe, seed: int, world: World
    ) -> None:
        device = world.device
        self.device, self.recipe = device, recipe
        self.rng = stream(seed, "levels")
        known = Tokens.of(train, "train", device)
        tested = Tokens.of(test, "test", device, (train.vocabulary, train.schema))
        held, kept, self.cluster, _ = known.set_apart(
            min(SAMPLES, len(known) // 5), self.rng, INPUTS_A_STEP * widest
        )
        if widest > 1 and (apart := len(np.unique(self.cluster))) <= widest:
            kind = "rows" if known.groups is None else "groups"
            raise InputError(
                f"train: which of {widest} steps in a level are not independent takes {widest + 1} {kind} as "
                f"evidence at least; a fifth of the rows has {apart}"
            )
        inputs, targets = (
            torch.cat([getattr(one, name) for one in (known, tested)]) for name in ("inputs", "targets")
        )
        self.tokens = replace(known, inputs=inputs, targets=targets, groups=None).compact()
        self.tested, self.test_groups = torch.arange(len(known), len(self.tokens), device=device), tested.groups
        self.held, learned = (torch.from_numpy(rows).to(device) for rows in (held, kept))
        self.entropy = np.maximum(entropies(self.tokens, learned), LEAST_ENTROPY)
        self.learner = AnyOrderLearner(EXPLORER.architecture)
        check_run(self.learner, self.tokens.shape, recipe, world)
        torch_stream = RandomStream(seed_from(self.rng), device)
        with torch_stream.lent():
            self.module = self.learner.build(self.tokens.shape).to(device)
        self.trainer = Trainer(
            self.learner,
            self.module,
            self.tokens,
            recipe,
            RowQueue(len(kept), self.rng),
            stream=torch_stream,
            subset=learned,
            augment=HiddenInputs(self.tokens.vocabulary_size, seed_from(self.rng), device),
            world=world,
        )

    def test_rows(self, most: int) -> tuple[Tensor, npt.NDArray[np.int64] | None]:
        """Rows (R,) to test on, at random, and what groups they are of."""
        chosen = self.rng.permutation(len(self.tested))[:most]
        groups = None if self.test_groups is None else self.test_groups[chosen]
        return self.tested[torch.from_numpy(chosen).to(self.device)], groups

    def train(self, levels: Levels, tell: Callable[[float], None]) -> None:
        """Train on the levels in sequence, with the steps of each in random sequence, row by row."""
        while (done := self.trainer.steps_done) < self.recipe.steps:
            steps = min(STEPS_AT_ONCE, self.recipe.steps - done)
            orders, _ = self._both_ways(levels, steps * self.recipe.batch_size)
            self.trainer.train(Succession(self.tokens.column_orders(orders)), steps)
            tell(self.trainer.steps_done / self.recipe.steps)

    def _both_ways(self, levels: Levels, count: int) -> tuple[Orders, Orders]:
        """Orders that keep the sequence of levels, each in random sequence inside, and in the reverse of that."""
        rank = np.empty(self.tokens.length)
        for number, level in enumerate(levels):
            rank[list(level)] = number
        drawn = self.rng.random((count, self.tokens.length))
        return (rank + drawn).argsort(1), (rank + 1.0 - drawn).argsort(1)

    def bound_pairs(self, levels: Levels) -> list[Bound]:
        """Pairs of a level that are surely worth something to each other, the strongest first."""
        orders = self._both_ways(levels, len(self.held))
        both = [self._step_losses(self.held, self.tokens.column_orders(way)) for way in orders]
        losses = np.stack([part.double().cpu().numpy() for part in both], axis=1)
        tests = sum(len(level) * (len(level) - 1) for level in levels)
        threshold, found, first = z_threshold(NOTHING, tests), [], 0
        for level in map(list, levels):
            inside = np.searchsorted(level, orders[0][:, first : first + len(level)])
            first += len(level)
            if len(level) < 2:
                continue
            look = measure(Evidence(losses[:, :, level], inside, self.cluster, self.device), seed_from(self.rng))
            sure = look.benefit - threshold * look.standard_error > NOTHING_OF_ENTROPY * self.entropy[level]
            np.fill_diagonal(sure, False)
            found += [
                Bound(level[j], level[i], float(look.benefit[j, i]), float(look.standard_error[j, i]))
                for j, i in np.argwhere(sure).tolist()
            ]
        return sorted(found, key=lambda pair: -pair.benefit)

    @torch.inference_mode()
    def _step_losses(self, rows: Tensor, columns: Tensor) -> Tensor:
        parts = row_slices(len(rows), 1, ROWS_AT_ONCE)
        return torch.cat(
            [self.learner.step_loss(self.module, self.tokens.batch(rows[part], columns[part])) for part in parts]
        )

    def _turns(self, levels: Levels) -> list[tuple[list[int], Tensor, Tensor]]:
        """What one reading of the model can give: steps, their columns, and what they do not see (C,).

        Steps of one column are read together. A wide one is read alone, since it sees its own columns.
        """
        widths, offsets = self.tokens.schema.widths, self.tokens.schema.offsets
        of_step, turns = self.tokens.step_of_column, []
        ahead = torch.zeros(len(of_step), dtype=torch.bool, device=self.device)
        for level in levels:
            narrow = [step for step in level if widths[step] == 1]
            for steps in ([narrow] if narrow else []) + [[step] for step in level if widths[step] > 1]:
                own = torch.cat([torch.arange(offsets[s], offsets[s + 1], device=self.device) for s in steps])
                unseen = ~ahead
                if len(steps) == 1:
                    unseen = unseen.index_fill(0, own, False)  # the order hides a column from itself
                turns.append((steps, own, unseen))
            ahead |= torch.isin(of_step, torch.tensor(list(level), device=self.device))
        return turns

    def _columns(self, levels: Levels) -> Tensor:
        order = np.array([step for level in levels for step in level])
        return self.tokens.column_orders(order[None])

    def _hidden(self, unseen: Tensor, values: Tensor) -> Tensor:
        return unseen | (values == IGNORED)

    @torch.inference_mode()
    def losses(self, rows: Tensor, levels: Levels) -> Floats:
        """Nats (R, L) of rows by step, each step told nothing of its own level."""
        columns, turns = self._columns(levels), self._turns(levels)
        parts = []
        for part in row_slices(len(rows), 1, ROWS_AT_ONCE):
            batch = self.tokens.batch(rows[part], columns.expand(len(rows[part]), -1))
            nats, given = torch.zeros(batch.targets.shape, device=self.device), self.tokens.filled(batch.targets)
            for _, own, unseen in turns:
                logits = self.module(batch.inputs, given, batch.columns, self._hidden(unseen, batch.targets))
                wanted = batch.targets[:, own]
                nats[:, own] = F.cross_entropy(
                    logits[:, own].mT.float(), wanted, reduction="none", ignore_index=IGNORED
                )
            parts.append(self.tokens.by_step(nats))
        return torch.cat(parts).double().cpu().numpy()

    @torch.inference_mode()
    def written_right(self, rows: Tensor, levels: Levels) -> npt.NDArray[np.bool_]:
        """Whether a row (R,) is generated without a mistake, the likeliest value at every place."""
        columns, turns, end = self._columns(levels), self._turns(levels), self.tokens.vocabulary_size - 1
        first = set(self.tokens.schema.offsets[:-1].tolist())
        parts = []
        for part in row_slices(len(rows), 1, ROWS_AT_ONCE):
            batch = self.tokens.batch(rows[part], columns.expand(len(rows[part]), -1))
            written = torch.full_like(batch.targets, IGNORED)
            for steps, own, unseen in turns:
                for places in [own] if len(steps) > 1 else own[:, None]:
                    given = written.masked_fill(written == IGNORED, end)
                    logits = self.module(batch.inputs, given, batch.columns, self._hidden(unseen, written))
                    chosen = logits[:, places].argmax(-1)
                    if self.tokens.padded and len(steps) == 1 and int(places[0]) not in first:
                        last = written[:, places - 1]
                        chosen = chosen.masked_fill((last == end) | (last == IGNORED), IGNORED)
                    written[:, places] = chosen
            parts.append(((written == batch.targets) | (batch.targets == IGNORED)).all(1))
        return torch.cat(parts).cpu().numpy()
