import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.dependencies.explorer import Explorer
from pyorder.models.decoder import Decoder
from pyorder.models.learner import AnyOrderLearner, DecoderLearner
from pyorder.profiling.scoring import chunks, score
from pyorder.training.orders import RowQueue
from pyorder.training.presets import EXPLORER, PRESETS
from pyorder.training.trainer import Trainer

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
    # Imports Triton, which the tests of the kernels must be the first to do, with its interpreter asked for.
    from torch.utils.flop_counter import FlopCounterMode

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


def count(work):
    with Operations() as seen:
        work()
    return seen.count


@pytest.fixture(scope="module")
def tokens():
    """Rows of 13 inputs and 13 steps, of 19 values."""
    ids = np.random.default_rng(0).integers(19, size=(400, 26))
    data = pyorder.Dataset(ids[:, :13], ids[:, 13:], vocabulary=range(19))
    return Tokens.of(data, "train", torch.device("cpu"))


def forward_on_a_gpu(decoder, inputs, emitted, padding=None):
    before = torch.cat([decoder.separator.expand(len(emitted), 1), emitted[:, :-1]], 1)
    return decoder.together(inputs, before, shown=None)


@pytest.mark.parametrize(("name", "precision"), [("step", "bfloat16"), ("step, float32", "float32")])
def test_operations_of_a_step_are_those_that_torch_runs(formulas, tokens, name, precision, monkeypatch):
    """Within a tenth: another version of torch may take a step in a few more or less."""
    monkeypatch.setattr(Decoder, "forward", forward_on_a_gpu)
    preset = PRESETS["small"].but(precision=precision, batch_size=8)
    learner = DecoderLearner(preset.architecture)
    queue = RowQueue(len(tokens), np.random.default_rng(0))
    trainer = Trainer(learner, learner.build(tokens.shape), tokens, preset.recipe, [queue])
    trainer.module.train()
    rows, columns = torch.arange(8), torch.arange(13).repeat(8, 1)
    trainer._step(rows, columns)  # what a graph is captured of
    assert formulas.COUNTS[name] == pytest.approx(count(lambda: trainer._step(rows, columns)), rel=0.1)


def test_operations_of_the_exploration_are_those_that_torch_runs(formulas, tokens):
    recipe = EXPLORER.but(precision="float32").recipe
    learner = AnyOrderLearner(EXPLORER.architecture)
    explorer = Explorer(tokens, learner=learner, recipe=recipe, evidence_rows=20, seed=0)
    one, two = (pyorder.permutations.sample(13, 128 * steps, seed=0) for steps in (1, 2))
    explorer.train(one)
    a_step = count(lambda: explorer.train(two)) - count(lambda: explorer.train(one))
    assert formulas.COUNTS["explorer"] == pytest.approx(a_step, rel=0.1)


def test_operations_of_scoring_are_those_that_torch_runs(formulas, tokens):
    learner = DecoderLearner(PRESETS["small"].architecture)
    module, few = learner.build(tokens.shape).eval(), tokens.select(torch.arange(4))

    def scored(orders):
        pool = pyorder.permutations.sample(13, orders, seed=0, distinct=True)
        return count(lambda: score(learner, module, few, pool, torch.bfloat16)), len(list(chunks(pool)))

    (some, one), (more, two) = scored(20), scored(60)
    assert formulas.COUNTS["chunk"] == pytest.approx((more - some) / (two - one), rel=0.1)


@pytest.mark.parametrize("orders", [64, 128, 720, 5040])
def test_nodes_are_those_of_the_tree_of_orders(formulas, orders):
    pool = pyorder.permutations.sample(13, orders, seed=0, distinct=True)
    assert formulas.NODES[orders] == sum(len(chunk.slot) for chunk in chunks(pool))


@pytest.mark.parametrize("length", [10, 13])
def test_pools_are_those_of_the_published_search(plan, length):
    search = pyorder.search.Hierarchical(depth=6, direction=False, inside="each", between="rotations")
    assert plan.PUBLISHED_POOLS[length] == search.pools(pyorder.posets.Poset(length))


def test_rows_tell_of_no_folders(benchmark):
    said = 'Traceback:\n  File "/home/me/work/benchmarks/kernels.py", line 3, in f\n  File "a.py", line 1'
    wanted = 'Traceback:\n  File "benchmarks/kernels.py", line 3, in f\n  File "a.py", line 1'
    assert benchmark("gpu_measure").without_folders(said) == wanted


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
