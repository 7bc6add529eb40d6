"""The calling program's state: it is left as it was, and changes no result."""

import contextlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import pyorder
from pyorder.search import Precedence, Soft
from pyorder.training.presets import EXPLORER, PRESETS

TINY = PRESETS["nano"].but(width=16, heads=2, feed_forward=32, steps=6, batch_size=32)
DROPPING = TINY.but(dropout=0.3)
SETTINGS = {"model": TINY, "precision": "float32", "seed": 3}
BRIEF = replace(EXPLORER.recipe, steps=4, precision="float32")
ORDERS = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 1, 4, 3]]


def fit(data, **options):
    fitted = pyorder.fit(
        data.train, [1, 0, 2, 4, 3], test=data.test, validation=data.validation, **{**SETTINGS, **options}
    )
    return fitted.loss_curve, fitted.row_losses, fitted.validation_curve, fitted.predict(data.test.inputs)


def profile(data, **options):
    result = pyorder.profile(data.train, ORDERS, validation=data.validation, **{**SETTINGS, **options})
    return result.loss, result.training_loss


def search(strategy, data, **options):
    found = pyorder.discover(data.train, validation=data.validation, strategy=strategy, **{**SETTINGS, **options})
    losses = found.history[-1].profile.loss
    return found.order, losses, losses if found.exploration is None else found.exploration.benefit


def discover(data, **options):
    return search(Precedence(rounds=1, samples=64, candidates=6, recipe=BRIEF), data, **options)


def relax(data, **options):
    return search(Soft(restarts=1, steps=10, samples=32, candidates=4), data, **options)


def assert_same(one, other):
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SURROUNDINGS = {
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "another device": lambda: torch.device("meta"),
}


@pytest.fixture(scope="module")
def expected(square5):
    return {call: call(square5) for call in (fit, profile, discover, relax)}


@pytest.mark.parametrize("name", SURROUNDINGS)
@pytest.mark.parametrize("call", [fit, profile, discover, relax])
def test_a_call_gives_the_same_whatever_is_set_around_it(square5, expected, call, name):
    """The device "meta" stands for a default device that is not the run's."""
    with SURROUNDINGS[name]():
        before = torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device()
        inside = call(square5)
        assert (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device()) == before
    assert_same(inside, expected[call])


def test_training_learns_inside_a_callers_autocast(square5):
    """Autocast keeps the weights that it has cast until the outermost context ends."""
    with torch.autocast("cpu", torch.bfloat16):
        curve = pyorder.fit(
            square5.train, range(5), test=square5.test, model="nano", steps=60, precision="bfloat16"
        ).loss_curve
    assert curve[-10:].mean() < curve[:5].mean() - 0.3


@pytest.mark.parametrize("model", [TINY, DROPPING])
@pytest.mark.parametrize("call", [fit, profile])
def test_calls_in_threads_give_what_they_give_alone(square5, call, model):
    alone = [call(square5, model=model, seed=seed) for seed in range(3)]
    torch.manual_seed(5)
    before = torch.get_rng_state()
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda seed: call(square5, model=model, seed=seed), range(3)))
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(together, alone, strict=True):
        assert_same(one, other)


def test_a_thread_that_sets_things_up_for_itself_changes_nothing_elsewhere(square5, expected):
    seen = {}

    def other():
        with torch.no_grad(), torch.device("meta"):
            seen["other"] = fit(square5)

    worker = threading.Thread(target=other)
    worker.start()
    here = fit(square5)
    worker.join()
    assert_same(here, expected[fit])
    assert_same(seen["other"], expected[fit])


def test_what_a_progress_function_draws_changes_no_result(square5):
    """It is called in the middle of training, where the module draws what it drops."""
    order = [1, 0, 2, 4, 3]
    quiet = pyorder.fit(square5.train, order, test=square5.test, model=DROPPING)
    torch.manual_seed(1)
    first = torch.rand(1)
    torch.manual_seed(1)
    drawn = []
    loud = pyorder.fit(
        square5.train, order, test=square5.test, model=DROPPING, progress=lambda _: drawn.append(torch.rand(1))
    )
    assert_same([quiet.loss_curve], [loud.loss_curve])
    assert drawn[0] == first  # the caller's own numbers, in its function too


PROGRAM = """
import logging, random, signal, sys, threading, warnings
import numpy as np, safetensors, torch
try:
    import triton
except ImportError:
    pass

def state():
    loggers = {name: (logger.level, logger.propagate, list(logger.handlers))
               for name, logger in logging.root.manager.loggerDict.items() if isinstance(logger, logging.Logger)}
    return {
        "random": random.getstate(),
        "numpy": repr(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "seed": torch.initial_seed(),
        "threads": (threading.active_count(), torch.get_num_threads(), torch.get_num_interop_threads()),
        "loggers": loggers,
        "root": (logging.root.level, list(logging.root.handlers), logging.root.manager.disable),
        "warnings": list(warnings.filters),
        "showing": (warnings.showwarning, sys.excepthook, sys.displayhook),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "torch's own": (torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_default_device(),
                        torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()),
        "printing": np.get_printoptions(),
    }

before = state()
import pyorder
for name in pyorder.__all__:
    getattr(pyorder, name)
data = pyorder.Dataset([[1], [2]], [[1, 2], [2, 1]])
pyorder.reorder(torch.from_numpy(data.targets.copy()), [1, 0])
after = state()
print([name for name in before if before[name] != after[name]])
"""


def test_importing_it_leaves_a_program_as_it_was(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
