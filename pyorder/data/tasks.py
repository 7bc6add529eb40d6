"""Tasks with a known recurrence: step y_i of a target follows from the input and earlier steps.

=========  ====================================================================================  =========
name       recurrence                                                                            ambiguous
=========  ====================================================================================  =========
relu       y_i = max(x_i + y_{i-1}, 0)                                                                16 %
square     y_i = (x_i² + y_{i-1}²) mod 19, as the residue in [-9, 9]                                 100 %
cubic      y_i = (x_i³ + y_{i-1}³) mod 19, as the residue in [-9, 9]                                  86 %
sine       y_i = round(9 sin(2π (x_i + y_{i-1}) / 9))                                                 77 %
triangle   y_i = round(9 (1 - abs((x_i + y_{i-1} + 5) mod 20 - 10) / 5)), a triangle wave             47 %
mlp        y_i = a fixed two-layer tanh network of (x_i, y_{i-1}), scaled and rounded to [-9, 9]      63 %
index      y_i = x_p, p = (y_{i-1} + … + y_{i-d}) mod L, terms before y_1 left out
prod       y = the digits of a·b, the least significant first
delay_*    below
=========  ====================================================================================  =========

y_1 = x_1, except in prod. The x are uniform in [-9, 9]; for index in [0, L), with positions counted from 0;
for prod they are the digits of a and then of b, the most significant first, in a given base.
*Ambiguous* is the share of (x_i, y_i), at the last step of L = 13, that leave y_{i-1} open: going backwards,
such a step cannot be told from what was emitted before. relu, square, index and prod are those of Sato,
Kawamoto and Kera (arXiv 2506.23875); the others are this project's own.

**Multiplication** is of factors with room for floor(L/2) digits each, or for ``factors=(5, 3)``, also "5x3",
together at most L; zeros stand in front. How they are drawn is told by ``rows``:

=========  ===================================================================================================
uniform    every digit is uniform, so that most factors fill their room
by_length  how many digits a factor has, from 1 to its room, is uniform, then so is the number of so many digits
sparse     as uniform, but in 45 % of the rows one digit of b, at any place, is 1 to base - 1, and the others are 0
=========  ===================================================================================================

**Delay systems** have several state variables, each a recurrence on delayed values of itself and of one other.
Step t · variables + v is variable v at time t, both counted from 0; x_{v,t} stands at the same place of the input:

    z_{v,t} = F(x_{v,t} + |z_{v,t-a}| + coupling · |z_{u,t-b}|),

where F reflects at -9 and 9 until the number lies between, and terms from before t = 0 are left out. The x are
uniform in [-9, 9].

===========  =====================================================  ==========================================
name         a, u, b                                                parameters
===========  =====================================================  ==========================================
delay_chain  a = 1; u = v - 1, none for v = 0; b = delay            variables = 4, delay = 1, coupling = 1
delay_ring   a = 1; u = v - 1, the last for v = 0; b = 1 + v mod    variables = 4, delays = 3, coupling = 1
             delays
delay_slow   v = 0 is slow, a = delay and no u, and drives the      variables = 4, delay = 3, coupling = 1
             others: a = 1, u = 0, b = 1
===========  =====================================================  ==========================================

Row i of a stream depends on (task, seed, stream, i) only, whatever the number of rows and threads.
"""

from __future__ import annotations

import json
import os
from functools import cached_property
from typing import TYPE_CHECKING, SupportsIndex, TypeAlias

import numpy as np

from pyorder import _core
from pyorder._checks import MAX_SEED, check_integer, check_memory, integer_array
from pyorder.data.dataset import Dataset, Splits
from pyorder.orders.permutations import check_order

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Task", "make_task", "satisfied_dependencies", "task_names"]

Parameter: TypeAlias = SupportsIndex | str | tuple[SupportsIndex, SupportsIndex] | list[SupportsIndex]

