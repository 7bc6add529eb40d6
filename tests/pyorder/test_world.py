"""What several processes do together is what one does, and what one of them decides holds for all."""

import pickle
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pyorder import world as world_module
from pyorder.errors import ProcessLostError
from pyorder.execution import RandomStream
from pyorder.world import World

SECONDS = 120  # that any of these programs may take
CPU = torch.device("cpu")

PROGRAM = Path(__file__).with_name("world_program.py")


def torchrun(*words, **options):
    """Run a program in two processes."""
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--max-restarts=0", *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=SECONDS, check=False, **options)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    ran = torchrun(str(PROGRAM), str(folder), cwd=folder)
    assert ran.returncode == 0, ran.stderr
    return [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(2)]


@pytest.fixture(scope="module")
def one():
    program = runpy.run_path(str(PROGRAM))
    return program["everything"](World.of("cpu")) | {"alone": program["alone"](0)}


def equal(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("part", ["profile", "weighted", "fit", "weights", "explorer"])
def test_two_processes_do_what_one_does(both, one, part):
    """Batches of 13 rows, 23 rows to rank on, and a single one: shares are unlike, and one of them is empty."""
    for name, value in one[part].items():
        np.testing.assert_allclose(both[0][part][name], value, rtol=2e-5, atol=2e-6, err_msg=name)


def test_all_processes_have_the_same_result_in_every_bit(both):
    for part in ("profile", "weighted", "fit", "weights", "explorer", "odd", "dropout"):
        assert equal(both[0][part], both[1][part]), part


def test_every_process_works_on_its_share_of_the_rows_alone(both):
    """Six or seven of 13 in each of nine steps; 11 or 12 of 23 in three orders."""
    assert [told["rows seen"] for told in both] == [(9 * 6, 3 * 11), (9 * 7, 3 * 12)]


def test_a_weight_that_no_process_used_stays_as_it_was(both):
    """One that was used in the share of a single process has learned in all."""
    assert both[0]["odd"]["never"] == 1
    assert both[0]["odd"]["rare"] != 0


def test_answers(both):
    first, other = (told["answers"] for told in both)
    assert (first["share"], other["share"]) == (slice(0, 2), slice(2, 5))
    assert (first["writes"], other["writes"], first["only"], other["only"]) == (True, False, "out", None)
    for told in (first, other):
        assert told["sum"] == [3.0]
        assert told["gather"] == np.arange(10.0).reshape(5, 2).tolist()
        assert told["none"] == [[1.0, 1.0]]
        assert told["agreed"] == ("clock of", 0)
        assert told["disk"] == ("InputError", "disk: full on 0")
        assert told["memory"] == ("InputError", "memory: none is free")
        assert told["same"] == ("InputError", "seed: process 1 of 2 was given 1 and not 0, as the first was")
        assert told["batch"] == ("InputError", "batch_size: 1 rows a step cannot be shared by 2 processes")


def test_rows_of_different_processes_get_random_numbers_of_their_own(both):
    (first, again), (other, _) = (told["branch"] for told in both)
    assert first == again
    assert first != other


def test_a_group_of_the_callers_is_used_when_asked_for_and_left_alone(both, one):
    assert both[0]["early"][1].startswith("world: torch.distributed has no process group")
    assert all(told["still there"] for told in both)
    np.testing.assert_array_equal(both[0]["alone"], one["alone"])
    assert not np.array_equal(both[0]["alone"], both[1]["alone"])  # other seeds, of runs that are each one's own


def test_a_world_of_one_is_the_plain_call(one):
    world, stream, ones = World.of("cpu"), RandomStream(0, CPU), torch.ones(3)
    assert (world.size, world.share(7), world.writes) == (1, slice(0, 7), True)
    assert world.branch(stream) is stream
    assert world.sum(ones) is ones
    assert world.gather(ones, 3) is ones
    assert World.of(world) is world
    assert world.agreed(lambda: 4) == 4
    with pytest.raises(KeyError), world.together():
        raise KeyError


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("count", [0, 1, 6, 13])
def test_shares_are_all_rows_once_and_alike(size, count):
    shares = [World(CPU, rank, size).share(count) for rank in range(size)]
    assert np.concatenate([np.arange(count)[share] for share in shares]).tolist() == list(range(count))
    lengths = [share.stop - share.start for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_without_torchrun_a_command_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with World.launched("cpu") as world:
        assert world.size == 1
    assert not torch.distributed.is_initialized()


GONE = """
import pathlib, sys, pyorder
data = pyorder.make_task("relu", length=3).generate(40, seed=0)
with pyorder.World.launched("cpu") as world:
    pyorder.profile(data, [[2, 1, 0]], validation=data, model="nano", steps=2, device=world)
names = [(task / "comm").read_text() for task in pathlib.Path("/proc/self/task").iterdir()]
sys.exit("threads are left" if any("gloo" in name for name in names) else 0)
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads where Linux lists them")
def test_no_thread_of_a_group_is_left_after_training(tmp_path):
    """One that is left aborts its process now and then, while the interpreter ends."""
    program = tmp_path / "gone.py"
    program.write_text(GONE)
    ran = torchrun(str(program), cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("device", "found", "number", "each", "wanted"),
    [
        ("auto", 0, 3, 4, "cpu"),
        ("cpu", 4, 3, 4, "cpu"),
        ("auto", 4, 3, 4, "cuda:3"),
        ("cuda", 4, 0, 4, "cuda:0"),
        ("cuda:2", 4, 0, 1, "cuda:2"),
        ("auto", 2, 2, 3, "device: process 3 of this machine has no GPU, there are 2"),
        ("cuda", 0, 0, 2, "device: process 1 of this machine has no GPU, there are 0"),
        ("cuda:1", 4, 0, 2, "device: 'cuda:1' is one GPU, and every process needs its own"),
        ("cuda:7", 4, 0, 1, "device: 'cuda:7' was asked for, this machine has 4 GPUs"),
        ("tpu", 4, 0, 2, "device: 'tpu' is none of"),
    ],
)
def test_every_process_has_a_device_of_its_own(monkeypatch, device, found, number, each, wanted):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: found > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: found)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(each))
    if wanted.startswith("device"):
        with pytest.raises(ValueError, match=f"^{wanted}"):
            world_module._device_of(number, device)
    else:
        assert world_module._device_of(number, device) == torch.device(wanted)


def test_the_end_of_another_process_is_told_as_such(monkeypatch):
    def gone(*_, **__):
        raise RuntimeError("[pair.cc:547] Connection closed by peer\nand a stack")

    monkeypatch.setattr(torch.distributed, "all_reduce", gone)
    with pytest.raises(ProcessLostError, match="closed by peer$"):
        World(CPU, 0, 2).sum(torch.ones(2))


def test_examples(doctests):
    doctests(world_module)
