"""Linear ordering: seconds a solution takes, and how far it is from the optimum where that can be computed.

`python benchmarks/linear_ordering.py`: under a minute on one core. Prints one JSON object a row; seconds as
[20 %, 50 %, 80 %] quantiles over instances. "hidden order" has 1 where the order puts the pair first, on top of
normal noise of standard deviation 3, and compares the value found with that of the hidden order.
"""

from __future__ import annotations

import time

import numpy as np
from timing import machine, quantiles, show

from pyorder.orders.linear_ordering import solve, solve_exact, value

NOISE = 3.0


def uniform(length: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((length, length))


def sparse(length: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((length, length)) * (rng.random((length, length)) < 0.1)


def hidden_order(length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(length)
    slots = np.argsort(order)
    return (slots[:, None] < slots) + NOISE * rng.normal(size=(length, length)), order


FAMILIES = {"uniform": uniform, "sparse": sparse, "hidden order": lambda *given: hidden_order(*given)[0]}


def gap_to_exact(length: int, instances: int) -> None:
    """Compare with the optimum; a solution above it would be an error in one of the two."""
    for family, make in FAMILIES.items():
        gaps = []
        for seed in range(instances):
            weights = make(length, np.random.default_rng(seed))
            best, found = solve_exact(weights).value, solve(weights, seed=seed).value
            assert found <= best * (1 + 1e-12)
            gaps.append((best - found) / best)
        row = {"optimal": int(np.sum(np.array(gaps) < 1e-9)), "largest_gap": float(f"{max(gaps):.3g}")}
        show(f"gap to the optimum, {family}", {"length": length, "instances": instances, **row})


def seconds_to_solve(length: int, instances: int) -> None:
    for family, make in FAMILIES.items():
        seconds, values = [], []
        for seed in range(instances):
            weights = make(length, np.random.default_rng(seed))
            start = time.perf_counter()
            found = solve(weights, seed=seed)
            seconds.append(time.perf_counter() - start)
            values.append(found.value)
            assert np.isclose(found.value, value(weights, [found.order])[0])
        show(f"solve, {family}", {"length": length, "instances": instances, "seconds": quantiles(seconds)})


def against_the_hidden_order(length: int, instances: int) -> None:
    ratios = []
    for seed in range(instances):
        weights, order = hidden_order(length, np.random.default_rng(seed))
        ratios.append(solve(weights, seed=seed).value / value(weights, [order])[0])
    row = {"length": length, "instances": instances, "value_over_hidden": quantiles(ratios)}
    show("value found over value of the hidden order", row)


def main() -> None:
    show("machine", machine())
    gap_to_exact(16, 50)
    for length, instances in ((100, 5), (200, 3), (500, 2)):
        seconds_to_solve(length, instances)
        against_the_hidden_order(length, instances)


if __name__ == "__main__":
    main()
