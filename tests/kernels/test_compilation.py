import subprocess
import sys

import pytest
import torch

# What the interpreter lets through a compiler may refuse, and Triton compiles for devices that are not there. In a
# process of its own, for in this one the kernel is interpreted.
PROGRAM = """
import re
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from pyorder.kernels import permuted_cross_entropy

# They vary from call to call, or in mid-training: their values must not compile a kernel again.
COUNTS = {"slots", "target_rows", "order_rows"}

def compile(function, constants, dtype="fp32", debug=False, capability=90):
    names = function.arg_names
    types = {name: "*" + dtype for name in ("logits", "gradient")} | dict(
        targets="*i16", orders="*u8", order_index="*i64", target_row="*i32", weights="*i1", incoming="*fp32",
        losses="*fp32", scale="fp32",
    )
    signature = {name: "constexpr" if name in constants else types.get(name, "i32") for name in names}
    values = {(names.index(name),): value for name, value in constants.items()}
    compiled = triton.compile(ASTSource(function, signature, values), target=GPUTarget("cuda", capability, 32),
                              options={"debug": debug})
    assert compiled.asm["cubin"]
    assert not re.search("arith.muli .*xi32>", compiled.asm["ttir"]), "a product of offsets in 32 bits"
    assert not [p.name for p in function.params if p.name in COUNTS and not p.do_not_specialize]
    print(function.__name__, dtype, capability)

for dtype, debug, capability in (("fp32", True, 90), ("bf16", False, 80)):
    shared = dict(dtype=dtype, debug=debug, capability=capability)
    tile = dict(ROWS=4, VALUES=16)
    compile(permuted_cross_entropy._kernel, {**tile, "incoming": None}, **shared)
    compile(permuted_cross_entropy._kernel, {**tile, "losses": None, "weights": None}, **shared)
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="the other tests compile the kernel for the device here")
def test_the_kernel_compiles_for_devices_that_are_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    done = subprocess.run([sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
