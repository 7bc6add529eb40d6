import math
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

import pyorder
from pyorder.ensemble import Ensemble
from pyorder.exploration import Explorer
from pyorder.model import PRESETS
from pyorder.scoring import chunks
from pyorder.trainer import TrainingSettings

DOCS = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"


@pytest.fixture
def plan(benchmark):
    return benchmark("gpu_plan")


@pytest.fixture
def formulas(benchmark):
    return benchmark("gpu_formulas")


def test_the_page_has_the_predictions_of_the_plan(plan):
    page = DOCS.read_text()
    start, end = "<!-- predictions -->\n", "\n<!-- -->"
    assert page[page.index(start) + len(start) : page.index(end)] == plan.predictions_table()


def test_every_measurement_is_foretold_and_has_a_function(plan, benchmark):
    measured = benchmark("gpu_measure")
    assert len({one.name for one in plan.PLAN}) == len(plan.PLAN)
    for one in plan.PLAN:
        assert callable(getattr(measured, one.function))
        assert one.seconds < one.limit
        assert set(one.rehearsal) <= set(one.settings) | {"batch"}
        for chip in plan.CHIPS:
            assert math.isfinite(one.prediction.of(chip))
            assert one.prediction.of(chip) >= 0


def test_operations_are_those_that_torch_counts(formulas):
    length, rows, values = 13, 4, 19
    decoder = pyorder.PRESETS["small"](values, length, length)
    inputs, emitted = (torch.zeros(rows, length, dtype=torch.long) for _ in range(2))
    with FlopCounterMode(display=False) as counter:
        decoder(inputs, emitted)
    # What the formula leaves out: attention itself and the output layer.
    assert formulas.forward_operations(rows * length, rows * length) == pytest.approx(
        counter.get_total_flops(), rel=0.02
    )


class Operations(TorchDispatchMode):
    """Counts what torch runs, but for what only looks at memory in another way."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        views = (
            "view",
            "reshape",
            "expand",
            "transpose",
            "squeeze",
            "slice",
            "select",
            "split",
            "detach",
            "permute",
        )
        others = ("alias", "empty", "unbind", "as_strided")
        self.count += name != "t" and not any(word in name for word in (*views, *others))
        return function(*args, **(kwargs or {}))


def test_operations_of_a_step_are_those_that_torch_runs(formulas):
    """Within a tenth: another version of torch may take a step in a few more or less."""
    numbers = torch.zeros(200, 13, dtype=torch.long)
    settings = TrainingSettings.of(PRESETS["small"], torch.bfloat16, steps=2, batch_size=8, learning_rate=None)
    ensemble = Ensemble(PRESETS["small"], 19, numbers, numbers, settings, 1)
    ensemble._step()
    with Operations() as seen:
        ensemble._step()
    assert formulas.COUNTS["step"] == pytest.approx(seen.count, rel=0.1)
    explorer = Explorer(numbers, numbers, evidence_rows=20, precision=torch.bfloat16, seed=0)
    orders = pyorder.permutations.sample(13, 128, seed=0)
    explorer.train(orders)
    with Operations() as seen:
        explorer.train(orders)
    assert formulas.COUNTS["explorer"] == pytest.approx(seen.count, rel=0.1)


@pytest.mark.parametrize("orders", [64, 128, 720, 5040])
def test_nodes_are_those_of_the_tree_of_orders(formulas, orders):
    pool = pyorder.permutations.sample(13, orders, seed=0, distinct=True)
    assert formulas.NODES[orders] == sum(len(chunk.slot) for chunk in chunks(pool))


@pytest.mark.parametrize("length", [10, 13])
def test_pools_are_those_of_the_published_search(plan, length):
    search = pyorder.search.Hierarchical(depth=6, direction=False)
    assert plan.PUBLISHED_POOLS[length] == search.pools(pyorder.posets.Poset(length))


def test_a_chip_is_known_by_its_name(formulas):
    assert formulas.for_chip("NVIDIA H100 80GB HBM3").copy == 3.0e12
    assert formulas.for_chip("NVIDIA H200").copy == 4.3e12
    assert formulas.for_chip("cpu") is None


def test_failed_measurements_come_again_after_what_has_no_row(benchmark, plan):
    gpu = benchmark("gpu")
    one, two, three, four = plan.PLAN[:4]
    key = {"commit": "abc", "device": "NVIDIA H100"}

    def row(measurement, **more):
        return {"measurement": measurement.name, "settings": measurement.settings, **key, **more}

    rows = [
        row(one, failed="it did"),
        row(two),
        row(three) | {"commit": "other"},
        row(four) | {"settings": {"other": 1}},
    ]
    assert gpu.still_to_do([one, two, three, four], rows, key) == [three, four, one]
    assert gpu.still_to_do([one], [*rows, row(one)], key) == []


def test_a_table_holds_predictions_beside_what_was_measured(benchmark, plan):
    row = {
        "measurement": "a step", "settings": {}, "commit": "abc", "device": "H100", "rehearsed": False,
        "figure": "ratio", "unit": "times", "predicted": 4.0, "ratio": [1.9, 2.0, 2.1], "seconds": 3.0,
        "peak_bytes": 2**31, "about": {},
    }  # fmt: skip
    failed = {key: row[key] for key in row if key != "ratio"} | {"failed": "a\nb", "measurement": "another"}
    written = benchmark("gpu").table([row, failed, row | {"commit": "def"}])
    assert "| a step | ratio, times | 4 | 2 | 0.5 | 3.0 | peak bytes: 2.00 GiB |" in written
    assert "| another | ratio, times | 4 | failed | - | 3.0 | b |" in written
    assert written.count("## H100, ") == 2
