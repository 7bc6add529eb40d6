"""Random streams: their numbers stay what they were, and no other file begins one."""

import ast
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

import pyorder
from pyorder import streams

PACKAGE = Path(pyorder.__file__).parent
BEGIN = {"default_rng", "SeedSequence", "manual_seed", "RandomState", "PCG64"}


def test_docstring_examples(doctests):
    doctests(streams)


@pytest.mark.parametrize(("name", "number"), streams.NUMBERS.items())
def test_a_stream_is_numpys_of_seed_and_number(name, number):
    wanted = np.random.Generator(np.random.PCG64(np.random.SeedSequence([7, number]))).integers(2**62, size=4)
    assert streams.stream(7, name).integers(2**62, size=4).tolist() == wanted.tolist()


def test_every_name_is_told():
    assert set(streams.NUMBERS) == set(get_args(streams.Name))
    for name, number in streams.NUMBERS.items():
        assert f"\n{name:18}  {number} " in streams.__doc__


def test_runs_and_seeds_drawn_are_of_their_own():
    assert len({streams.of_run(seed, number) for seed in range(20) for number in range(20)}) == 400
    rng = streams.stream(0, "search")
    assert streams.seed_from(rng) != streams.seed_from(rng)


def test_no_other_file_begins_a_stream():
    began = {}
    for path in PACKAGE.rglob("*.py"):
        called = {
            getattr(node.func, "attr", getattr(node.func, "id", ""))
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call)
        }
        if called & BEGIN:
            began[path.relative_to(PACKAGE).as_posix()] = called & BEGIN
    assert began == {"streams.py": {"default_rng", "SeedSequence", "manual_seed"}}
