"""Multiplication: factors of any widths, in Python's integers, and how its rows are distributed."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from pyorder.data.tasks import make_task


def numbers(digits, base):
    """The number that a row of digits is, the most significant first."""
    return [sum(digit * base**place for place, digit in enumerate(reversed(row))) for row in digits.tolist()]


def width(number, base):
    """How many digits a number is written with."""
    return next(count for count in itertools.count(1) if number < base**count)


@pytest.mark.parametrize("rows", ["uniform", "by_length", "sparse"])
@pytest.mark.parametrize(
    ("factors", "base"), [((9, 1), 10), ((1, 9), 10), ((7, 2), 10), ((5, 5), 4), ((1, 1), 2), ((30, 11), 32767)]
)
def test_products_are_pythons(factors, base, rows):
    length = sum(factors)
    task = make_task("prod", length=length, factors=factors, base=base, rows=rows)
    data = task.generate(300, seed=3)
    assert data.inputs.shape == data.targets.shape == (300, length)
    a, b = numbers(data.inputs[:, : factors[0]], base), numbers(data.inputs[:, factors[0] :], base)
    products = [[p * q // base**place % base for place in range(length)] for p, q in zip(a, b, strict=True)]
    assert data.targets.tolist() == products
    assert task.space_size == base**length


def test_longer_targets_end_in_zeros_and_the_usual_factors_are_halves():
    plain, told = make_task("prod", length=9), make_task("prod", 9, factors="4x4", rows="uniform", base=10)
    assert plain.parameters == told.parameters == {"base": 10, "factors": "4x4", "rows": "uniform"}
    assert np.array_equal(plain.generate(50, seed=1).targets, told.generate(50, seed=1).targets)
    assert not make_task("prod", length=9, factors=(2, 3)).generate(50, seed=1).targets[:, 5:].any()


def test_a_task_is_made_again_from_its_words():
    task = make_task("prod", length=10, factors=(9, 1), rows="sparse")
    assert eval(repr(task)).parameters == task.parameters
    told = json.loads(task.generate(1, seed=0).metadata["parameters"])
    assert make_task("prod", 10, **told).parameters == told


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize("rows", ["by_length", "sparse"])
def test_rows_depend_on_their_number_only(rows, threads):
    task = make_task("prod", length=10, factors=(7, 3), rows=rows)
    whole = task.generate(3000, seed=4, stream=2, threads=1)
    assert np.array_equal(task.generate(3000, seed=4, stream=2, threads=threads).inputs, whole.inputs)
    assert np.array_equal(task.generate(777, seed=4, stream=2, threads=threads).targets, whole.targets[:777])


def expected_shares(factors, base, rows):
    """The probability of every input, counted out."""
    shares = Counter()
    everything = list(itertools.product(*(range(base**room) for room in factors)))
    for a, b in everything:
        if rows == "by_length":
            alike = [sum(width(other, base) == width(n, base) for other in range(base**room))
                     for n, room in ((a, factors[0]), (b, factors[1]))]  # fmt: skip
            shares[a, b] = 1 / factors[0] / factors[1] / alike[0] / alike[1]
        else:
            share = 0.45 if rows == "sparse" else 0
            shares[a, b] = (1 - share) / len(everything)
            if b in {digit * base**place for digit in range(1, base) for place in range(factors[1])}:
                shares[a, b] += share / base ** factors[0] / factors[1] / (base - 1)
    return shares


@pytest.mark.parametrize("rows", ["uniform", "by_length", "sparse"])
@pytest.mark.parametrize(("factors", "base"), [((2, 2), 3), ((3, 1), 3), ((1, 2), 5), ((4, 4), 2)])
def test_inputs_are_distributed_as_told(factors, base, rows):
    count = 100_000
    task = make_task("prod", length=sum(factors), factors=factors, base=base, rows=rows)
    inputs = task.generate(count, seed=8).inputs
    drawn = Counter(
        zip(numbers(inputs[:, : factors[0]], base), numbers(inputs[:, factors[0] :], base), strict=True)
    )
    expected = expected_shares(factors, base, rows)
    assert sum(expected.values()) == pytest.approx(1)
    assert set(drawn) <= {pair for pair, share in expected.items() if share > 0}
    pairs = [pair for pair, share in expected.items() if share > 0]
    found = [drawn[pair] for pair in pairs]
    assert 0.001 < stats.chisquare(found, [count * expected[pair] for pair in pairs]).pvalue < 0.999


@pytest.mark.parametrize("rows", ["by_length", "sparse"])
def test_splits_share_no_input(rows):
    splits = make_task("prod", length=5, factors=(3, 2), base=4, rows=rows).splits(500, 100, 100, seed=3)
    train, validation, test = ({tuple(row) for row in part.inputs.tolist()} for part in splits)
    assert len(validation) == len(test) == 100
    assert len(train | validation | test) == len(train) + 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factors": "5 x 5"}, "^factors of prod must be two numbers of digits like 5x3, got '5 x 5'"),
        ({"factors": (5, 5, 1)}, "^factors of prod must be two numbers of digits like 5x3, got '5x5x1'"),
        ({"factors": "x5"}, "^factors of prod must be two numbers"),
        ({"factors": "5x"}, "^factors of prod must be two numbers"),
        ({"factors": "99999999999999999999x1"}, "^factors of prod must be two numbers"),
        ({"factors": "0x5"}, r"^factors of prod must be in \[1, 32767\], got 0"),
        ({"factors": (0, 5)}, "^factors: expected an integer from 1 to 32767, got 0"),
        ({"factors": 5}, "^factors of prod must be text, got 5"),
        ({"factors": (6, 5)}, "^length of prod must be at least 11, the digits of both factors, got 10"),
        ({"rows": "even"}, "^rows of prod must be uniform, by_length or sparse, got 'even'"),
        ({"base": "ten"}, "^base of prod must be an integer, got 'ten'"),
        ({"digits": 5}, "^unknown parameter 'digits': prod takes base, factors, rows"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_task("prod", length=10, **arguments)
