"""Tasks against their recurrences written out in plain Python."""

import doctest
import inspect
import itertools
import math
import time

import numpy as np
import pytest

import pyorder.data.tasks
from pyorder._core import tasks as core
from pyorder.data.tasks import make_task, satisfied_dependencies, task_names

CHAINS = ["relu", "square", "cubic", "sine", "triangle", "mlp"]


def residue(number):
    return (number + 9) % 19 - 9


def triangle_wave(number):
    """Rise from 0 to 9 in five, fall to -9 in ten, rise to 0 in five."""
    place = number % 20
    corners = [(0, 0), (5, 9), (15, -9), (20, 0)]
    for (left, low), (right, high) in itertools.pairwise(corners):
        if left <= place <= right:
            return round(low + (high - low) * (place - left) / (right - left))
    raise AssertionError


def mlp_table():
    generator = np.random.default_rng(73)
    w1, b1, w2 = generator.normal(0, 4, (16, 2)), generator.normal(0, 1, 16), generator.normal(0, 1, 16)
    pairs = np.array(list(itertools.product(range(-9, 10), repeat=2))) / 9
    out = np.tanh(pairs @ w1.T + b1) @ w2
    return np.rint(9 * np.tanh((out - out.mean()) / out.std())).astype(int)


STEPS = {
    "relu": lambda x, y: max(x + y, 0),
    "square": lambda x, y: residue(x**2 + y**2),
    "cubic": lambda x, y: residue(x**3 + y**3),
    "sine": lambda x, y: round(9 * math.sin(2 * math.pi * (x + y) / 9)),
    "triangle": lambda x, y: triangle_wave(x + y),
}


def step_values(name):
    """Return y_i for every x_i and y_{i-1} in [-9, 9], from the task itself."""
    pairs = np.array(list(itertools.product(range(-9, 10), repeat=2)))
    return make_task(name, length=2).compute(pairs[:, ::-1])[:, 1]


def test_docstring_examples():
    result = doctest.testmod(pyorder.data.tasks)
    assert result.attempted > 5
    assert result.failed == 0


@pytest.mark.parametrize("name", STEPS)
def test_steps_follow_the_recurrence(name):
    expected = [STEPS[name](x, y) for x, y in itertools.product(range(-9, 10), repeat=2)]
    assert step_values(name).tolist() == expected


def test_the_mlp_table_is_the_network_of_its_comment():
    difference = np.abs(step_values("mlp") - mlp_table())
    assert difference.max() <= 1  # where another mathematical library rounds the other way
    assert (difference > 0).sum() <= 2


def test_the_published_example_of_square():
    assert make_task("square", length=5).compute([[7, -2, 4, 1, 3]]).tolist() == [[7, -4, -6, -1, -9]]


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("length", [2, 3, 50])
def test_chains_apply_their_step_from_left_to_right(name, length):
    data = make_task(name, length=length).generate(50, seed=3)
    table = dict(zip(itertools.product(range(-9, 10), repeat=2), step_values(name).tolist(), strict=True))
    for xs, ys in zip(data.inputs.tolist(), data.targets.tolist(), strict=True):
        y = xs[0]
        expected = [y]
        for x in xs[1:]:
            y = max(x + y, 0) if name == "relu" else table[x, y]
            expected.append(y)
        assert ys == expected


@pytest.mark.parametrize(("length", "d"), [(2, 1), (2, 2), (13, 2), (13, 4), (13, 8), (31, 30)])
def test_index_points_into_the_input(length, d):
    data = make_task("index", length=length, d=d).generate(50, seed=3)
    assert set(np.unique(data.inputs)) <= set(range(length))
    for xs, ys in zip(data.inputs.tolist(), data.targets.tolist(), strict=True):
        expected = [xs[0]]
        while len(expected) < length:
            expected.append(xs[sum(expected[-d:]) % length])
        assert ys == expected


