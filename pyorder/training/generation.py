"""Writing targets greedily with a trained module, and looking at one in training.

R  rows    X  input length    L  steps    V  vocabulary size
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyorder.execution import multiply_in, row_slices
from pyorder.models.decoder import Decoder

GENERATED_AT_ONCE = 512


@torch.inference_mode()
def look(module: nn.Module, inputs: Tensor, emitted: Tensor, precision: torch.dtype) -> tuple[float, float]:
    """Mean loss in nats a step, and the share of steps predicted right, of emitted steps (R, L) by slot."""
    loss = right = 0.0
    for rows in row_slices(len(inputs), 1, GENERATED_AT_ONCE):
        with multiply_in(precision, inputs.device):
            logits = module(inputs[rows], emitted[rows]).float()
        wanted = emitted[rows].long()
        loss += float(nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten(), reduction="sum"))
        right += float((logits.argmax(-1) == wanted).sum())
    return loss / emitted.numel(), right / emitted.numel()


@torch.inference_mode()
def generate(module: nn.Module, inputs: Tensor, length: int, precision: torch.dtype) -> Tensor:
    """Write ``length`` steps greedily after inputs (R, X): token ids (R, L) by slot."""
    emitted = torch.zeros(len(inputs), length, dtype=torch.long, device=inputs.device)
    for rows in row_slices(len(inputs), 1, GENERATED_AT_ONCE):
        with multiply_in(precision, inputs.device):
            if isinstance(module, Decoder):
                _generate_decoder(module, inputs[rows], emitted[rows])
            else:
                _generate_module(module, inputs[rows], emitted[rows])
    return emitted


def _generate_decoder(module: Decoder, inputs: Tensor, emitted: Tensor) -> None:
    """Fill ``emitted`` slot by slot; keys and values of everything before are remembered."""
    memory = module.read(inputs)
    before = module.separator.expand(len(inputs), 1)
    itself = torch.ones(1, 1, dtype=torch.bool, device=inputs.device)
    for slot in range(emitted.shape[1]):
        place = torch.tensor([slot], device=inputs.device)
        logits, memory = module.write(memory, before, place, itself)
        before = logits.argmax(-1)
        emitted[:, slot] = before[:, 0]


def _generate_module(module: nn.Module, inputs: Tensor, emitted: Tensor) -> None:
    for slot in range(emitted.shape[1]):
        emitted[:, slot] = module(inputs, emitted)[:, slot].argmax(-1)
