"""What `test_world` runs in each of two processes, and alone; what a process tells goes into a file."""

import os
import pickle
import sys

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

import pyorder
from pyorder.data.tokens import Tokens
from pyorder.dependencies.explorer import Explorer
from pyorder.errors import InputError
from pyorder.execution import RandomStream
from pyorder.models.learner import AnyOrderLearner, CustomLearner
from pyorder.profiling.scoring import score
from pyorder.world import World

SPLITS = pyorder.make_task("square", length=5).splits(train=400, validation=23, test=31, seed=0)
TINY = pyorder.PRESETS["nano"].but(width=32, feed_forward=64, steps=12, batch_size=13, precision="float32")
ORDERS = [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 1, 4, 3]]


class Odd(nn.Module):
    """Is not drawn from the seed, keeps statistics of its batches, and leaves a weight out in most of them."""

    def __init__(self, vocabulary_size, input_length, target_length):
        super().__init__()
        generator = torch.Generator().manual_seed(int.from_bytes(os.urandom(4), "little"))
        self.table = nn.Parameter(torch.randn(vocabulary_size, 8, generator=generator))
        self.rare = nn.Parameter(torch.zeros(()))
        self.never = nn.Parameter(torch.ones(()))
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, vocabulary_size)

    def forward(self, inputs, emitted, order=None):
        seen = nn.functional.pad(emitted, (1, 0))[:, :-1]
        hidden = self.norm(self.table[seen].mT).mT if self.training else self.table[seen]
        if bool((inputs[:, 0] == 0).any()):
            hidden = hidden + self.rare
        return self.head(hidden)


def everything(world):
    """Profiles, a final training and evidence, of batches and rows that no number of processes divides."""
    call = {"model": TINY, "device": world, "seed": 3}
    ranked = {"validation": SPLITS.validation, **call}
    profile = pyorder.profile(SPLITS.train, ORDERS, seeds=2, row_loss=True, **ranked)
    weighted = pyorder.profile(SPLITS.train, ORDERS, step_weights=(1, 0, 0, 2, 1), **ranked)
    fitted = pyorder.fit(SPLITS.train, ORDERS[2], test=SPLITS.test, validate_every=5, **ranked)
    explorer = Explorer(
        Tokens.of(SPLITS.train, "train", world.device),
        learner=AnyOrderLearner(TINY.architecture),
        recipe=TINY.recipe,
        evidence_rows=40,
        seed=1,
        world=world,
    )
    rng = np.random.default_rng(0)
    explorer.train(np.array([rng.permutation(5) for _ in range(12 * 13)]))
    return {
        "profile": fields(profile, "loss", "step_loss", "training_loss", "row_loss", "ranking"),
        "weighted": fields(weighted, "loss"),
        "fit": fields(fitted, "loss_curve", "row_losses", "step_accuracy", "validation_curve"),
        "weights": {name: value.numpy() for name, value in fitted.model.state_dict().items()},
        "explorer": {
            "losses": explorer.antithetic(40).losses,
            "few": explorer.training_losses(np.array(ORDERS[:1]))[0],
        },
    }


def fields(result, *names):
    return {name: getattr(result, name) for name in names}


def answers(world):
    """What a world says, and how it refuses."""
    rank = world.rank

    def fail():
        raise InputError(f"disk: full on {rank}")

    def fail_in_the_last():
        with world.together():
            if rank == 1:
                raise InputError("memory: none is free")

    mine = world.share(1)
    return {
        "share": world.share(5),
        "sum": world.sum(torch.tensor([1.0 + rank])).tolist(),
        "gather": world.gather(torch.arange(10.0).view(5, 2)[world.share(5)], 5).tolist(),
        "none": world.gather(torch.ones(mine.stop - mine.start, 2), 1).tolist(),
        "agreed": world.agreed(lambda: ("clock of", rank)),
        "writes": world.writes,
        "only": world.only_first("out"),
        "disk": refusal(lambda: world.agreed(fail)),
        "memory": refusal(fail_in_the_last),
        "same": refusal(lambda: world.check_same({"seed": rank})),
        "batch": refusal(lambda: world.check_batch(1)),
    }


def refusal(work):
    try:
        work()
    except Exception as error:
        return type(error).__name__, str(error)


def drawn(world):
    with world.branch(RandomStream(5, world.device)).lent():
        return torch.rand(3).tolist()


def weights(world, model):
    fitted = pyorder.fit(
        SPLITS.train, ORDERS[0], test=SPLITS.test, model=model, steps=9, batch_size=13, device=world, seed=0
    )
    return {name: value.numpy() for name, value in fitted.model.state_dict().items()}


def alone(seed):
    call = {"validation": SPLITS.validation, "model": TINY, "device": "cpu", "seed": seed}
    return pyorder.profile(SPLITS.train, ORDERS, **call).loss


def rows_seen(world):
    """How many rows this process learns from in nine steps of 13, and how many of 23 it scores in three orders."""
    seen = {True: 0, False: 0}

    class Counting(Odd):
        def forward(self, inputs, emitted, order=None):
            seen[self.training] += len(emitted)
            return super().forward(inputs, emitted, order)

    weights(world, Counting)
    learned = seen[True]
    tokens = Tokens.of(SPLITS.validation, "validation", world.device)
    learner = CustomLearner(Counting)
    module = learner.build(tokens.shape).eval()
    before = seen[False]
    score(learner, module, tokens, np.array(ORDERS), torch.float32, world=world)
    return learned, seen[False] - before


def run(folder):
    early = refusal(lambda: World.joined("cpu"))
    dist.init_process_group("gloo")
    world = World.joined("cpu")
    told = everything(world) | {"early": early, "answers": answers(world)}
    told["branch"] = [drawn(world), drawn(world)]
    told["odd"], told["dropout"] = weights(world, Odd), weights(world, TINY.but(dropout=0.3))
    told["rows seen"] = rows_seen(world)
    told["alone"] = alone(world.rank)
    told["still there"] = dist.is_initialized() and dist.get_world_size() == 2
    with open(f"{folder}/{world.rank}", "wb") as file:
        pickle.dump(told, file)
    dist.destroy_process_group()


if __name__ == "__main__":
    run(sys.argv[1])
