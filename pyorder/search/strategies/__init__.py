"""The search strategies, one file each, and their names."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pyorder.orders.posets import Poset
from pyorder.search._pools import count_up_to
from pyorder.search.strategies.annealing import Annealing
from pyorder.search.strategies.evolutionary import Evolutionary
from pyorder.search.strategies.exhaustive import Exhaustive
from pyorder.search.strategies.greedy import Greedy
from pyorder.search.strategies.hierarchical import Hierarchical
from pyorder.search.strategies.precedence import Precedence
from pyorder.search.strategies.random import Random
from pyorder.search.strategies.soft import Soft
from pyorder.search.strategy import Strategy, check_sizes

__all__ = [
    "Annealing",
    "Evolutionary",
    "Exhaustive",
    "Greedy",
    "Hierarchical",
    "Precedence",
    "Random",
    "Soft",
    "make_strategy",
    "strategy_names",
]

_FAMILY: dict[str, type[Strategy]] = {
    kind.name: kind
    for kind in (Exhaustive, Random, Hierarchical, Precedence, Greedy, Evolutionary, Annealing, Soft)
}


def strategy_names() -> tuple[str, ...]:
    """Names that `discover` takes as ``strategy``, beside "auto".

    Examples
    --------
    >>> strategy_names()
    ('exhaustive', 'random', 'hierarchical', 'precedence', 'greedy', 'evolutionary', 'annealing', 'soft')
    """
    return tuple(_FAMILY)


def make_strategy(name: str, length: int, *, constraints: Poset | None = None, **options: Any) -> Strategy:
    """Make a strategy from its name and options; "auto" is precedence, but exhaustive of one order.

    There is but one of one step, and where ``constraints`` allow no other.

    Raises
    ------
    ValueError
        If the name, an option or an option's value is not one of the strategy's.

    Examples
    --------
    >>> make_strategy("auto", length=9, error_rate=0.001).name
    'precedence'
    """
    if name == "auto":
        name = "exhaustive" if count_up_to(constraints or Poset(length), 2) == 1 else "precedence"
    if name not in _FAMILY:
        raise ValueError(f"strategy: {name!r} is none of 'auto', {', '.join(map(repr, _FAMILY))}")
    known = [field.name for field in fields(_FAMILY[name])]  # type: ignore[arg-type]
    for option in options:
        if option not in known:
            raise ValueError(f"options: {name} has no {option!r}, it has {', '.join(map(repr, known))}")
    made = _FAMILY[name](**options)
    check_sizes(made)
    return made
