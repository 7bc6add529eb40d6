"""Where a call runs: a device, and which of several processes does what.

Every process of a search does the same: it has the same data, draws the same batches from the same streams and
comes to the same decisions. It learns from its share of the rows of a batch, and scores its share of the rows that
are scored; gradients are summed over all, losses are gathered. The rest of the package asks its `World`: for my
share of so many rows, for a sum over all, for what the first process says where clocks or disks decide, and who
writes. In a world of one every answer is the plain one, and nothing is sent.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed
from torch import Tensor, nn

from pyorder.errors import InputError, ProcessLostError
from pyorder.execution import RandomStream, resolve_device

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class World:
    """A device, and the place of this process among those that do a piece of work together.

    Every call that takes a ``device`` takes a World there; what else names a device is a world of one. A process
    group of the calling program's is used when it is asked for, by `joined`, and stays as it was.

    Attributes
    ----------
    device : where this process works
    rank, size : its number among the processes, from 0 on, and how many there are
    group : of torch.distributed; None for the default one, and in a world of one

    Examples
    --------
    >>> world = World.of("cpu")
    >>> world.size, world.writes, world.share(5)
    (1, True, slice(0, 5, None))
    >>> World(torch.device("cpu"), rank=1, size=3).share(5)
    slice(1, 3, None)
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    group: ProcessGroup | None = None

    @classmethod
    def of(cls, device: str | torch.device | World) -> World:
        """The world that is given, or one of this process alone on a device; errors are `resolve_device`'s."""
        return device if isinstance(device, World) else cls(resolve_device(device))

    @classmethod
    def joined(cls, device: str | torch.device = "auto", group: ProcessGroup | None = None) -> World:
        """The processes of a group that the calling program has initialised, by default all of them.

        Each names its own ``device``: "auto" is torch's current GPU, or the CPU where there is none. Every process
        then makes the same calls with the same arguments, in the same sequence.

        Raises
        ------
        InputError
            If there is no group, or this process is not in it.
        ValueError
            If this machine has no such device.
        """
        if not torch.distributed.is_available() or not torch.distributed.is_initialized():
            raise InputError("world: torch.distributed has no process group; call its init_process_group first")
        rank = torch.distributed.get_rank(group)
        if rank < 0:
            raise InputError("world: this process is not in the group")
        if device in ("auto", "cuda") and torch.cuda.is_available():
            device = torch.device("cuda", torch.cuda.current_device())
        return cls(resolve_device(device), rank, torch.distributed.get_world_size(group), group)

    @classmethod
    @contextmanager
    def launched(cls, device: str = "auto") -> Iterator[World]:
        """All processes that torchrun has started, inside the block; a world of one where it did not start this.

        The group is initialised for the block, on CPUs by gloo and on GPUs by nccl. "auto" and "cuda" are a GPU a
        process.

        Raises
        ------
        InputError
            In all processes, if one of them has no such device; or if there is a group already, for `joined`.
        """
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            yield cls.of(device)
            return
        if torch.distributed.is_initialized():
            raise InputError("world: torch.distributed has a process group already; World.joined takes it")
        # Its default arguments keep the group that there is when it is first imported, which training does: such a
        # group's threads never end, and abort a process whose interpreter ends while they give something back.
        importlib.import_module("torch.distributed.nn")
        gpus = torch.cuda.is_available() and torch.distributed.is_nccl_available()
        torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
        rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
        try:
            alone = cls(torch.device("cpu"), rank, size)
            with alone.together():
                own = _device_of(int(os.environ.get("LOCAL_RANK", "0")), device)
            if own.type == "cuda":
                torch.cuda.set_device(own)
            yield cls(own, rank, size)
        finally:
            torch.distributed.destroy_process_group()

    @property
    def writes(self) -> bool:
        """Whether this process writes what all have found; one does."""
        return self.rank == 0

    def only_first(self, value: T) -> T | None:
        """The value in the first process, None in the others: of what only one is to write to."""
        return value if self.writes else None

    def share(self, count: int) -> slice:
        """Which of ``count`` rows are this process's; shares differ by a row at most."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def check_batch(self, rows: int) -> None:
        """Refuse batches of fewer rows than there are processes; InputError."""
        if rows < self.size:
            raise InputError(f"batch_size: {rows} rows a step cannot be shared by {self.size} processes")

    def sum(self, share: Tensor) -> Tensor:
        """The sum over all processes of a tensor that each has."""
        if self.size == 1:
            return share
        total = share.clone()
        with _told_of_loss():
            torch.distributed.all_reduce(total, group=self.group)
        return total

    def gather(self, share: Tensor, count: int) -> Tensor:
        """All ``count`` rows of a tensor whose `share` each process has."""
        if self.size == 1:
            return share
        whole = share.new_zeros(count, *share.shape[1:])
        whole[self.share(count)] = share
        return self.sum(whole)

    def sum_gradients(self, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
        """Sum the gradients of all processes into each one's, and their losses (), which are returned.

        A parameter that no process has a gradient of has none afterwards.
        """
        if self.size == 1:
            return loss
        learned = [parameter for parameter in parameters if parameter.requires_grad]
        had = [parameter.grad is not None for parameter in learned]
        parts = [torch.zeros_like(one) if one.grad is None else one.grad for one in learned]
        flags = torch.tensor(had, dtype=torch.float32, device=loss.device)
        total = self.sum(torch.cat([*(part.flatten() for part in parts), flags, loss[None]]))
        *sums, flags, losses = torch.split(total, [*(part.numel() for part in parts), len(learned), 1])
        anywhere = had if all(had) else [flag > 0 for flag in flags.tolist()]
        for parameter, summed, found in zip(learned, sums, anywhere, strict=True):
            parameter.grad = summed.view_as(parameter).to(parameter.dtype) if found else None
        summed_loss: Tensor = losses[0]
        return summed_loss

    def match(self, module: nn.Module) -> None:
        """Give all processes the first one's weights, and what else of the module may change in training."""
        if self.size == 1:
            return
        values: list[Tensor] = [value for value in module.parameters() if value.requires_grad]
        values += [value for value in module.buffers() if value.is_floating_point()]
        if not values:
            return
        first = torch.cat([value.detach().flatten() for value in values])
        with _told_of_loss():
            torch.distributed.broadcast(first, group_src=0, group=self.group)
        parts = torch.split(first, [value.numel() for value in values])
        with torch.no_grad():
            for value, part in zip(values, parts, strict=True):
                value.copy_(part.view_as(value))

    def branch(self, stream: RandomStream) -> RandomStream:
        """A stream for what each process draws for its own rows; ``stream`` goes on alike in all of them.

        Alone there is no need of another, and it is the stream itself.
        """
        if self.size == 1:
            return stream
        with stream.lent():
            seed = int(torch.randint(2**62, (), dtype=torch.int64, device="cpu"))
        return RandomStream(seed + self.rank, self.device)

    def agreed(self, ask: Callable[[], T]) -> T:
        """What the first process finds, which alone asks; what it raises is raised in all."""
        if self.size == 1:
            return ask()
        told: list[Any] = [None]
        if self.writes:
            try:
                told = [(ask(), None)]
            except Exception as error:
                told = [(None, error)]
        with _told_of_loss(), self._current():
            torch.distributed.broadcast_object_list(told, group_src=0, group=self.group)
        value, refused = told[0]
        if refused is not None:
            raise refused
        found: T = value
        return found

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that all processes get through, or none: what is raised in one is raised in all.

        Nothing inside may ask the other processes for anything.
        """
        refused: Exception | None = None
        try:
            yield
        except Exception as error:
            if self.size == 1:
                raise
            refused = error
        if self.size > 1:
            for told in self._of_all(refused):
                if told is not None:
                    raise told

    def check_same(self, asked: Mapping[str, Any]) -> None:
        """Refuse, in all processes, that one was asked for anything else than the first; InputError."""
        if self.size == 1:
            return
        first, *others = self._of_all(dict(asked))
        for rank, other in enumerate(others, start=1):
            for key in {**first, **other}:
                if first.get(key) != other.get(key):
                    told = f"{other.get(key)!r:.80} and not {first.get(key)!r:.80}"
                    raise InputError(f"{key}: process {rank} of {self.size} was given {told}, as the first was")

    def _of_all(self, value: T) -> list[T]:
        found: list[Any] = [None] * self.size
        with _told_of_loss(), self._current():
            torch.distributed.all_gather_object(found, value, group=self.group)
        return found

    def _current(self) -> Any:
        """Objects go by way of torch's current GPU in a group that has no CPUs."""
        return torch.cuda.device(self.device) if self.device.type == "cuda" else nullcontext()


def _device_of(number: int, device: str) -> torch.device:
    """The device of the process of a number on its machine."""
    if device == "auto" and not torch.cuda.is_available():
        return torch.device("cpu")
    if device in ("auto", "cuda"):
        found = torch.cuda.device_count()
        if number >= found:
            raise InputError(
                f"device: process {number + 1} of this machine has no GPU, there are {found}: start as many "
                "processes as that (--nproc-per-node), or give cpu"
            )
        return torch.device("cuda", number)
    chosen = resolve_device(device)
    if chosen.type == "cuda" and int(os.environ.get("LOCAL_WORLD_SIZE", "1")) > 1:
        raise InputError(f"device: {device!r} is one GPU, and every process needs its own; give cuda")
    return chosen


@contextmanager
def _told_of_loss() -> Iterator[None]:
    """Say of a process that is gone that it is gone, whatever the engine's words are."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise ProcessLostError(f"another process of this run is gone, or does not answer: {reason}") from error