@pytest.mark.parametrize(("length", "base"), [(2, 10), (3, 10), (4, 2), (9, 10), (12, 7), (100, 10), (41, 32767)])
def test_prod_multiplies(length, base):
    data = make_task("prod", length=length, base=base).generate(50, seed=3)
    half = length // 2
    assert data.inputs.shape == (50, 2 * half)
    assert data.targets.shape == (50, length)
    for xs, ys in zip(data.inputs.tolist(), data.targets.tolist(), strict=True):
        a = sum(digit * base**place for place, digit in enumerate(reversed(xs[:half])))
        b = sum(digit * base**place for place, digit in enumerate(reversed(xs[half:])))
        assert ys == [a * b // base**place % base for place in range(length)]


def test_prod_reads_its_digits_as_numbers_are_written():
    assert make_task("prod", length=4).compute([[1, 2, 3, 4]]).tolist() == [[8, 0, 4, 0]]  # 12 * 34 = 408


def ambiguous_share(name, rows=100_000, length=13):
    """Return how often the last (x_i, y_i) leave more than one y_{i-1}, of those that occur, possible."""
    data = make_task(name, length=length).generate(rows, seed=5)
    xs, ys, before = data.inputs[:, -1], data.targets[:, -1], np.unique(data.targets[:, -2])
    values = step_values(name).reshape(19, 19)
    share = 0.0
    for x in range(-9, 10):
        results = np.maximum(x + before, 0) if name == "relu" else values[x + 9][before + 9]
        outcomes, ways = np.unique(results, return_counts=True)
        share += np.isin(ys[xs == x], outcomes[ways > 1]).sum() / rows
    return share


@pytest.mark.parametrize(
    ("name", "share"),
    [("relu", 0.16), ("square", 1.0), ("cubic", 0.86), ("sine", 0.77), ("triangle", 0.47), ("mlp", 0.63)],
)
def test_ambiguous_shares(name, share):
    assert ambiguous_share(name) == pytest.approx(share, abs=0.01)
    row = next(line for line in inspect.getdoc(pyorder.data.tasks).splitlines() if line.startswith(name))
    assert row.endswith(f" {share:.0%}".replace("%", " %"))


@pytest.mark.parametrize("name", ["cubic", "sine", "triangle", "mlp"])
def test_states_stay_varied_along_the_chain(name):
    targets = make_task(name, length=100).generate(5000, seed=1).targets
    for step in (50, 99):
        shares = np.bincount(targets[:, step] + 9) / 5000
        assert (shares > 0.01).sum() >= 9
        assert shares.max() < 0.2


def test_the_state_of_mlp_depends_on_the_one_before():
    values = step_values("mlp").reshape(19, 19)
    assert min(np.unique(row).size for row in values) >= 9
    targets = make_task("mlp", length=100).generate(20_000, seed=1).targets
    assert abs(np.corrcoef(targets[:, 98], targets[:, 99])[0, 1]) < 0.1
    assert np.unique(targets[:, 99]).size == 19


@pytest.mark.parametrize("name", task_names())
def test_declared_values_contain_what_is_generated(name):
    task = make_task(name, length=20)
    data = task.generate(5000, seed=0)
    assert (data.inputs.dtype, data.targets.dtype) == (np.int16, np.int16)
    assert data.vocabulary is not task.vocabulary
    assert data.vocabulary.tolist() == task.vocabulary.tolist() == sorted(set(task.vocabulary.tolist()))
    assert np.isin(data.inputs, task.vocabulary).all()
    assert np.isin(data.targets, task.vocabulary).all()
    assert data.input_length == task.input_length
    assert data.target_length == task.length == 20


def test_relu_declares_the_largest_sum():
    task = make_task("relu", length=3640)
    assert task.compute(np.full((1, 3640), 9))[0, -1] == task.vocabulary[-1] == 9 * 3640
    with pytest.raises(ValueError, match=r"length of relu must be in \[2, 3640\], got 3641"):
        make_task("relu", length=3641)


@pytest.mark.parametrize("name", task_names())
def test_inputs_are_uniform(name):
    inputs = make_task(name, length=12).generate(20_000, seed=11).inputs
    counts = np.unique(inputs, return_counts=True)[1]
    expected = inputs.size / counts.size
    assert counts.size == {"index": 12, "prod": 10}.get(name, 19)
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all()
    assert np.abs(np.corrcoef(inputs.T) - np.eye(12)).max() < 0.04


@pytest.mark.parametrize("name", task_names())
def test_rows_depend_on_their_number_only(name):
    task = make_task(name, length=12)
    whole = task.generate(3000, seed=4, stream=2, threads=1)
    for rows, threads in [(3000, 2), (3000, 7), (3000, 0), (1, 1), (777, 3)]:
        part = task.generate(rows, seed=4, stream=2, threads=threads)
        assert np.array_equal(part.inputs, whole.inputs[:rows])
        assert np.array_equal(part.targets, whole.targets[:rows])
    for seed, stream in [(5, 2), (4, 1)]:
        assert not np.array_equal(task.generate(3000, seed=seed, stream=stream).inputs, whole.inputs)


def test_inputs_are_the_bounded_numbers_of_their_row():
    inputs = make_task("relu", length=30).generate(6, seed=9, stream=1).inputs
    for row in range(6):
        assert inputs[row].tolist() == (core.philox_below(9, 1, row, 30, 19).astype(int) - 9).tolist()


@pytest.mark.parametrize("name", task_names())
def test_compute_gives_the_generated_targets(name):
    task = make_task(name, length=12)
    data = task.generate(700, seed=4)
    for dtype in (np.int8, np.int64, ">i4"):
        assert np.array_equal(task.compute(data.inputs.astype(dtype)), data.targets)


def test_data_cannot_be_changed_and_tells_its_origin():
    data = make_task("index", length=9, d=3).generate(5, seed=2**64 - 1, stream=8)
    assert not data.inputs.flags.writeable
    assert not data.targets.flags.writeable
    assert data.metadata == {
        "task": "index",
        "length": "9",
        "parameters": '{"d": 3}',
        "seed": "18446744073709551615",
        "stream": "8",
    }


def unseen(task, rows, seed, stream, seen):
    """Return what a split should be: one candidate after the other, kept unless seen."""
    seen = {tuple(row) for block in seen for row in block.tolist()}
    kept = []
    for row in task.generate(20_000, seed=seed, stream=stream).inputs.tolist():
        if tuple(row) not in seen and len(kept) < rows:
            seen.add(tuple(row))
            kept.append(row)
    return kept


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("name", "length"), [("relu", 3), ("prod", 6), ("index", 5), ("square", 13)])
def test_splits_keep_the_first_unseen_candidates(name, length, threads):
    task = make_task(name, length=length)
    splits = task.splits(train=2000, validation=300, test=500, seed=6, threads=threads)
    assert [len(part) for part in splits] == [2000, 300, 500]
    assert np.array_equal(splits.train.inputs, task.generate(2000, seed=6).inputs)
    assert splits.validation.inputs.tolist() == unseen(task, 300, 6, 1, [splits.train.inputs])
    assert splits.test.inputs.tolist() == unseen(task, 500, 6, 2, [p.inputs for p in splits[:2]])
    for part in splits:
        assert np.array_equal(part.targets, task.compute(part.inputs))


