import os
import stat
import subprocess
import sys

import pytest
import torch
from pyorder.kernels import ops
from torch._subclasses import FakeTensorMode

from pyorder import losses

# Triton's own builder is asked to build a file that needs no headers: it gets as far as a compiler, or not.
PROGRAM = """
import sys
from pathlib import Path
from triton.runtime import build
from pyorder.kernels import ops
(Path(sys.argv[1]) / "one.c").write_text("int one = 1;")
try:
    build._build("one", sys.argv[1] + "/one.c", sys.argv[1], [], [], [], [])
    print("built", ops.HAS_COMPILER)
except (RuntimeError, OSError) as error:
    print("not built", ops.HAS_COMPILER)
"""


@pytest.fixture
def a_compiler(tmp_path):
    """A program that takes every command line and does nothing, in a folder of its own."""
    path = tmp_path / "bin" / "clang"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def build_with(tmp_path, **environment):
    kept = {name: value for name, value in os.environ.items() if name not in ("CC", "PATH", "TRITON_INTERPRET")}
    command = [sys.executable, "-P", "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=kept | environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_compiler_is_found_where_triton_finds_one(tmp_path, a_compiler):
    nowhere, there = str(tmp_path / "nowhere"), str(a_compiler.parent)
    assert build_with(tmp_path, PATH=nowhere) == "not built False"
    assert build_with(tmp_path, PATH=there) == "built True"
    assert build_with(tmp_path, PATH=nowhere, CC=str(a_compiler)) == "built True"
    assert build_with(tmp_path, PATH=there, CC="clang") == "built True"
    assert build_with(tmp_path, PATH=there, CC=nowhere) == "not built False"  # CC set, others are not looked for
    assert build_with(tmp_path, PATH=there, CC="") == "not built False"


@pytest.fixture
def on_a_gpu(monkeypatch):
    """A tensor that says it is on a GPU, and Triton there without a compiler."""
    monkeypatch.setattr(ops, "HAS_TRITON", True)
    monkeypatch.setattr(ops, "HAS_COMPILER", False)
    ops._tell_once.cache_clear()
    with FakeTensorMode():
        tensor = torch.empty(3, 4, 7, device="cuda")
    yield tensor
    ops._tell_once.cache_clear()


def test_without_a_compiler_auto_is_the_reference_and_warns_once(on_a_gpu, recwarn):
    assert not ops.runs_triton("auto", on_a_gpu, values=7)
    assert not ops.runs_triton("auto", on_a_gpu, values=7)
    (warning,) = recwarn
    assert warning.category is RuntimeWarning
    assert "Triton needs a C compiler" in str(warning.message)
    assert "install gcc, or name one in CC" in str(warning.message)


def test_the_warning_names_the_caller_of_the_public_function(on_a_gpu, monkeypatch, recwarn):
    monkeypatch.setattr(losses.reference, "permuted_cross_entropy", lambda *given: torch.zeros(()))
    losses.permuted_cross_entropy(on_a_gpu, *[on_a_gpu] * 4)
    assert recwarn[0].filename == __file__


def test_no_warning_where_the_reference_runs_anyway(on_a_gpu, recwarn):
    assert not ops.runs_triton("auto", torch.empty(3, 4, 7), values=7)
    assert not ops.runs_triton("auto", on_a_gpu, values=ops.MOST_VALUES + 1)
    assert not ops.runs_triton("reference", on_a_gpu, values=7)
    assert not list(recwarn)


def test_without_a_compiler_triton_is_refused_in_one_line(on_a_gpu):
    with pytest.raises(
        ValueError, match="implementation: 'triton' cannot run here. Triton needs a C compiler"
    ) as info:
        ops.runs_triton("triton", on_a_gpu, values=7)
    assert "\n" not in str(info.value)


def test_with_a_compiler_a_gpu_runs_triton(on_a_gpu, monkeypatch, recwarn):
    monkeypatch.setattr(ops, "HAS_COMPILER", True)
    assert ops.runs_triton("auto", on_a_gpu, values=7)
    assert ops.runs_triton("triton", on_a_gpu, values=7)
    assert not list(recwarn)
