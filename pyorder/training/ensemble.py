"""Decoders of one architecture trained side by side, a seed each, for GPUs that one small model leaves idle.

Parameters of all members are stacked, so that every layer is one batched product.

    k  members    B  rows a step of each    X  input length    C  columns
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from pyorder.data.tokens import Batch, Shape
from pyorder.models.architecture import Architecture
from pyorder.models.decoder import Decoder
from pyorder.models.learner import DecoderLearner, Learner

MOST_MEMBERS = 8  # more than these make full batches of work by themselves
MOST_ACTIVATIONS = (
    60_000_000  # B (X + C) W summed over layers and members: some 10 GB, at about 40 numbers for each
)


def most_members(architecture: Architecture, batch_size: int, length: int) -> int:
    """How many decoders may be trained at once on rows of ``length`` tokens, X and C together.

    Examples
    --------
    >>> most_members(PRESETS["small"].architecture, 128, 26), most_members(PRESETS["large"].architecture, 128, 200)
    (8, 1)
    """
    one = batch_size * length * architecture.width * architecture.layers
    return max(1, min(MOST_MEMBERS, MOST_ACTIVATIONS // one))


class Lone(nn.Module):
    """One decoder in which runs are trained, one after the other: a recorded step holds its memory."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = deepcopy(decoder)

    def forward(self, inputs: Tensor, emitted: Tensor, padding: Tensor | None = None) -> Tensor:
        """As the decoder."""
        logits: Tensor = self.decoder(inputs, emitted, padding)
        return logits

    def take(self, decoders: Sequence[Decoder]) -> None:
        """Take the parameters of the only decoder, in place."""
        (decoder,) = decoders
        self.decoder.load_state_dict(decoder.state_dict())

    def give(self, decoders: Sequence[Decoder]) -> None:
        """Give them to it, ready to be evaluated."""
        (decoder,) = decoders
        decoder.load_state_dict(self.decoder.state_dict())
        decoder.eval()


class Stack(nn.Module):
    """The parameters of k decoders, stacked, and the decoder that they are parameters of."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        super().__init__()
        stacked, _ = stack_module_state(list(decoders))
        self.names = list(stacked)
        self.stacked = nn.ParameterList(nn.Parameter(value.detach()) for value in stacked.values())
        self.template = [decoders[0]]  # in a list, so that its parameters are not the stack's: they are never read
        embeddings = {f"{name}.weight" for name in ("token_embedding", "position_embedding")}
        self.multiplied = {name for name in self.names if "norm" not in name} - embeddings

    def forward(self, inputs: Tensor, emitted: Tensor, padding: Tensor | None = None) -> Tensor:
        """Logits (k B, C, V) of rows (k B, X) and (k B, C), the first B of the first member."""
        (template,) = self.template
        members = len(self.stacked[0])
        parameters = dict(zip(self.names, self.stacked, strict=True))
        half = torch.is_autocast_enabled(inputs.device.type)
        if half:
            # Under vmap autocast sees a product and a sum for every layer, and would add biases in float32.
            parameters = {
                name: value.bfloat16() if name in self.multiplied else value for name, value in parameters.items()
            }

        def logits_of(one: dict[str, Tensor], *rows: Tensor) -> Tensor:
            result: Tensor = functional_call(template, one, rows)
            return result

        template.train(self.training)
        given = [part.view(members, -1, part.shape[1]) for part in (inputs, emitted, padding) if part is not None]
        # Without autocast's cache: what it kept from before a capture would be missing in the graph.
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            logits: Tensor = torch.vmap(logits_of, randomness="different")(parameters, *given)
        return logits.flatten(0, 1)

    @torch.no_grad()
    def take(self, decoders: Sequence[Decoder]) -> None:
        """Take the decoders' parameters, in place."""
        stacked, _ = stack_module_state(list(decoders))
        for name, value in zip(self.names, self.stacked, strict=True):
            value.copy_(stacked[name])

    @torch.no_grad()
    def give(self, decoders: Sequence[Decoder]) -> None:
        """Give each decoder its member's parameters, ready to be evaluated."""
        values = dict(zip(self.names, self.stacked, strict=True))
        for member, decoder in enumerate(decoders):
            for name, parameter in decoder.named_parameters():
                parameter.copy_(values[name][member])
            decoder.eval()


class Ensemble(Learner):
    """Learns as many decoders at once as its stack has; what is dropped is drawn for all of them together."""

    capturable = True

    def __init__(self, learner: DecoderLearner) -> None:
        self.learner = learner
        self.name, self.draws = learner.name, learner.draws

    def build(self, shape: Shape) -> Stack:
        """A stack of one."""
        return Stack([self.learner.build(shape)])

    def losses(self, module: nn.Module, batch: Batch, weights: Tensor | None = None) -> Tensor:
        """As `Learner.losses`, the first B rows those of the first member."""
        return self.learner.losses(module, batch, weights)

    def step_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """As `Learner.step_loss`."""
        return self.learner.step_loss(module, batch)
