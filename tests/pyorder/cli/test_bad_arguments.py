"""Numbers beyond reason and words that are none: refused at once, before any work, in one line that names them."""

from importlib import import_module

import pytest

from pyorder.cli import main
from pyorder.runs.claim import claim

SQUARE = ["square", "--length", "4", "--train-rows", "600", "--validation-rows", "40", "--test-rows", "60"]
TRAIN = ["train", *SQUARE, "--model", "nano", "--out", "run"]
DISCOVER = ["discover", *SQUARE, "--out", "run"]
PROFILE = ["profile", *SQUARE[:-2], "--out", "run"]
HUGE = 10**12
BEYOND = 10**30


def option(strategy, *pairs):
    return ["--strategy", strategy, *[word for pair in pairs for word in ("--option", pair)]]


CASES = [
    # what is asked for, and what the line has to say
    ([*TRAIN, "--order", f"0,1,2,{BEYOND}"], "--order: '0,1,2,1000"),
    ([*TRAIN, "--order", "0,1,2," + "9" * 5000], "--order: "),
    ([*TRAIN, "--order", "0,1,2,\uff13"], "--order: '0,1,2,\uff13' is none of"),
    ([*TRAIN, "--order", "0_0,1,2,3"], "--order: '0_0,1,2,3' is none of"),
    ([*TRAIN, "--order", "0,1,2,0x3"], "--order: "),
    ([*TRAIN, "--order", "0,1,2,3.0"], "--order: "),
    ([*TRAIN, "--order", "-1,0,1,2"], "--order: not a permutation of 0..3"),
    ([*TRAIN, "--order", "1,2,3,4"], "--order: not a permutation of 0..3"),
    ([*TRAIN, "--order", f"0,1,2,{2**63}"], "--order: "),
    ([*TRAIN, "--order", ""], "--order: '' is none of"),
    ([*TRAIN, "--order", "Forward"], "--order: 'Forward' is none of"),
    ([*TRAIN, "--order", "@"], "--order: '.' is no run folder"),
    ([*TRAIN, "--order", "@a\0b"], "--order: "),
    ([*TRAIN, "--order", "forward", "--steps", HUGE], "steps: 1,000,000,000,000 losses do not fit"),
    ([*TRAIN, "--order", "forward", "--steps", BEYOND], "steps: about 10^30 losses do not fit"),
    ([*TRAIN, "--order", "forward", "--steps", "1e3"], "'--steps'"),
    ([*TRAIN, "--order", "forward", "--batch-size", HUGE], "batch_size: "),
    ([*TRAIN, "--order", "forward", "--batch-size", 10**7], "batch_size: 10000000 given, the training data has "),
    ([*TRAIN, "--order", "forward", "--batch-size", 0], "'--batch-size'"),
    ([*TRAIN, "--order", "forward", "--learning-rate", 0], "learning_rate: "),
    ([*TRAIN, "--order", "forward", "--learning-rate", "inf"], "learning_rate: "),
    ([*TRAIN, "--order", "forward", "--learning-rate", "-1"], "learning_rate: "),
    ([*TRAIN, "--order", "forward", "--learning-rate", "fast"], "'--learning-rate'"),
    ([*TRAIN, "--order", "forward", "--seed", 2**64], "seed: expected an integer from 0 to"),
    ([*TRAIN, "--order", "forward", "--seed", "0x1"], "'--seed'"),
    ([*TRAIN, "--order", "forward", "--device", "cuda:99"], "device: 'cuda:99'"),
    ([*TRAIN, "--order", "forward", "--device", "meta"], "device: 'meta'"),
    ([*TRAIN, "--order", "forward", "--device", ""], "device: ''"),
    ([*TRAIN, "--order", "forward", "--model", "os:system"], "system()"),
    ([*TRAIN, "--order", "forward", "--model", ":"], "--model: cannot import"),
    ([*TRAIN, "--order", "forward", "--model", ""], "model: ''"),
    ([*TRAIN, "--order", "forward", "--step-weights", "1,1,1"], "step_weights: 3 given"),
    ([*TRAIN, "--order", "forward", "--step-weights", "1,1,1,nan"], "step_weights: "),
    ([*TRAIN, "--order", "forward", "--step-weights", "0,0,0,0"], "step_weights: "),
    ([*TRAIN, "--order", "forward", "--step-weights", "1,1,1,-1"], "step_weights: "),
    ([*TRAIN, "--order", "forward", "--step-weights", "1,1,1,\uff11"], "--step-weights: "),
    ([*TRAIN, "--order", "forward", "--step-weights", "1_0,1,1,1"], "--step-weights: "),
    ([*TRAIN, "--order", "forward", "--step-weights", "-1=1"], "--step-weights: '-1' is no step"),
    ([*TRAIN, "--order", "forward", "--step-weights", "4=1"], "--step-weights: '4' is no step"),
    ([*TRAIN, "--order", "forward", "--step-weights", "0=1,0=2"], "--step-weights: '0' is no step that is left"),
    ([*TRAIN, "--order", "forward", "--step-weights", "sum=1"], "--step-weights: "),
    ([*TRAIN, "--order", "forward", "--step-weights", "0=1=2"], "--step-weights: "),
    ([*TRAIN, "--order", "forward", "--inputs", "a"], "--inputs: goes with --data FILE"),
    ([*DISCOVER, "--seeds", HUGE], "seeds: expected an integer from 1 to"),
    ([*DISCOVER, "--steps", HUGE], "steps: "),
    ([*DISCOVER, "--fit-steps", HUGE], "steps: "),
    ([*DISCOVER, "--batch-size", 10**7], "batch_size: "),
    ([*DISCOVER, "--budget-seconds", "nan"], "budget: seconds"),
    ([*DISCOVER, "--budget-seconds", "0"], "budget: seconds"),
    ([*DISCOVER, "--budget-steps", "0"], "'--budget-steps'"),
    ([*DISCOVER, "--budget-rows", "-5"], "'--budget-rows'"),
    ([*DISCOVER, *option("precedence", f"samples={HUGE}")], "samples: expected an integer of at most 10,000,000"),
    ([*DISCOVER, *option("precedence", f"samples={BEYOND}")], "samples: "),
    ([*DISCOVER, *option("precedence", "samples=1e12")], "samples: expected an integer"),
    ([*DISCOVER, *option("precedence", "samples=1_0")], "samples: expected an integer, got '1_0'"),
    ([*DISCOVER, *option("precedence", "samples=\uff11\uff10")], "samples: expected an integer"),
    ([*DISCOVER, *option("precedence", "samples=0")], "samples: expected an integer of at least 1"),
    ([*DISCOVER, *option("precedence", f"rounds={HUGE}")], "rounds: "),
    ([*DISCOVER, *option("precedence", f"candidates={HUGE}")], "candidates: "),
    ([*DISCOVER, *option("precedence", "error_rate=0.0")], "error_rate: expected a number between 0 and 1"),
    ([*DISCOVER, *option("precedence", "error_rate=1.0")], "error_rate: "),
    ([*DISCOVER, *option("precedence", "error_rate=nan")], "error_rate: "),
    ([*DISCOVER, *option("precedence", "error_rate=true")], "error_rate: "),
    ([*DISCOVER, *option("random", f"candidates={HUGE}")], "candidates: "),
    ([*DISCOVER, *option("random", "candidates=none")], "candidates: expected an integer"),
    ([*DISCOVER, *option("random", "candidates=3", "candidates=4")], "--option: candidates is given twice"),
    ([*DISCOVER, *option("greedy", f"completions={HUGE}")], "completions: "),
    ([*DISCOVER, *option("evolutionary", f"generations={HUGE}")], "generations: "),
    ([*DISCOVER, *option("annealing", f"rounds={HUGE}")], "rounds: "),
    ([*DISCOVER, *option("annealing", "hot=-1")], "hot: "),
    ([*DISCOVER, *option("hierarchical", f"limit={HUGE}")], "limit: "),
    ([*DISCOVER, *option("random", "=3")], "--option: '=3' is not KEY=VALUE"),
    ([*DISCOVER, "--first", "9"], "--first: "),
    ([*DISCOVER, "--first", "\uff10"], "--first: "),
    ([*DISCOVER, "--first", ""], "--first: expected names or numbers of steps"),
    ([*DISCOVER, "--before", "0"], "--before: expected STEP:STEP"),
    ([*DISCOVER, "--before", "0:1", "--before", "1:0"], "constraints: no order has 0 before 1 before 0"),
    ([*DISCOVER, "--tier", "x:0"], "--tier: expected NUMBER:STEP"),
    ([*DISCOVER, "--first", "[" * 100_000], "--first: JSON that is nested too deep"),
    ([*DISCOVER, "--constraints", ""], "--constraints: "),
    ([*DISCOVER, "--constraints", "a\0b"], "--constraints: "),
    ([*PROFILE, "--random", HUGE], "--random: "),
    ([*PROFILE, "--random", "-1"], "'--random'"),
    ([*PROFILE, "--random", "3", "--seeds", HUGE], "seeds: "),
    ([*PROFILE, "--random", "3", "--seed", 2**64 - 1, "--seeds", 2], f"integer from 0 to {2**64 - 2}"),
    ([*PROFILE, "--random", "3", "--top", "0"], "'--top'"),
    (["discover", "square", "--length", HUGE], "length: expected an integer from 2 to"),
    (["discover", "square", "--length", "\uff14x"], "'--length'"),
    (["discover", "index", "--length", 5, "--parameter", "d=1_0"], "d of index must be an integer, got '1_0'"),
    (["discover", "index", "--length", 5, "--parameter", f"d={HUGE}"], "d: "),
    (["discover", "square", "--length", 9, "--train-rows", HUGE], "train: "),
    (["discover", "square", "--length", 4, "--train-rows", "-1"], "'--train-rows'"),
    (["discover", "", "--length", 4], "''"),
    (["discover", "sq\x1b[2Juare", "--length", 4], "sq\\x1b[2Juare"),
    (["discover", "--data", "a\0.npz"], "embedded null"),
    (["discover", "--data", ""], "--data: "),
    (["discover", "--data", "x" * 300 + ".npz"], "--data: "),
    (["discover", *SQUARE, "--out", "x" * 300], "--out: cannot write to"),
    (["discover", *SQUARE, "--out", "/dev/full"], "--out: cannot write to '/dev/full'"),
    (["generate", "square", "--length", 4, "--rows", HUGE, "--out", "x.safetensors"], "rows"),
    (["generate", "square", "--length", 4, "--rows", 3, "--out", ".safetensors"], "--out: "),
    (["reproduce", "table9"], "study: 'table9' is none of"),
    (["reproduce", "table2", "--scale", "planet"], "scale: 'planet' is none of"),
    (["reproduce", "table2", "--only", "psychic=1"], "only: table2 has no 'psychic'"),
    (["reproduce", "table2", "--jobs", "0"], "'--jobs'"),
    (["reproduce", "table2", "--out", "/dev/null/x"], "out: cannot write to"),
    (["report", ""], "RUN_DIR: '.' is no run folder"),
    (["report", "a\0b"], "embedded null"),
    (["report"], "run_dir"),
]  # fmt: skip


