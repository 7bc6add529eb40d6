"""Every random stream by name: what is drawn from a seed, and by whom.

All random numbers of a run come from its seed, in streams that do not touch each other's numbers. Two names that
share a number below never meet: they belong to different calls. (Trailing zeros make no other stream.)

==================  =======  =================================================================================
name                number   what it decides
==================  =======  =================================================================================
mixture             0        of a profiling run: its rows, the order of each, their sequence
ties                1        the rank of orders whose losses are equal
search              2        what a strategy draws: orders, moves, seeds of streams of its own
exploration         3        evidence rows, orders, and seeds inside an exploration; the sequence of its rows
final training      3        the sequence of rows of `fit`
secret shuffle      4        the places that `discover_shuffled` moves the target's columns to
relaxation          4        of the strategy ``soft``: evidence rows, the sequence of rows
contest             5        the sequence of rows of orders that train alone
random order        5        the order that a command compares others with
fewer rows          6        which rows a command takes, where it takes not all
shown pool          6        the sequence of the orders in a published figure
levels              7        of `check_levels`: its rows, its orders, and seeds inside
resamples           8        of searches done again: rows, labels and seeds, by kind and number
==================  =======  =================================================================================

Beside them, by functions of their own:

- `of_run`: the seed of each profiling run of a search, from the search's seed and the run's number;
- `seed_from`, `nested`: a stream that begins at a number which another stream has drawn;
- `on_device`: torch's, for parameters, dropout, hidden inputs and sampled targets; `RandomStream` of
  `pyorder.execution` lends one to code that draws from torch's global generators;
- rows of tasks and splits of data: Philox4x64-10 keyed by the seed, in streams 0, 1 and 2 for training, validation
  and test rows (`pyorder.data.tasks`, `pyorder.data.splitting`), and 3 for further test rows of the study `prod`;
  orders and graphs: the same, in streams that each algorithm names by letters (``csrc/``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch

Name = Literal[
    "mixture",
    "ties",
    "search",
    "exploration",
    "final training",
    "secret shuffle",
    "relaxation",
    "contest",
    "random order",
    "fewer rows",
    "shown pool",
    "levels",
    "resamples",
]
NUMBERS: dict[Name, int] = {
    "mixture": 0,
    "ties": 1,
    "search": 2,
    "exploration": 3,
    "final training": 3,
    "secret shuffle": 4,
    "relaxation": 4,
    "contest": 5,
    "random order": 5,
    "fewer rows": 6,
    "shown pool": 6,
    "levels": 7,
    "resamples": 8,
}


def stream(seed: int, name: Name, *numbers: int) -> np.random.Generator:
    """The stream of a name under a seed, and of further numbers where there are several.

    Examples
    --------
    >>> stream(0, "ties").permutation(5)
    array([1, 4, 3, 0, 2])
    """
    return np.random.default_rng([seed, NUMBERS[name], *numbers])


def of_run(seed: int, number: int) -> int:
    """The seed of a search's profiling run: each has its own.

    Examples
    --------
    >>> of_run(0, 0), of_run(0, 1)
    (2968811710, 3964924996)
    """
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def seed_from(rng: np.random.Generator) -> int:
    """Draw a seed, for a stream of its own.

    Examples
    --------
    >>> seed_from(stream(0, "search")) < 2**62
    True
    """
    return int(rng.integers(2**62))


def nested(seed: int) -> np.random.Generator:
    """The stream of a seed that was itself drawn.

    Examples
    --------
    >>> nested(seed_from(stream(0, "search"))).permutation(3).shape
    (3,)
    """
    return np.random.default_rng(seed)


def on_device(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator of torch's, on a device, at the start of a seed.

    Examples
    --------
    >>> on_device(3).initial_seed()
    3
    """
    import torch

    return torch.Generator(device).manual_seed(seed)