def test_splits_can_take_the_last_input_and_no_more():
    task = make_task("relu", length=2)
    taken = len(np.unique(task.generate(100, seed=0).inputs, axis=0))
    left = task.space_size - taken
    started = time.perf_counter()
    splits = task.splits(train=100, validation=left - 1, test=1, seed=0)
    assert len(np.unique(np.concatenate([part.inputs for part in splits]), axis=0)) == task.space_size == 361
    with pytest.raises(ValueError, match="test: cannot draw 2 unseen inputs: 360 of 361 are taken"):
        task.splits(train=100, validation=left - 1, test=2, seed=0)
    with pytest.raises(ValueError, match=f"validation: cannot draw {left + 1} unseen inputs: {taken} of 361"):
        task.splits(train=100, validation=left + 1, test=1, seed=0)
    assert time.perf_counter() - started < 2


def test_space_sizes():
    assert make_task("square", length=100).space_size == 19**100
    assert make_task("index", length=7).space_size == 7**7
    assert make_task("prod", length=9, base=3).space_size == 3**8


def test_dependencies_of_chains_leave_out_the_copied_first_step():
    assert make_task("square", length=2).dependencies == ()
    assert make_task("square", length=4).dependencies == ((1, 2), (2, 3))
    assert len(make_task("square", length=40).dependencies) == 38
    assert make_task("index", length=5, d=1).dependencies == ((1, 2), (2, 3), (3, 4))
    assert make_task("index", length=5, d=3).dependencies == ((1, 2), (1, 3), (2, 3), (1, 4), (2, 4), (3, 4))
    assert make_task("prod", length=4).dependencies is None


@pytest.mark.parametrize(
    ("order", "share"), [([0, 1, 2, 3], 1.0), ([3, 2, 1, 0], 0.0), ([3, 0, 1, 2], 0.5), ([1, 3, 2, 0], 0.5)]
)
def test_satisfied_dependencies(order, share):
    assert satisfied_dependencies(order, ((1, 2), (2, 3))) == share
    assert satisfied_dependencies(np.array(order, dtype=np.uint8), np.array([[1, 2], [2, 3]])) == share
    assert satisfied_dependencies(order, ()) == 1.0


