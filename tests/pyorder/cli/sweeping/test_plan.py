"""The file of a sweep: what its product is, and what is refused in one line with nothing written."""

import pytest

from pyorder.cli.sweeping import plan
from pyorder.cli.sweeping.plan import read_cells


def test_docstring_examples(doctests):
    doctests(plan)


def test_the_cells_are_the_product_of_all_that_is_listed(tmp_path):
    (tmp_path / "sweep.toml").write_text(
        """
        tasks = ["square", {name = "index", d = 4}]
        lengths = [9, 13]
        strategies = ["precedence", {name = "random", candidates = 6, pool = 3}]
        seeds = [0, 1, 2]
        [options]
        train-rows = 500
        fit = false
        steps = [5, 6]
        first = [["0", "1"], "2"]
        """
    )
    cells = read_cells(tmp_path / "sweep.toml")
    assert len(cells) == 2 * 2 * 2 * 3 * 2 * 2 == len({cell.name for cell in cells})
    assert [cell.seed for cell in cells[:4]] == [0, 1, 2, 0]
    last = cells[-1]
    assert (last.task, last.length, last.strategy, last.seed) == ("index", 13, "random", 2)
    words = {"parameter": ["d=4"], "option": ["candidates=6", "pool=3"]}
    assert last.options == words | {"train-rows": 500, "fit": False, "steps": 6, "first": "2"}
    assert cells[0].options["first"] == ["0", "1"]
    assert "option" not in cells[0].options


TASK = 'tasks = ["square"]\nlengths = [4]\n'
REFUSED = [
    ("", "tasks or data: one of the two is needed"),
    (TASK + 'data = ["a.csv"]', "tasks or data: one of the two is needed"),
    ('tasks = ["square"]', "lengths: goes with tasks"),
    ('data = ["a.csv"]\nlengths = [3]', "lengths: goes with tasks"),
    (TASK + "seed = [3]", "there is no 'seed', only tasks, data, lengths"),
    (TASK + "seeds = []", "seeds: a list of at least one is needed, got []"),
    (TASK + "seeds = 3", "seeds: a list of at least one is needed, got 3"),
    (TASK + "seeds = [0.5]", "seed: expected an integer, got 0.5"),
    (TASK + "seeds = [1, 0, 1]", "cells: number 2 is the same as number 0"),
    ("tasks = [3]\nlengths = [4]", "tasks: a name is needed, got 3"),
    ("tasks = [{d = 4}]\nlengths = [4]", "tasks: a name is needed, got {'d': 4}"),
    (
        'tasks = [{name = "index", d = [4]}]\nlengths = [4]',
        "tasks: d: a word, a number or a truth value is needed",
    ),
    ('tasks = ["squares"]\nlengths = [4]', "cells: number 0: unknown task 'squares'"),
    (TASK + "strategies = [{candidates = 4}]", "strategies: a name is needed"),
    (TASK + 'strategies = [{name = "random", depth = 4}]', "options: random has no 'depth'"),
    (TASK + "options = 3", "options: a table is needed, got 3"),
    (TASK + "[options]\nsteps = []", "options: steps: a list of at least one is needed, got []"),
    (TASK + "[options]\nsteps = [[]]", "options: steps: a word, a number or a truth value is needed, got []"),
    (TASK + "[options]\nsteps = {a = 3}", "options: steps: a word, a number or a truth value is needed"),
    (TASK + "[options]\nstepss = 3", "cells: number 0: options: there is no 'stepss'"),
    (TASK + '[options]\noption = "depth=3"', "options: option is given with the name, strategies = [{name"),
    (
        TASK + f"seeds = {list(range(1000))}\n[options]\nsteps = {list(range(1, 1000))}",
        "999,000 cells, and 100,000",
    ),
    ("tasks = [", "'sweep.toml': "),
    ("a = " + "[" * 100_000, "'sweep.toml': "),
    ("\x00", "'sweep.toml': "),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=range(len(REFUSED)))
def test_a_file_that_is_no_sweep_is_refused(refused, tmp_path, text, message):
    (tmp_path / "sweep.toml").write_text(text)
    assert message in refused("sweep", "sweep.toml")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.toml"], "'nowhere.toml': No such file or directory"),
        (["/dev/zero"], "'/dev/zero' is no regular file"),
        (
            ["sweep.toml", "--table", "table.xlsx"],
            "table: 'table.xlsx' ends in '.xlsx', not in .csv, .parquet, .md",
        ),
        (["sweep.toml", "--table", "nowhere/table.csv"], "table: there is no folder 'nowhere'"),
        (["sweep.toml", "--backend", "slurm"], "backend: 'slurm' is none of 'local', 'dask', 'ray'"),
        (["sweep.toml", "--cell", "1"], "cell: expected an integer from 0 to 0, got 1"),
        (["sweep.toml", "--cell", "0", "--jobs", "2"], "--cell: runs one cell"),
        (["sweep.toml", "--jobs", "0"], "Invalid value for '--jobs'"),
        (["sweep.toml", "--out", "mine"], "folder: 'mine' is not empty"),
        (["sweep.toml", "--out", "mine", "--cell", "0"], "folder: 'mine' is not empty"),
        (["sweep.toml", "--out", "/proc/sweep"], "folder: cannot write to '/proc/sweep'"),
    ],
)
def test_a_bad_command_line_is_refused(refused, tmp_path, words, message):
    (tmp_path / "sweep.toml").write_text(TASK)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("mine")
    assert message in refused("sweep", *words)


def test_the_command_of_a_job_array_is_printed_and_nothing_run(run, tmp_path):
    (tmp_path / "my sweep.toml").write_text(TASK + "seeds = [0, 1, 2]")
    code, out, _ = run("sweep", "my sweep.toml", "--job-array")
    assert code == 0
    inner = "pyorder sweep 'my sweep.toml' --out 'my sweep' --cell $SLURM_ARRAY_TASK_ID"
    quoted = inner.replace("'", "'\"'\"'")
    assert out == f"sbatch --array=0-2 --cpus-per-task=1 --wrap='{quoted}'\n"
    assert [path.name for path in tmp_path.iterdir()] == ["my sweep.toml"]
