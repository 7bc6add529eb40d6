"""Long calls of the compiled part end when a signal comes, and signal handlers may use what is being read."""

import subprocess
import sys

import pytest

# Each takes seconds at least, and no more than some GB should it go on.
LONG = {
    "a walk of many moves": "Poset(150, [[0, 1]]).walk_sorts(1, seed=0, moves=10**12)",
    "many walks": "Poset(150, [[0, 1]]).walk_sorts(10**6, seed=0, moves=10**6)",
    "sorts": "Poset(300, [[0, 1]]).sample_sorts(3_000_000, seed=0)",
    "sets of steps": "Poset(40, [[0, 1]] + [[i, 39] for i in range(39)]).count_sorts(limit=10**8)",
    "sorts listed": "Poset(13).sorts(limit=10**9)",
    "sorts near": "Poset(60).sorts_near(range(60), 60, limit=10**7)",
    "orders": "permutations.sample(4000, 100_000, seed=0)",
    "distinct orders": "permutations.sample(400, 1_000_000, seed=0, distinct=True)",
    "a linear ordering": "linear_ordering.solve(weights, restarts=10**6)",
    "rows of a task": "make_task('relu', length=300).generate(3_000_000, seed=0)",
}

SCRIPT = """
import signal, sys, time
import numpy as np
from pyorder.data.tasks import make_task
from pyorder.orders import linear_ordering, permutations
from pyorder.orders.posets import Poset
weights = np.random.default_rng(0).random((400, 400))
signal.signal(signal.SIGALRM, signal.default_int_handler)
started = time.perf_counter()
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:
    {call}
except KeyboardInterrupt:
    print(time.perf_counter() - started)
"""


def run(script):
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=60)
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("call", LONG.values(), ids=LONG)
def test_a_long_call_can_be_interrupted(call):
    assert 0.3 <= float(run(SCRIPT.format(call=call))) < 30  # a busy machine has its pauses


def test_a_signal_handler_may_use_the_graph_that_is_walked():
    script = """
import signal
from pyorder.orders.posets import Poset
poset, told = Poset(150, [[0, 1]]), []
def handle(number, frame):
    told.append((poset.precedes(0, 1), poset.add(1, 2), len(poset.walk_sorts(2, seed=0, moves=5))))
    if len(told) == 2:
        raise KeyboardInterrupt
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
try:
    poset.walk_sorts(1, seed=0, moves=10**12)
except KeyboardInterrupt:
    print(told, poset.edges.tolist())
"""
    assert run(script) == "[(True, True, 2), (True, True, 2)] [[0, 1], [1, 2]]\n"