@pytest.mark.parametrize(
    ("order", "dependencies", "error", "message"),
    [
        ([0, 1, 1], (), ValueError, "order: .*permutation"),
        ([0.0, 1.0], (), TypeError, "order: expected integers"),
        ([0, 1], ((1, 2),), ValueError, "dependencies: expected steps from 0 to 1, got 1 to 2"),
        ([0, 1], ((0, 1, 1),), ValueError, r"dependencies: expected shape \(E, 2\)"),
        ([0, 1], None, TypeError, "dependencies: expected pairs of steps, got None"),
    ],
)
def test_bad_orders_and_dependencies_are_refused(order, dependencies, error, message):
    with pytest.raises(error, match=message):
        satisfied_dependencies(order, dependencies)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name": "rellu"}, ValueError, "unknown task 'rellu': the tasks are relu, square, .*, prod"),
        ({"name": 3}, TypeError, "name: expected text, got 3"),
        ({"length": 1}, ValueError, "length: expected an integer from 2 to 32767, got 1"),
        ({"length": 2**70}, ValueError, "length: "),
        ({"length": 13.0}, TypeError, "length: expected an integer, got 13.0"),
        ({"length": True}, TypeError, "length: expected an integer, got True"),
        ({"d": 2}, ValueError, "unknown parameter 'd': relu takes no parameters"),
        ({"name": "index", "base": 2}, ValueError, "unknown parameter 'base': index takes d"),
        ({"name": "index", "d": 14}, ValueError, r"d of index at length 13 must be in \[1, 13\], got 14"),
        ({"name": "index", "d": 0}, ValueError, "d: expected an integer from 1"),
        ({"name": "index", "d": 2.0}, TypeError, "d: expected an integer, got 2.0"),
        ({"name": "index", "d": "2"}, ValueError, "^d of index must be an integer, got '2'"),
        ({"name": "prod", "rows": 2}, ValueError, "^rows of prod must be text, got 2"),
        ({"name": "prod", "base": 1}, ValueError, r"base of prod must be in \[2, 32767\], got 1"),
    ],
)
def test_bad_tasks_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        make_task(**{"name": "relu", "length": 13} | arguments)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"rows": 0}, ValueError, "rows: expected an integer of at least 1, got 0"),
        ({"rows": 1.5}, TypeError, "rows: "),
        (
            {"rows": 2**63},
            ValueError,
            r"^rows: about 10\^19 rows of 26 values do not fit in this machine's memory",
        ),
        ({"seed": -1}, ValueError, "seed: expected an integer from 0 to 18446744073709551615, got -1"),
        ({"seed": 2**64}, ValueError, "seed: "),
        ({"seed": None}, TypeError, "seed: expected an integer, got None"),
        ({"stream": -1}, ValueError, "stream: "),
        ({"threads": -1}, ValueError, "threads: "),
    ],
)
def test_bad_generation_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        make_task("relu", length=13).generate(**{"rows": 1, "seed": 0} | arguments)


def test_bad_split_sizes_are_refused():
    with pytest.raises(ValueError, match="validation: expected an integer of at least 1, got 0"):
        make_task("relu", length=13).splits(train=1, validation=0, test=1)
    with pytest.raises(ValueError, match=r"^test: about 10\^\d+ rows of 26 values do not fit"):
        make_task("relu", length=13).splits(train=1, validation=1, test=2**70)


def test_dependencies_are_made_when_they_are_asked_for():
    task = make_task("index", length=5000, d=5000)  # has 12 million
    assert task.generate(2, seed=0).target_length == 5000
    assert "dependencies" not in vars(task)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ([[1, 2]], ValueError, r"inputs: expected shape \(N, 3\), got \(1, 2\)"),
        ([1, 2, 3], ValueError, r"inputs: expected shape \(N, 3\), got \(3,\)"),
        ([[1, 2, 3], [1, 10, 2]], ValueError, r"from -9 to 9, got 10 \(row 1, column 1\)"),
        ([[1, 2, 2**16]], ValueError, r"from -9 to 9, got 65536 \(row 0, column 2\)"),
        ([[1.0, 2, 3]], TypeError, "inputs: expected integers, got float64"),
        ([[True, False, True]], TypeError, "inputs: expected integers, got bool"),
    ],
)
def test_bad_inputs_are_refused(inputs, error, message):
    with pytest.raises(error, match=message):
        make_task("square", length=3).compute(inputs)


def test_the_core_refuses_what_would_read_outside_its_tables():
    task = core.Task("square", 3, {})
    with pytest.raises(ValueError, match=r"inputs of square \(row 1, column 0\) must be in \[-9, 9\], got 10"):
        task.compute(np.array([[1, 2, 3], [10, 0, 0]], dtype=np.int16), 1)
    for inputs in (np.zeros((2, 2), dtype=np.int16), np.zeros(3, dtype=np.int16)):
        with pytest.raises(ValueError, match=r"inputs of square must have shape \(rows, 3\)"):
            task.compute(inputs, 1)
        with pytest.raises(ValueError, match=r"inputs of square must have shape \(rows, 3\)"):
            task.generate_unseen(1, 0, 0, [inputs], 1)


def test_every_name_makes_a_task_with_its_recurrence():
    for name in task_names():
        task = make_task(name, length=8)
        assert task.name == name
        assert "\n" not in task.recurrence
        assert eval(repr(task)).parameters == task.parameters
