"""Plans that cannot be carried out are refused before anything is done, with what to give less of."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import pyorder
from pyorder import _checks
from pyorder.data.tokens import Shape
from pyorder.models.learner import DecoderLearner
from pyorder.search import Annealing, Evolutionary, Greedy, Precedence, Random
from pyorder.training.memory import check_run
from pyorder.training.recipe import Recipe

NANO = pyorder.PRESETS["nano"].architecture
HUGE = 10**12


@pytest.mark.parametrize("module", ["memory", "divergence"])
def test_docstring_examples(doctests, module):
    doctests(f"pyorder.training.{module}")


@pytest.fixture(scope="module")
def splits():
    return pyorder.make_task("square", length=12).splits(train=300, validation=20, test=20, seed=0)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"steps": HUGE}, "^steps: 1,000,000,000,000 losses do not fit in this machine's memory"),
        ({"batch_size": 10**7}, r"^batch_size: 10000000 given, the training data has 300 rows$"),
        ({"model": replace(NANO, layers=10**9)}, r"^model: .* weights .* GB are free .*: give a smaller model"),
        ({"model": replace(NANO, width=10**7)}, r"^model: "),
    ],
)
@pytest.mark.parametrize("call", ["fit", "profile", "discover"])
def test_a_run_that_cannot_be_is_refused_at_once(call, named, told, splits):
    calls = {
        "fit": lambda: pyorder.fit(splits.train, range(12), test=splits.test, **named),
        "profile": lambda: pyorder.profile(splits.train, [range(12)], validation=splits.validation, **named),
        "discover": lambda: pyorder.discover(splits.train, validation=splits.validation, **named),
    }
    started = time.process_time()
    with pytest.raises(pyorder.errors.InputError, match=told):
        calls[call]()
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Precedence(samples=HUGE), "samples"),
        (lambda: Precedence(candidates=HUGE), "candidates"),
        (lambda: Random(candidates=HUGE), "candidates"),
        (lambda: Annealing(rounds=HUGE), "rounds"),
        (lambda: Evolutionary(generations=HUGE), "generations"),
        (lambda: Evolutionary(children=HUGE), "children"),
        (lambda: Greedy(constructions=HUGE), "constructions"),
    ],
)
def test_searches_that_cannot_be_are_refused_at_once(make, named):
    splits = pyorder.make_task("square", length=40).splits(train=300, validation=20, test=20, seed=0)
    started = time.process_time()
    with pytest.raises(ValueError, match=f"^{named}: "):
        pyorder.discover(splits.train, validation=splits.validation, strategy=make())
    assert time.process_time() - started < 5


def test_what_is_estimated_is_there_at_least(monkeypatch):
    """The weights by counting them; with less free than they take with gradients and moments, they are refused."""
    learner, shape = DecoderLearner(NANO), Shape(1000, 9, 9)
    weights = sum(parameter.numel() for parameter in learner.build(shape).parameters())
    estimated, _ = learner.numbers(shape)
    assert 0.95 * weights < estimated <= weights
    cpu = torch.device("cpu")
    monkeypatch.setattr("pyorder.training.memory.free_memory", lambda device: 16 * estimated)
    with pytest.raises(pyorder.errors.InputError, match="^model: .* fewer than 1,000 values$"):
        check_run(learner, shape, Recipe(10, 1e-3, batch_size=1), cpu)
    monkeypatch.setattr("pyorder.training.memory.free_memory", lambda device: 20 * estimated)
    check_run(learner, shape, Recipe(10, 1e-3, batch_size=1), cpu)
    with pytest.raises(pyorder.errors.InputError, match="^batch_size: "):
        check_run(learner, shape, Recipe(10, 1e-3, batch_size=1000), cpu)


def test_free_memory_of_a_gpu_counts_what_torch_keeps(monkeypatch):
    for name, told in (("mem_get_info", (100, 1000)), ("memory_reserved", 50), ("memory_allocated", 20)):
        monkeypatch.setattr(torch.cuda, name, lambda device, told=told: told)
    assert _checks.free_memory(torch.device("cuda")) == 130


def test_a_batch_of_a_recipe_may_be_larger_than_few_rows(splits):
    few = splits.train.select(range(20))
    assert len(pyorder.fit(few, range(12), test=splits.test, steps=2).loss_curve) == 2


def test_a_batch_may_be_larger_than_the_validation_rows():
    splits = pyorder.make_task("square", length=4).splits(train=1500, validation=20, test=20, seed=0)
    numbers = {"model": "nano", "steps": 1, "batch_size": 1400}
    assert len(pyorder.profile(splits.train, [range(4)], validation=splits.validation, **numbers).orders) == 1


def test_a_long_row_is_learned_from_a_few_rows_at_a_time_and_no_more_are_reckoned_with(monkeypatch):
    learner, shape, cpu = DecoderLearner(NANO), Shape(20, 2000, 2000), torch.device("cpu")
    _, activations = learner.numbers(shape)
    monkeypatch.setattr("pyorder.training.memory.free_memory", lambda device: 100 * 4 * activations)
    check_run(learner, shape, Recipe(10, 1e-3, batch_size=128), cpu)


def test_cached_files_are_no_memory_that_is_taken(monkeypatch):
    """In a container: what it may have, less what it has, but for what the system gives back."""
    told = {
        "memory.max": "1000",
        "memory.current": "900",
        "memory.stat": "anon 100\nactive_file 300\ninactive_file 400\nslab_reclaimable 50\n",
    }
    monkeypatch.setattr(Path, "read_text", lambda path: told[path.name])
    assert _checks.free_memory(torch.device("cpu")) == 850


def test_data_of_very_many_values_are_remarked_on():
    rng = np.random.default_rng(0)
    values = rng.permutation(6000).reshape(1500, 4)
    data = pyorder.Dataset(values[:, :1], values[:, 1:], vocabulary=range(6000))
    train, validation = data.select(range(1200)), data.select(range(1200, 1500))
    found = pyorder.discover(train, validation=validation, strategy=Random(candidates=2), steps=1)
    assert "6,000 different values" in found.remarks[0]
    assert "6,000 of them occur fewer than 10 times" in found.remarks[0]
