import doctest
import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from importlib import import_module

# Tiny matrices gain nothing from more threads, and waiting threads cost much on a busy machine. Read at torch's
# import, and by the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Whoever started the tests may ignore signals (nohup, cron, a script's background), which children inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

import numpy as np
import pytest
import torch

import pyorder


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device, torch sees none"))


@pytest.fixture
def doctests():
    """Run a module's examples; they may use the names that a reader has imported."""

    def run(module):
        if isinstance(module, str):  # by name where a room hands on a function of that name
            module = import_module(module)
        names = {name: getattr(pyorder, name) for name in pyorder.__all__} | {"np": np, "torch": torch}
        result = doctest.testmod(module, extraglobs=names)
        assert result.failed == 0
        assert result.attempted > 0

    return run


@pytest.fixture
def waiting_is_an_error():
    """A block in which whatever waits for the GPU raises."""

    def switch(mode):
        with warnings.catch_warnings():  # torch warns that it is a prototype
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode(mode)

    @contextmanager
    def guarded():
        switch("error")
        try:
            yield
        finally:
            switch("default")

    return guarded


@pytest.fixture
def take_steps():
    """Let a trainer take steps on rows (n, B), each in an order (n, B, C) of its columns: losses (n,)."""

    def take(trainer, rows, columns):
        losses = torch.empty(len(rows), device=trainer.device)
        for _ in trainer._taking(rows, columns, losses):
            pass
        return losses

    return take


@pytest.fixture(scope="session")
def square5():
    """Small splits of a task whose forward order is easy."""
    return pyorder.make_task("square", length=5).splits(train=4000, validation=200, test=300, seed=0)


@pytest.fixture
def lets_others_run():
    """Say whether this thread gets a turn in the middle of a call that another thread makes."""

    def this_thread_ran(call):
        span = []

        def work():
            span.append(time.perf_counter())
            call()
            span.append(time.perf_counter())

        worker = threading.Thread(target=work)
        moments = []
        worker.start()
        while worker.is_alive():
            moments.append(time.perf_counter())
            time.sleep(0.0005)
        worker.join()
        begin, end = span
        margin = (end - begin) / 4
        return any(begin + margin < moment < end - margin for moment in moments)

    # On a busy machine a turn may be missed; were the interpreter's lock held, there would never be one.
    return lambda call: any(this_thread_ran(call) for _ in range(20))