_RECURRENCES = {
    "relu": "y_i = max(x_i + y_{i-1}, 0)",
    "square": "y_i = (x_i² + y_{i-1}²) mod 19 in [-9, 9]",
    "cubic": "y_i = (x_i³ + y_{i-1}³) mod 19 in [-9, 9]",
    "sine": "y_i = round(9 sin(2π (x_i + y_{i-1}) / 9))",
    "triangle": "y_i = triangle wave of x_i + y_{i-1}, amplitude 9, period 20",
    "mlp": "y_i = fixed tanh network of (x_i, y_{i-1}), in [-9, 9]",
    "index": "y_i = x_p, p = (y_{i-1} + … + y_{i-d}) mod L",
    "prod": "y = digits of a·b, least significant first",
    "delay_chain": "z_{v,t} = x_{v,t} + |z_{v,t-1}| + c |z_{v-1,t-delay}|, reflected at -9 and 9",
    "delay_ring": "z_{v,t} = x_{v,t} + |z_{v,t-1}| + c |z_{v-1,t-1-(v mod delays)}|, reflected at -9 and 9",
    "delay_slow": "z_{v,t} = x_{v,t} + |z_{v,t-1}| + c |z_{0,t-1}|, reflected; for v = 0 only |z_{0,t-delay}|",
}
_MAX_VALUE = 2**15 - 1  # data is int16


