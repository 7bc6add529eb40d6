"""The terms on which a model is taken: a preset, or the caller's own module.

A caller's own model is a function ``build(vocabulary_size, input_length, target_length)`` that returns a
``torch.nn.Module`` with ``forward(inputs (B, X), emitted (B, L), order=None) -> logits (B, L, V)``: at slot j it
predicts ``emitted[:, j]`` and may look at ``inputs`` and ``emitted[:, :j]``. All of these are token ids.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from pyorder.models.decoder import PRESETS, Build, Preset


def resolve_model(model: str | Preset | Build | None, default: str) -> tuple[str, Build, Preset]:
    """Turn ``model`` into its name, the function that builds it, and the numbers to train it with.

    A function of the caller's own is trained with the numbers of the ``default`` preset.

    Raises
    ------
    ValueError
        If the name is not a preset's.
    TypeError
        If ``model`` is neither a name, a preset nor a function.

    Examples
    --------
    >>> name, build, preset = resolve_model("nano", default="base")
    >>> name, preset.width
    ('nano', 128)
    """
    if model is None:
        model = default
    if isinstance(model, str):
        if model not in PRESETS:
            raise ValueError(f"model: {model!r} is none of {', '.join(map(repr, PRESETS))}")
        return model, PRESETS[model], PRESETS[model]
    if isinstance(model, Preset):
        return "preset", model, model
    if callable(model) and not isinstance(model, nn.Module):
        return getattr(model, "__name__", type(model).__name__), model, PRESETS[default]
    raise TypeError(
        "model: give a preset's name, a Preset, or a function build(vocabulary_size, input_length, "
        f"target_length) that returns a module; {type(model).__name__} given"
    )


def build_checked(build: Build, vocabulary_size: int, input_length: int, target_length: int) -> nn.Module:
    """Build a module and refuse one that does not keep the contract.

    Raises
    ------
    TypeError
        If ``build`` returns no module, or the module no tensor.
    ValueError
        If the module fails on this data's shapes, its logits have another shape, or a slot sees its own or a
        later step.

    Examples
    --------
    >>> module = build_checked(PRESETS["nano"], vocabulary_size=19, input_length=5, target_length=4)
    >>> type(module).__name__
    'Decoder'
    """
    module = build(vocabulary_size, input_length, target_length)
    if not isinstance(module, nn.Module):
        raise TypeError(f"model: build returned {type(module).__name__}, a torch.nn.Module is needed")
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise ValueError("model: the module has no parameter to train")
    was_training = module.training
    module.eval()
    with torch.no_grad():
        check_causality(module, vocabulary_size, input_length, target_length)
    module.train(was_training)
    return module


def check_causality(module: nn.Module, vocabulary_size: int, input_length: int, target_length: int) -> None:
    """Change the emitted steps from slot k on, for every k at once: logits up to slot k must stay.

    A caller's own module is checked before training and after it: a leak may show only then, such as behind an
    output layer that starts at zero. The module is in evaluation mode, without gradients.

    Raises
    ------
    TypeError, ValueError
        As `build_checked`.
    """
    device = next(module.parameters()).device
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(vocabulary_size, (1, input_length), generator=generator).to(device)
    emitted = torch.randint(vocabulary_size, (1, target_length), generator=generator).to(device)
    other = (emitted + 1) % vocabulary_size
    slots = torch.arange(target_length, device=device)
    changed = torch.where(slots >= slots[:, None], other, emitted)  # (k, j)
    batch = torch.cat([emitted, changed])
    try:
        logits = module(inputs.expand(len(batch), -1), batch)
    except Exception as error:
        raise ValueError(
            f"model: the module fails on {input_length} inputs and {target_length} steps of a vocabulary of "
            f"{vocabulary_size}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(logits, Tensor):
        raise TypeError(f"model: forward returned {type(logits).__name__}, logits as a tensor are needed")
    wanted = (len(batch), target_length, vocabulary_size)
    if logits.shape != wanted:
        raise ValueError(f"model: forward returned logits of shape {tuple(logits.shape)}, {wanted} is needed")
    moved = (logits[1:] - logits[:1]).abs().amax(2)  # (k, j)
    leaks = (moved > 1e-4 * logits.abs().max().clamp(min=1.0)) & (slots <= slots[:, None])
    if bool(leaks.any()):
        k, j = cast("list[int]", leaks.nonzero()[0].tolist())
        raise ValueError(f"model: the logits of slot {j} change with the step emitted at slot {k} or later")
