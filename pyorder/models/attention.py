"""Where a trained decoder looks: attention weights of the emitted steps, and how spread out they are.

R  rows    H  heads    C  places: columns as they are emitted    S  positions looked at: those of X, then places
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyorder.models.decoder import Block, Decoder, sees_shown


@torch.inference_mode()
def attention_maps(
    module: nn.Module, inputs: Tensor, emitted: Tensor, padding: Tensor | None = None
) -> list[Tensor]:
    """Return the attention weights of every layer, as each place is predicted.

    Parameters
    ----------
    module : a `Decoder`, in evaluation mode
    inputs, emitted : (R, X) and (R, C) token ids; ``emitted`` by place
    padding : (R, C) bool by place, where nothing was emitted and no other place looks; nowhere without it

    Returns
    -------
    (R, H, C, S) float32 for every layer, S = X + C; rows add up to 1

    Raises
    ------
    TypeError
        If the module is not the built-in decoder.

    Examples
    --------
    >>> model = PRESETS["nano"](vocabulary_size=19, input_length=5, target_length=4).eval()
    >>> (maps,) = attention_maps(model, torch.zeros(2, 5, dtype=torch.long), torch.zeros(2, 4, dtype=torch.long))
    >>> maps.shape
    torch.Size([2, 4, 4, 9])
    """
    if not isinstance(module, Decoder):
        raise TypeError(f"module: the built-in decoder is needed, {type(module).__name__} given")
    maps: list[Tensor] = []

    def keep(block: nn.Module, arguments: tuple[Any, ...]) -> None:
        assert isinstance(block, Block)
        _, normed, keys, _, visible = arguments
        queries = block.split(block.query(normed)).float()
        scores = queries @ keys.float().transpose(-2, -1) / math.sqrt(queries.shape[-1])
        maps.append(scores.masked_fill(~visible, -math.inf).softmax(-1))

    before = torch.cat([module.separator.expand(len(emitted), 1), emitted[:, :-1]], dim=1)
    visible = module.visible[module.input_length :, module.input_length :]
    if padding is not None:
        visible = sees_shown(visible, F.pad(~padding[:, :-1], (1, 0), value=True))
    memory = module.read(inputs)
    hooks = [block.register_forward_pre_hook(keep) for block in module.blocks]
    try:
        module.write(memory, before, range(emitted.shape[1]), visible)
    finally:
        for hook in hooks:
            hook.remove()
    return maps


def attention_entropy(maps: Tensor) -> Tensor:
    """Return the entropy in nats of each row of attention weights: (..., S) -> (...).

    Examples
    --------
    >>> attention_entropy(torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
    tensor([0.6931, 0.0000])
    """
    entropy: Tensor = torch.special.entr(maps).sum(-1)
    return entropy
