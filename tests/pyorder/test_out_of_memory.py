"""A GPU without room: evaluation goes on with fewer rows at once, and finds the same."""

import numpy as np
import pytest
import torch

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.execution import in_parts
from pyorder.models.decoder import Decoder
from pyorder.profiling.scoring import score
from pyorder.training.generation import generate, look, row_losses

CPU = torch.device("cpu")


class Room:
    """As much as so many rows take; ``asked`` are the rows that were tried."""

    def __init__(self, rows):
        self.rows, self.asked = rows, []

    def take(self, rows):
        self.asked.append(rows)
        if rows > self.rows:
            raise torch.cuda.OutOfMemoryError(f"no room for {rows}")


def test_parts_are_halved_until_there_is_room_and_every_row_is_done_once():
    room, done = Room(3), []

    def work(part):
        room.take(part.stop - part.start)
        done.extend(range(part.start, part.stop))

    in_parts(20, positions=1, at_once=10, work=work)
    assert done == list(range(20))
    assert room.asked == [10, 5, 3, 3, 3, 1, 3, 3, 3, 1]


def test_one_row_that_is_too_much_is_an_error():
    with pytest.raises(torch.cuda.OutOfMemoryError):
        in_parts(4, 1, 4, lambda part: Room(0).take(part.stop - part.start))


@pytest.fixture(scope="module", params=[False, True], ids=["built in", "a caller's own"])
def trained(request):
    splits = pyorder.make_task("square", length=4).splits(train=200, validation=50, test=50, seed=0)
    preset = pyorder.PRESETS["nano"]
    model = (lambda *shape: preset(*shape)) if request.param else preset
    fitted = pyorder.fit(splits.train, range(4), test=splits.test, steps=3, model=model)
    return fitted, Tokens.of(splits.test, "test", CPU, (splits.train.vocabulary, splits.train.schema))


def test_what_is_evaluated_is_the_same(trained, monkeypatch):
    fitted, tokens = trained
    learner, module, order = fitted.learner, fitted.model, np.array([2, 0, 1, 3])
    orders = np.array([[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 3, 2]])

    def everything():
        shares = []
        scores = score(learner, module, tokens, orders, torch.float32, shares.append)
        assert shares[-1] == 1
        assert shares == sorted(shares)
        return (
            *map(torch.from_numpy, scores),
            generate(learner, module, tokens, order, torch.float32),
            row_losses(learner, module, tokens, order, torch.float32),
            torch.tensor(look(learner, module, tokens, order, torch.float32)),
        )

    whole, room, read = everything(), Room(7), Decoder.read

    def crowded(self, inputs):
        memory = read(self, inputs)
        room.take(len(inputs))
        return memory

    monkeypatch.setattr(Decoder, "read", crowded)
    for one, other in zip(whole, everything(), strict=True):
        torch.testing.assert_close(one, other)
    assert max(room.asked) > 7