class Task:
    """A task at one length; see make_task.

    Attributes
    ----------
    name : str
    length : int
        Steps of a target, L.
    input_length : int
        Values of an input, X.
    parameters : dict of str to int or str
        ``d`` of index; ``base``, ``factors`` (as "5x3") and ``rows`` of prod; those of the delay systems; empty
        for the others.
    recurrence : str
        The recurrence in one line; the documentation of this module has it in full.
    vocabulary : (V,) int64
        Every value that inputs and targets can have, sorted.
    space_size : int
        The number of distinct inputs.
    """

    def __init__(self, core: _core.tasks.Task) -> None:
        self._core = core
        self.name = core.name
        self.length = core.length
        self.input_length = core.input_length
        self.parameters = core.parameters
        self.recurrence = _RECURRENCES[core.name]
        low, high = core.input_range
        self.space_size = (high - low + 1) ** core.input_length
        ends = (*core.input_range, *core.target_range)
        self.vocabulary: NDArray[np.int64] = np.arange(min(ends), max(ends) + 1, dtype=np.int64)
        self.vocabulary.flags.writeable = False

    @cached_property
    def dependencies(self) -> tuple[tuple[int, int], ...] | None:
        """The pairs (p, i) of steps, counted from 0, where y_i is computed from y_p; None for prod.

        Steps that are computed from the input alone are left out as p. Those of prod are sums of products.
        """
        if self.name == "prod":
            return None
        told = self._core.dependencies  # of index, up to L squared
        computed = {i for _, i in told}
        return tuple((p, i) for i, p in sorted((i, p) for p, i in told) if p in computed)

    def __repr__(self) -> str:
        parameters = "".join(f", {name}={value!r}" for name, value in self.parameters.items())
        return f"make_task({self.name!r}, length={self.length}{parameters})"

    def designed_orders(self) -> dict[str, NDArray[np.int64]]:
        """Return the orders that a person would choose, by name; every one satisfies the dependencies.

        ``forward`` is the order of the recurrence, which for delay systems runs time by time. They also have
        ``wavefront``, every step as soon as its dependencies allow, and ``variable by variable`` where that is
        possible.

        Examples
        --------
        >>> for name, order in make_task("delay_chain", length=6, variables=2).designed_orders().items():
        ...     print(name, order)
        forward [0 1 2 3 4 5]
        wavefront [0 1 2 3 4 5]
        variable by variable [0 2 4 1 3 5]
        """
        orders = {"forward": np.arange(self.length)}
        if self.name.startswith("delay_"):
            level = [0] * self.length
            for before, after in sorted(self._core.dependencies, key=lambda pair: pair[1]):
                level[after] = max(level[after], level[before] + 1)
            orders["wavefront"] = np.argsort(level, kind="stable")
            by_variable = orders["forward"].reshape(-1, int(self.parameters["variables"])).T.flatten()
            if satisfied_dependencies(by_variable, self.dependencies or ()) == 1:
                orders["variable by variable"] = by_variable
        return orders

    def compute(self, inputs: ArrayLike) -> NDArray[np.int16]:
        """Return the targets (N, L) of the given inputs, (N, X) integers.

        Raises
        ------
        TypeError, ValueError
            For inputs that are no integers, have another shape, or leave the range of the task.

        Examples
        --------
        >>> make_task("square", length=5).compute([[7, -2, 4, 1, 3]])
        array([[ 7, -4, -6, -1, -9]], dtype=int16)
        """
        values = integer_array(inputs, "inputs")
        if values.ndim != 2 or values.shape[1] != self.input_length:
            raise ValueError(f"inputs: expected shape (N, {self.input_length}), got {values.shape}")
        low, high = self._core.input_range
        wrong = np.argwhere((values < low) | (values > high))
        if wrong.size:
            row, column = wrong[0]
            place = f"row {row}, column {column}"
            raise ValueError(f"inputs: expected values from {low} to {high}, got {values[row, column]} ({place})")
        return self._core.compute(values.astype(np.int16), 0)

    def generate(
        self,
        rows: SupportsIndex,
        *,
        seed: SupportsIndex,
        stream: SupportsIndex = 0,
        threads: SupportsIndex = 0,
    ) -> Dataset:
        """Return a dataset of ``rows`` rows, with uniform and independent inputs unless prod is told else.

        Seed and stream go from 0 to 2**64 - 1; ``threads`` 0 uses all cores, and no number of them changes
        the rows. The metadata tells the task, its length and parameters, the seed and the stream.

        Examples
        --------
        >>> data = make_task("relu", length=4).generate(2, seed=0)
        >>> data.inputs
        array([[-9, -9,  2, -5],
               [ 9, -5, -5, -5]], dtype=int16)
        >>> data.targets
        array([[-9,  0,  2,  0],
               [ 9,  4,  0,  0]], dtype=int16)
        """
        rows = self._check_rows(rows, "rows")
        seed = check_integer(seed, "seed", 0, MAX_SEED)
        stream = check_integer(stream, "stream", 0, MAX_SEED)
        arrays = self._core.generate(rows, seed, stream, _threads(threads))
        return self._dataset(*arrays, {"seed": str(seed), "stream": str(stream)})

    def splits(
        self,
        train: SupportsIndex = 100_000,
        validation: SupportsIndex = 1_000,
        test: SupportsIndex = 10_000,
        seed: SupportsIndex = 42,
        *,
        threads: SupportsIndex = 0,
    ) -> Splits:
        """Return training, validation and test splits of so many rows; no input occurs in two of them.

        They come from the streams 0, 1 and 2 of the seed. Training rows may repeat an input; validation and
        test leave out the rows whose input was seen before, in an earlier split or in themselves.

        Raises
        ------
        ValueError
            When too few distinct inputs are left for a split.

        Examples
        --------
        >>> make_task("relu", length=13).splits(train=1_000, validation=100, test=100).test
        Dataset(rows=100, input_length=13, target_length=13)
        >>> make_task("relu", length=2).splits(train=300, validation=300)
        Traceback (most recent call last):
        ValueError: validation: cannot draw 300 unseen inputs: 197 of 361 are taken
        """
        seed = check_integer(seed, "seed", 0, MAX_SEED)
        threads = _threads(threads)
        sizes = {"train": train, "validation": validation, "test": test}
        numbers = {name: self._check_rows(size, name) for name, size in sizes.items()}
        parts: list[Dataset] = []
        seen: list[NDArray[np.int16]] = []
        for stream, (name, rows) in enumerate(numbers.items()):
            if name == "train":
                inputs, targets = self._core.generate(rows, seed, stream, threads)
            else:
                try:
                    inputs, targets = self._core.generate_unseen(rows, seed, stream, seen, threads)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
            seen.append(inputs)
            origin = {"seed": str(seed), "stream": str(stream), "split": name}
            parts.append(self._dataset(inputs, targets, origin))
        return Splits(*parts)

    def _check_rows(self, rows: SupportsIndex, name: str) -> int:
        rows = check_integer(rows, name, 1)
        values = self.input_length + self.length
        check_memory(rows, 2 * values, name, f"rows of {values} values")
        return rows

    def _dataset(self, inputs: NDArray[np.int16], targets: NDArray[np.int16], origin: dict[str, str]) -> Dataset:
        for array in (inputs, targets):
            array.flags.writeable = False
        description = {
            "task": self.name,
            "length": str(self.length),
            "parameters": json.dumps(self.parameters),
        }
        return Dataset(inputs, targets, vocabulary=self.vocabulary, metadata=description | origin)


