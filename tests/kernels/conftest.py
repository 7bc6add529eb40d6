"""The kernel runs on the GPU where there is one, and in Triton's interpreter elsewhere.

Triton asks for the interpreter when a function is decorated, its own library included. So its first import and
that of the kernel happen here, with the variable set, and no other test sees it.
"""

from importlib import import_module

import pytest
import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

if DEVICE.type == "cpu":
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        import_module("pyorder.kernels.permuted_cross_entropy")
        import_module("triton.experimental.gluon")  # Triton imports it at the first launch


@pytest.fixture(scope="session")
def device():
    return DEVICE
