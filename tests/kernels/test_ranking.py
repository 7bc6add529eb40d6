"""A whole profiling run whose training goes through the kernel, against one through the reference."""

from types import SimpleNamespace

import numpy as np
import torch
from pyorder.kernels import ops, permuted_cross_entropy
from pyorder.kernels.ops import _permuted_cross_entropy as operation

import pyorder
from pyorder import losses
from pyorder.orders.permutations import sample
from pyorder.training.presets import PRESETS

TINY = PRESETS["nano"].but(width=32, feed_forward=64, steps=60, warmup=5, batch_size=32)
ORDERS = sample(5, 12, seed=0, distinct=True)


def profile(splits, device):
    return pyorder.profile(
        splits.train, ORDERS, validation=splits.validation, model=TINY, precision="float32", device=device
    )


def test_kernels_rank_as_the_reference_does(square5, device, monkeypatch):
    launches = []

    def forward(logits, *lookup):
        launches.append("forward")
        row_losses = torch.full(logits.shape[:2], torch.nan)
        permuted_cross_entropy.launch(logits.detach(), *lookup, losses=row_losses)
        return row_losses

    def gradient(incoming, logits, *lookup):
        launches.append("gradient")
        slopes = torch.full(logits.shape, torch.nan)
        permuted_cross_entropy.launch(logits.detach(), *lookup, incoming=incoming, gradient=slopes)
        return slopes

    monkeypatch.setattr(ops, "runs_triton", lambda *given, **sizes: False)
    reference = profile(square5, device)
    monkeypatch.setattr(losses.ops, "runs_triton", lambda *given, **sizes: True)
    if device.type == "cpu":  # the operation's part for a CPU is the reference: put the interpreted kernels there
        launchers = SimpleNamespace(permuted_cross_entropy=forward, permuted_cross_entropy_gradient=gradient)
        monkeypatch.setattr(operation, "reference", launchers)
    kernels = profile(square5, device)
    if device.type == "cpu":
        assert launches == ["forward", "gradient"] * TINY.recipe.steps
    assert kernels.ranking.tolist() == reference.ranking.tolist()
    np.testing.assert_allclose(kernels.loss, reference.loss, rtol=1e-4)
    np.testing.assert_allclose(kernels.training_loss, reference.training_loss, rtol=1e-3)
