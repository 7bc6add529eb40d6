"""Decoders of one architecture trained side by side, a seed each, for GPUs that one small model leaves idle.

Parameters of all members are stacked, so that every layer is one batched product. Data stay on the device, and
the whole training step (lookup, forward, backward, optimiser) is captured in a CUDA graph when it is first taken;
every later step, of any run and any pool of orders, replays it. On a CPU the same step runs without a graph.

    k  members    B  rows a step of each    N  training rows    X  input length    L  steps    T  orders
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

from pyorder.execution import seeded
from pyorder.losses import permuted_cross_entropy
from pyorder.models.decoder import Decoder, Preset
from pyorder.training.trainer import TrainingSettings

WARM_UP_STEPS = 3  # libraries make their handles and workspaces in these, which a graph cannot record
MOST_MEMBERS = 8  # more than these make full batches of work by themselves
MOST_ACTIVATIONS = (
    60_000_000  # B (X + L) W summed over layers and members: some 10 GB, at about 40 numbers for each
)


def most_members(preset: Preset, batch_size: int, length: int) -> int:
    """How many decoders may be trained at once on rows of ``length`` tokens, X and L together.

    Examples
    --------
    >>> most_members(PRESETS["small"], 128, 26), most_members(PRESETS["large"], 128, 200)
    (8, 1)
    """
    one = batch_size * length * preset.width * preset.layers
    return max(1, min(MOST_MEMBERS, MOST_ACTIVATIONS // one))


class Ensemble:
    """A stack of decoders and all that a training step of them reads and writes, kept in place between runs.

    Examples
    --------
    >>> inputs, targets = torch.zeros(8, 3, dtype=torch.long), torch.zeros(8, 2, dtype=torch.long)
    >>> settings = TrainingSettings.of(
    ...     PRESETS["nano"], torch.float32, steps=2, batch_size=4, learning_rate=None
    ... )
    >>> ensemble = Ensemble(PRESETS["nano"], 5, inputs, targets, settings, members=2)
    >>> batches = np.zeros((2, 2, 4), np.int64)
    >>> decoders, curves = ensemble.train([0, 1], np.array([[1, 0]]), batches, batches)
    >>> len(decoders), curves.shape
    (2, torch.Size([2, 2]))
    """

    def __init__(
        self,
        preset: Preset,
        vocabulary_size: int,
        inputs: Tensor,
        targets: Tensor,
        settings: TrainingSettings,
        members: int,
    ) -> None:
        """``inputs`` (N, X) and ``targets`` (N, L) are token ids on the device that is to train."""
        self.preset, self.settings, self.members = preset, settings, members
        self.shape = (vocabulary_size, inputs.shape[1], targets.shape[1])
        self.inputs, self.targets = inputs, targets
        self.device = inputs.device
        self.template = self._drawn(0)  # its parameters are never read
        self.parameters = {
            name: value.detach().expand(members, *value.shape).clone().requires_grad_()
            for name, value in self.template.named_parameters()
        }
        embeddings = {f"{name}.weight" for name in ("token_embedding", "position_embedding")}
        self.multiplied = {name for name in self.parameters if "norm" not in name} - embeddings
        rows = members * settings.batch_size
        self.rows = torch.zeros(rows, dtype=torch.int64, device=self.device)
        self.orders = torch.arange(targets.shape[1], device=self.device).repeat(rows, 1)
        self.places = torch.arange(rows, device=self.device)
        self.losses = torch.zeros(members, device=self.device)
        self.rate = torch.zeros((), device=self.device)
        on_gpu = self.device.type == "cuda"
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(),
            lr=self.rate if on_gpu else settings.learning_rate,
            betas=(0.9, 0.999),
            weight_decay=settings.weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        self.graph: torch.cuda.CUDAGraph | None = None

    def train(
        self,
        seeds: Sequence[int],
        orders: npt.NDArray[np.int64],
        rows: npt.NDArray[np.int64],
        assigned: npt.NDArray[np.int64],
        after_step: Callable[[int], None] | None = None,
    ) -> tuple[list[Decoder], Tensor]:
        """Train a fresh decoder for each of k ``seeds``; every row is shown in the order assigned to it.

        Without dropout a member learns what it would alone; what is dropped is drawn for all of them together.

        Parameters
        ----------
        orders : (T, L)
        rows, assigned : (steps, k, B) indices of training rows, and of their orders
        after_step : called with the number of every step that was handed to the device, done or not

        Returns
        -------
        The decoders, ready to be evaluated, and (k, steps) float32 training losses, nats a step, on the CPU
        """
        if len(seeds) != self.members:
            raise ValueError(f"seeds: {len(seeds)} given for {self.members} members")
        if self.device.type == "cuda" and self.graph is None:
            with seeded(0, self.device):
                self.graph = self._capture()
        decoders = [self._drawn(seed) for seed in seeds]
        self._restart(decoders)
        table = torch.from_numpy(orders).to(self.device)
        all_rows = torch.from_numpy(rows).to(self.device).flatten(1)
        all_assigned = torch.from_numpy(assigned).to(self.device).flatten(1)
        curves = torch.empty(len(rows), self.members, device=self.device)
        with seeded(seeds[0], self.device):  # for dropout
            for step in range(len(rows)):
                self.rows.copy_(all_rows[step])
                self.orders.copy_(table[all_assigned[step]])
                self._set_rate(self.settings.rate_at(step))
                if self.graph is None:
                    self._step()
                else:
                    self.graph.replay()
                curves[step] = self.losses
                if after_step is not None:
                    after_step(step)
        for member, decoder in enumerate(decoders):
            self._copy_out(member, decoder)
        return decoders, curves.T.cpu()

    def _drawn(self, seed: int) -> Decoder:
        with seeded(seed, self.device):
            return Decoder(self.preset, *self.shape).to(self.device)

    def _restart(self, decoders: list[Decoder]) -> None:
        """Take the parameters of ``decoders`` and forget what the optimiser knows, all in place."""
        drawn, _ = stack_module_state(decoders)
        with torch.no_grad():
            for name, values in self.parameters.items():
                values.copy_(drawn[name])
        for state in self.optimiser.state.values():
            for value in state.values():
                value.zero_()

    @torch.no_grad()
    def _copy_out(self, member: int, decoder: Decoder) -> None:
        for name, value in decoder.named_parameters():
            value.copy_(self.parameters[name][member])
        decoder.eval()

    def _set_rate(self, rate: float) -> None:
        if self.device.type == "cuda":
            self.rate.fill_(rate)
        else:
            self.optimiser.param_groups[0]["lr"] = rate

    def _step(self) -> None:
        """Take a training step of all members, from and to tensors that stay in place; nothing is waited for."""
        emitted = self.targets[self.rows].gather(1, self.orders)

        def logits_of(parameters: dict[str, Tensor], inputs: Tensor, emitted: Tensor) -> Tensor:
            result: Tensor = functional_call(self.template, parameters, (inputs, emitted))
            return result

        half = self.settings.precision == torch.bfloat16
        parameters = self.parameters
        if half:
            # Under vmap autocast sees a product and a sum for every layer, and would add biases in float32.
            parameters = {
                name: value.bfloat16() if name in self.multiplied else value for name, value in parameters.items()
            }
        # Without autocast's cache: what it kept from before a capture would be missing in the graph.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            logits = torch.vmap(logits_of, randomness="different")(
                parameters, self._by_member(self.inputs[self.rows]), self._by_member(emitted)
            )
        losses = permuted_cross_entropy(
            logits.flatten(0, 1), self.targets, self.orders, self.places, self.rows, reduction="none"
        )
        self.optimiser.zero_grad()
        means = losses.view(self.members, -1).mean(1)
        means.sum().backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.losses.copy_(means.detach())

    def _by_member(self, rows: Tensor) -> Tensor:
        return rows.view(self.members, -1, rows.shape[1])

    def _capture(self) -> torch.cuda.CUDAGraph:
        """Record a step, and take some before it."""
        with torch.cuda.device(self.device):
            # A stream of its own: torch's for captures is on whichever device was the first to capture.
            stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_STEPS):
                    self._step()
            torch.cuda.current_stream().wait_stream(stream)
            self.optimiser.zero_grad()  # so that gradients are made in the graph's own memory
            graph = torch.cuda.CUDAGraph()
            # Other threads of the calling program may use the device meanwhile.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._step()
        return graph