def test_every_case_is_another():
    assert len({tuple(map(str, words)) for words, _ in CASES}) == len(CASES)


@pytest.mark.parametrize(("words", "message"), CASES, ids=range(len(CASES)))
def test_bad_arguments_are_refused_at_once(refused, words, message):
    assert message in refused(*words)


def test_small_error_rates_are_taken(run):
    for rate in ("1e-16", "1e-300"):
        words = [*option("precedence", f"error_rate={rate}", "rounds=1"), "--steps", 2, "--no-fit"]
        code, out, err = run("discover", *SQUARE, *words)
        assert code == 0, err
        assert "order" in out


def test_an_interrupt_of_typer_is_told_from_a_file_that_ends_early(run, monkeypatch):
    def ends(*arguments, **options):
        raise EOFError("No data left in file")

    monkeypatch.setattr("pyorder.search.discover_shuffled", ends)
    assert run("discover", *SQUARE, "--no-fit")[0] == 1


@pytest.mark.parametrize("kind", [ValueError, TypeError, OverflowError])
def test_what_fails_once_work_has_begun_is_no_bad_input(run, monkeypatch, kind):
    def fails(*arguments, **options):
        raise kind("operands could not be broadcast")

    with monkeypatch.context() as patch:
        patch.setattr(import_module("pyorder.training.fit"), "row_losses", fails)
        code, _, err = run("train", *SQUARE, "--order", "forward", "--model", "nano", "--steps", 2)
    assert code == 1
    assert err.endswith(f"pyorder: error: {kind.__name__}: operands could not be broadcast\n")
    monkeypatch.setattr("pyorder.training.fit", fails)  # and before that, it is
    assert run("train", *SQUARE, "--order", "forward", "--model", "nano", "--steps", 2)[0] == 2


def test_a_profile_has_its_folder_to_itself(run):
    words = ["profile", *SQUARE[:-2], "--random", 3, "--steps", 2, "--out", "run"]
    with claim("run", lambda: {"kind": "profile"}) as claimed:
        claimed.journal.save_state("held", {})
        code, _, err = run(*words)
        assert code == 2
        assert "is at work in 'run'" in err
    code, _, err = run(*words)
    assert code == 2
    assert "was asked for with another" in err


def test_a_profile_that_has_ended_is_told_again_and_another_refused(run, told, tmp_path):
    words = ["profile", *SQUARE[:-2], "--random", 3, "--steps", 2, "--out", "run"]
    first = told(*words)
    files = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert told(*words) == first
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == files | {
        tmp_path / "run" / ".lock": b""
    }
    assert main(["profile", *map(str, words[1:]), "--seed", "1"]) == 2


def test_a_folder_with_something_else_in_it_is_refused(refused, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "note").write_text("mine")
    assert "--out: 'taken' is not empty" in refused("discover", *SQUARE, "--out", "taken")
