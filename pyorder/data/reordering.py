"""Reordering what a training loop has in hand: arrays, tensors, fields, and text that is a JSON object.

symbol   shape, type    meaning
L                       steps of the order
C                       columns of a target, L unless steps are wider
order    (L,) integers  ``order[j]`` is the step emitted at slot j: the reordered target is ``targets[:, order]``
columns  (C,) int64     the same of columns: the reordered target is ``targets[:, columns]``
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from pyorder._checks import integer_array
from pyorder.data._nesting import arranged, arranged_text, text_keys
from pyorder.errors import InputError
from pyorder.orders.permutations import check_order, check_orders, invert

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from pyorder.data.schema import Schema

__all__ = [
    "Found",
    "Order",
    "Reordering",
    "Steps",
    "distinct_names",
    "order_of",
    "orders_of",
    "reorder",
    "restore",
    "steps_of",
]


@runtime_checkable
class Found(Protocol):
    """What a search has found or a model was trained on, such as a `pyorder.Discovery` or a `pyorder.Fitted`."""

    @property
    def order(self) -> NDArray[np.int64]:
        """The order, (L,)."""

    @property
    def step_names(self) -> tuple[str, ...]:
        """What the steps are called, by canonical step; none where they have no names."""


Order: TypeAlias = "Found | Sequence[str] | ArrayLike"


class Steps(NamedTuple):
    """An order, as numbers and as names, each as far as it is known.

    Attributes
    ----------
    order : (L,) int64; None of names whose canonical order is not known
    emitted : names in the order; None of numbers without names
    canonical : names by canonical step
    """

    order: NDArray[np.int64] | None
    emitted: tuple[str, ...] | None
    canonical: tuple[str, ...] | None

    def columns(self, widths: ArrayLike | None) -> NDArray[np.int64] | None:
        """The order of columns (C,), of steps that are so many columns wide."""
        if self.order is None or widths is None:
            return self.order
        wide = integer_array(widths, "widths")
        if wide.shape != self.order.shape or (wide < 1).any():
            raise InputError(f"widths: expected {len(self.order)} integers of at least 1, got {widths!r:.80}")
        spans = np.split(np.arange(wide.sum()), np.cumsum(wide)[:-1])
        return np.concatenate([spans[step] for step in self.order])


def distinct_names(names: Iterable[str], argument: str) -> tuple[str, ...]:
    """Names as a tuple; TypeError for other things than texts, InputError for one that is there twice.

    Examples
    --------
    >>> distinct_names(["a", "a"], "steps")
    Traceback (most recent call last):
    pyorder.errors.InputError: steps: the name 'a' is there twice
    """
    told = (names,) if isinstance(names, str) else tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in told):
        raise TypeError(f"{argument}: expected a list of texts, got {names!r:.80}")
    if len(set(told)) < len(told):
        twice = next(name for name in told if told.count(name) > 1)
        raise InputError(f"{argument}: the name {twice!r} is there twice")
    return told


def steps_of(order: Order, names: Iterable[str] | None = None, argument: str = "order") -> Steps:
    """An order in whatever form it is given, with what its steps are called; ``argument`` begins the messages.

    Raises
    ------
    TypeError, ValueError
        For what is no order, and for names that are doubled or not those of the steps.

    Examples
    --------
    >>> steps_of(["b", "a"], names=["a", "b"])
    Steps(order=array([1, 0]), emitted=('b', 'a'), canonical=('a', 'b'))
    """
    if isinstance(order, Found):
        own, order = order.step_names, order.order
        if own and names is None:
            names = own
        elif own:  # which may be in another sequence
            order = [own[step] for step in order]
    canonical = None if names is None else distinct_names(names, "names")
    if isinstance(order, np.ndarray) and order.dtype.kind == "U":
        order = list(map(str, order))
    if isinstance(order, list | tuple) and order and all(isinstance(step, str) for step in order):
        if canonical is None:
            return Steps(None, distinct_names(order, argument), None)
        if sorted(order) != sorted(canonical):
            raise InputError(f"{argument}: expected each of {', '.join(canonical)} once, got {', '.join(order)}")
        place = {name: step for step, name in enumerate(canonical)}
        return Steps(np.array([place[name] for name in order], np.int64), tuple(order), canonical)
    if isinstance(order, str):
        raise TypeError(f"{argument}: expected numbers, a list of names or a Discovery, got {order!r}")
    numbers = check_order(order, None if canonical is None else len(canonical), argument)
    return Steps(numbers, None if canonical is None else tuple(canonical[step] for step in numbers), canonical)


def order_of(order: Order, schema: Schema, argument: str = "order") -> NDArray[np.int64]:
    """An order (L,) of a schema's steps in whatever form it is given; ``argument`` begins the messages.

    Integers are places, and texts names, also where names are made of digits. A result's names count before its
    numbers, as those of `steps_of` do, where the schema has names too.

    Raises
    ------
    TypeError, ValueError
        For what is no order of these steps.

    Examples
    --------
    >>> from pyorder.data.schema import Field, Schema
    >>> order_of(["sign", "sum"], Schema((), (Field("sum"), Field("sign"))))
    array([1, 0])
    """
    if isinstance(order, Found) and not schema.named:
        order = order.order
    numbers = steps_of(order, schema.names, argument).order
    assert numbers is not None
    return numbers


def orders_of(orders: Iterable[Order] | ArrayLike, schema: Schema) -> NDArray[np.int64]:
    """Orders (T, L) of a schema's steps: integers, or a list of whatever `order_of` takes; errors are its own.

    Examples
    --------
    >>> from pyorder.data.schema import Field, Schema
    >>> orders_of([["sign", "sum"], [0, 1]], Schema((), (Field("sum"), Field("sign"))))
    array([[1, 0],
           [0, 1]])
    """
    if isinstance(orders, np.ndarray) and orders.dtype.kind == "U":
        orders = orders.tolist()
    if isinstance(orders, list | tuple) and any(map(_is_told, orders)):
        told = [order_of(order, schema, f"orders: row {row}") for row, order in enumerate(orders)]
        return np.stack(told)
    return check_orders(orders, schema.length)  # type: ignore[arg-type]


def _is_told(order: Any) -> bool:
    """Whether an order is told by something else than numbers."""
    if isinstance(order, list | tuple):
        return any(isinstance(step, str) for step in order)
    return isinstance(order, str | Found) or (isinstance(order, np.ndarray) and order.dtype.kind == "U")


def reorder(
    batch: Any, order: Order, *, names: Iterable[str] | None = None, widths: ArrayLike | None = None
) -> Any:
    """Put the steps of a batch into an order; `restore` undoes it.

    Parameters
    ----------
    batch : an array or tensor (..., C), whose last axis is ordered, or lists of numbers, nested like it;
        a mapping of fields, whose keys are; a text that is a JSON object, whose keys are, while everything
        else in it stays as it is, blanks too; or a list of mappings or texts
    order : (L,) integers, ``order[j]`` being the step at slot j; a list of names; or a `Discovery`, which has both
    names : what the steps are called, by canonical step, for an order of numbers to speak of fields, or one of
        names of columns; a Discovery knows. Without names, numbers count all keys
    widths : L integers, how many columns wide each step is, by canonical step; one unless said

    Returns
    -------
    the same kind of thing; of a mapping a new dict with the same values. Keys that are no steps come first, as
    they came. A name with dots leads into objects, and an object stands where the first of its steps does.

    Raises
    ------
    TypeError, InputError
        For an order of another length, unknown or doubled names, keys that a record lacks, and text that is no
        JSON object; InputError is a ValueError.

    Examples
    --------
    >>> reorder(np.array([[7, 8, 9]]), [2, 0, 1])
    array([[9, 7, 8]])
    >>> reorder(torch.tensor([[7, 8, 9]]), [1, 0], widths=[1, 2])
    tensor([[8, 9, 7]])
    >>> reorder({"id": 5, "answer": 3, "plan": "add"}, ["plan", "answer"])
    {'id': 5, 'plan': 'add', 'answer': 3}
    >>> reorder('{"answer": {"unit": "m", "value": 3.0}, "plan": "add"}', ["plan", "answer.value", "answer.unit"])
    '{"plan": "add", "answer": {"value": 3.0, "unit": "m"}}'
    """
    steps = steps_of(order, names)
    return _moved(batch, steps.columns(widths), steps.emitted)


def restore(
    batch: Any, order: Order, *, names: Iterable[str] | None = None, widths: ArrayLike | None = None
) -> Any:
    """Put a batch that is in an order back into the canonical order of its steps: the inverse of `reorder`.

    Arguments and errors are those of `reorder`. A list of names alone does not tell the canonical order: give it
    as ``names``. Keys that are no steps come first here too.

    Examples
    --------
    >>> restore(reorder(np.array([[7, 8, 9]]), [2, 0, 1]), [2, 0, 1])
    array([[7, 8, 9]])
    >>> restore('{"plan": "add", "answer": 3}', [1, 0], names=["answer", "plan"])
    '{"answer": 3, "plan": "add"}'
    >>> restore({"plan": "add", "answer": 3}, ["plan", "answer"])
    Traceback (most recent call last):
    pyorder.errors.InputError: names: expected the canonical order too, for a list of names does not tell it
    """
    steps = steps_of(order, names)
    columns = steps.columns(widths)
    if columns is None:
        raise InputError("names: expected the canonical order too, for a list of names does not tell it")
    return _moved(batch, invert(columns), steps.canonical)


class Reordering:
    """Reorders batch after batch: a collate function for a DataLoader, a transform for Hugging Face's datasets.

    It can be pickled, so that worker processes take it.

    Parameters
    ----------
    order, names, widths : those of `reorder`
    keys : what is reordered in each batch, by key of a mapping or by place in a sequence; the batch itself
        if there are none
    collate : makes a batch of a list of samples; torch's default if not given. A mapping, such as the columns
        that ``datasets.Dataset.map(batched=True)`` and ``set_transform`` hand over, is a batch already

    Examples
    --------
    >>> samples = [{"targets": torch.tensor(row), "question": "?"} for row in ([7, 8], [5, 6])]
    >>> loader = torch.utils.data.DataLoader(samples, batch_size=2, collate_fn=Reordering([1, 0], "targets"))
    >>> next(iter(loader))["targets"]
    tensor([[8, 7],
            [6, 5]])
    >>> Reordering([1, 0], "targets")({"targets": [[7, 8], [5, 6]]})
    {'targets': [[8, 7], [6, 5]]}
    """

    def __init__(
        self,
        order: Order,
        *keys: str | int,
        names: Iterable[str] | None = None,
        widths: ArrayLike | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        steps = steps_of(order, names)
        self._columns, self._names = steps.columns(widths), steps.emitted
        self._keys, self._collate = keys, collate

    def __call__(self, batch: Any) -> Any:
        """Return a batch, or a list of samples as a batch, with its targets reordered."""
        if isinstance(batch, list):
            batch = self._collated(batch)
        if not self._keys:
            return _moved(batch, self._columns, self._names)
        if isinstance(batch, Mapping):
            return {**batch, **{key: self._part(batch, key, list(batch)) for key in self._keys}}
        if not isinstance(batch, Sequence):
            raise TypeError(f"batch: expected a mapping or a sequence, got {type(batch).__name__}")
        places = range(len(batch))
        moved = {key: self._part(batch, key, places) for key in self._keys}
        parts = [moved.get(place, part) for place, part in enumerate(batch)]
        make: Callable[[list[Any]], Any] = getattr(type(batch), "_make", type(batch))  # of a named tuple
        return make(parts)

    def _collated(self, samples: list[Any]) -> Any:
        if self._collate is not None:
            return self._collate(samples)
        from torch.utils.data import default_collate

        return default_collate(samples)

    def _part(self, batch: Any, key: str | int, there: Sequence[Any]) -> Any:
        if key not in there:
            known = ", ".join(map(str, there))
            raise InputError(f"keys: there is no {key!r} in the batch; there are {known}")
        return _moved(batch[key], self._columns, self._names)


def _moved(batch: Any, columns: NDArray[np.int64] | None, names: tuple[str, ...] | None) -> Any:
    """A batch with its last axis by columns, or its keys by names."""
    if isinstance(batch, Mapping):
        return arranged(batch, _names(list(batch), columns, names))
    if isinstance(batch, str):
        return arranged_text(batch, names if names is not None else _names(text_keys(batch), columns, names))
    if isinstance(batch, list) and any(isinstance(item, str | Mapping | list) or np.ndim(item) for item in batch):
        return [_moved(item, columns, names) for item in batch]
    if not (isinstance(batch, list | np.ndarray) or hasattr(batch, "index_select")):  # which tensors have
        kind = type(batch).__name__
        raise TypeError(f"batch: expected an array, a tensor, a list, a mapping or JSON text, got {kind}")
    if columns is None:
        raise InputError("order: expected numbers, or names= with the canonical order, got a list of names alone")
    shape = (len(batch),) if isinstance(batch, list) else tuple(batch.shape)
    if shape[-1:] != (len(columns),):
        raise InputError(f"batch: expected {len(columns)} columns, as many as the order has, got shape {shape}")
    if isinstance(batch, list):
        return [batch[column] for column in columns.tolist()]
    if isinstance(batch, np.ndarray):
        return batch[..., columns]
    import torch

    return batch.index_select(-1, torch.as_tensor(columns, device=batch.device))


def _names(keys: Sequence[str], columns: NDArray[np.int64] | None, names: tuple[str, ...] | None) -> Sequence[str]:
    """The names to go by: numbers alone count all keys."""
    if names is not None:
        return names
    assert columns is not None
    if len(keys) != len(columns):
        raise InputError(f"order: expected {len(keys)} numbers for the keys {', '.join(keys)}, got {len(columns)}")
    return [keys[column] for column in columns.tolist()]