def task_names() -> tuple[str, ...]:
    """Return the names that make_task knows.

    Examples
    --------
    >>> task_names()  # doctest: +ELLIPSIS
    ('relu', 'square', 'cubic', 'sine', 'triangle', 'mlp', 'index', 'prod', 'delay_chain', 'delay_ring', ...)
    """
    return tuple(_core.tasks.task_names())


def make_task(name: str, length: SupportsIndex, **parameters: Parameter) -> Task:
    """Return a task of L = ``length`` steps.

    ``index`` takes ``d`` (2 unless given; 1 to L), the number of earlier steps that are added up;
    ``prod`` takes ``base`` (10 unless given), ``factors``, the digits of both factors (half of L each unless
    given), and ``rows``, "uniform" unless given, "by_length" or "sparse". The delay systems take ``variables``
    (their length is variables times time steps), ``delay`` (``delays`` for delay_ring) and ``coupling``.

    Raises
    ------
    TypeError
        For a length or parameter that is no integer, and no text or pair either.
    ValueError
        For an unknown name or parameter, or a length or parameter that is not allowed. Data is int16, which limits
        lengths: 3,640 for relu, whose values can grow by 9 a step, 32,767 for the others.

    Examples
    --------
    >>> make_task("index", length=13, d=4)
    make_task('index', length=13, d=4)
    >>> make_task("prod", length=10, factors=(9, 1), rows="by_length").generate(1, seed=0).inputs
    array([[0, 0, 0, 0, 0, 0, 0, 0, 0, 2]], dtype=int16)
    >>> make_task("index", length=13, depth=4)
    Traceback (most recent call last):
    ValueError: unknown parameter 'depth': index takes d
    """
    if not isinstance(name, str):
        raise TypeError(f"name: expected text, got {name!r}")
    steps = check_integer(length, "length", 2, _MAX_VALUE)
    given = {key: _parameter(key, value) for key, value in parameters.items()}
    return Task(_core.tasks.Task(name, steps, given))


def _parameter(key: str, value: Parameter) -> int | str:
    """As the core takes it; a pair of numbers as "5x3"."""
    if isinstance(value, str):
        return value
    if isinstance(value, tuple | list):
        return "x".join(str(check_integer(number, key, 1, _MAX_VALUE)) for number in value)
    return check_integer(value, key, 1, _MAX_VALUE)


def satisfied_dependencies(order: ArrayLike, dependencies: ArrayLike) -> float:
    """Return the share of dependencies (p, i), (E, 2) integers, whose p an order (L,) emits before i.

    An empty graph is satisfied: 1.0.

    Raises
    ------
    TypeError, ValueError
        For an order that is not a permutation, or dependencies that are not pairs of steps from 0 to L - 1.

    Examples
    --------
    >>> dependencies = make_task("relu", length=5).dependencies
    >>> dependencies
    ((1, 2), (2, 3), (3, 4))
    >>> satisfied_dependencies([1, 2, 0, 4, 3], dependencies)
    0.6666666666666666
    """
    slots = np.argsort(check_order(order))
    if dependencies is None:
        raise TypeError("dependencies: expected pairs of steps, got None; this task has no dependency graph")
    if np.size(dependencies) == 0:
        return 1.0
    pairs = integer_array(dependencies, "dependencies")
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"dependencies: expected shape (E, 2), got {pairs.shape}")
    if pairs.min() < 0 or pairs.max() >= len(slots):
        raise ValueError(
            f"dependencies: expected steps from 0 to {len(slots) - 1}, got {pairs.min()} to {pairs.max()}"
        )
    return float(np.mean(slots[pairs[:, 0]] < slots[pairs[:, 1]]))


def _threads(threads: SupportsIndex) -> int:
    return min(check_integer(threads, "threads", 0), os.cpu_count() or 1)
