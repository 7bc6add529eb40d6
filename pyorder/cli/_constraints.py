"""Constraints on the command line: of a file, a run or a task, and in words of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyorder._disk import read_json
from pyorder.cli._inputs import naming
from pyorder.cli._orders import as_steps, given_names, steps_of_run
from pyorder.cli._tables import split_names
from pyorder.data.constraints import graph_of, step_number
from pyorder.data.dataset import Dataset
from pyorder.data.tasks import Task
from pyorder.errors import InputError
from pyorder.orders.posets import Poset
from pyorder.runs.folder import load_run, reading


@dataclass(frozen=True)
class Constraints:
    """What --constraints, --first, --last, --before and --tier say; None where they are not given."""

    given: str | None = None
    first: Sequence[str] | None = None
    last: Sequence[str] | None = None
    before: Sequence[str] | None = None
    tier: Sequence[str] | None = None

    def graph(self, data: Dataset, task: Task | None) -> Poset | None:
        """All of them as one graph on the steps of the data; None where nothing is given.

        Examples
        --------
        >>> data = Dataset(None, [[0, 1, 1]], names=["plan", "call", "answer"])
        >>> Constraints(first=["plan"], before=["call:answer"]).graph(data, None)
        Poset(3, [[0, 1], [0, 2], [1, 2]])
        """
        graph = None
        if self.given is not None:
            graph = read_constraints(self.given, data.target_length, task, given_names(data))
        if not any((self.first, self.last, self.before, self.tier)):
            return graph
        names = data.names
        pairs = [] if graph is None else [(before, after) for before, after in graph.edges.tolist()]
        pairs += [pair for text in self.before or () for pair in _pairs(text, names)]
        try:
            return graph_of(
                names,
                first=[step for text in self.first or () for step in _steps(text, names, "--first")],
                last=[step for text in self.last or () for step in _steps(text, names, "--last")],
                before=pairs,
                tiers=_tiers(self.tier or (), names),
            )
        except InputError as error:
            said = str(error)
            option = {"first:": "--first:", "last:": "--last:", "before:": "--before:", "tiers:": "--tier:"}
            word = said.partition(" ")[0]
            raise InputError(said.replace(word, option.get(word, word), 1)) from None


def _steps(text: str, names: Sequence[str], option: str) -> list[int]:
    """The numbers of steps with commas between them; one name may hold commas itself.

    Examples
    --------
    >>> _steps("b, 0", ["a", "b"], "--first"), _steps("x, y", ["a", "x, y"], "--first")
    ([1, 0], [1])
    """
    with naming(option):
        words = [text] if text in names else split_names(text)
    if not words:
        raise InputError(f"{option}: expected names or numbers of steps, got {text!r}")
    return [_step(word, names, option) for word in words]


def _step(word: str, names: Sequence[str], option: str) -> int:
    number = word not in names and word.isascii() and word.isdigit()
    return step_number(int(word) if number else word, names, option)


def _pairs(text: str, names: Sequence[str]) -> list[tuple[int, int]]:
    """The numbers of steps in words like plan:answer; a name may hold colons, and one word commas.

    Examples
    --------
    >>> _pairs("a:b,b:c", ["a", "b", "c"]), _pairs("x:y:a", ["a", "x:y"])
    ([(0, 1), (1, 2)], [(1, 0)])
    """
    with naming("--before"):
        words = [text] if _ways(text, names) else split_names(text)
    pairs = []
    for word in words:
        ways = _ways(word, names)
        if len(ways) > 1:
            raise InputError(f"--before: {word!r} can be read in {len(ways)} ways; give the steps' numbers")
        if not ways and ":" not in word:
            raise InputError(f"--before: expected STEP:STEP, the one that comes before first, got {word!r}")
        one, other = ways[0] if ways else word.split(":", 1)
        pairs.append((_step(one, names, "--before"), _step(other, names, "--before")))
    if not pairs:
        raise InputError(f"--before: expected STEP:STEP, got {text!r}")
    return pairs


def _ways(word: str, names: Sequence[str]) -> list[tuple[str, str]]:
    """How a word can be cut in two steps."""
    cuts = [(word[:place], word[place + 1 :]) for place, letter in enumerate(word) if letter == ":"]
    known = {*names, *map(str, range(len(names)))}
    return [(one, other) for one, other in cuts if one in known and other in known]


def _tiers(texts: Sequence[str], names: Sequence[str]) -> list[list[int]]:
    """The steps of tiers in words like 0:plan,tool, by the numbers of the tiers.

    Examples
    --------
    >>> _tiers(["1:c", "0:a,b"], ["a", "b", "c"])
    [[0, 1], [2]]
    """
    tiers: dict[int, list[int]] = {}
    for text in texts:
        number, colon, steps = text.partition(":")
        if not colon or not (number.isascii() and number.isdigit()):
            raise InputError(f"--tier: expected NUMBER:STEP,STEP, got {text!r}")
        tiers.setdefault(int(number), []).extend(_steps(steps, names, "--tier"))
    return [tiers[number] for number in sorted(tiers)]


def read_constraints(text: str, length: int, task: Task | None, names: Sequence[str] = ()) -> Poset:
    """Read the graph that --constraints asks for: a file of edges, also by name, a run's, or the task's own."""
    edges: Any
    with naming("--constraints"):
        if text == "task":
            if task is None or task.dependencies is None:
                raise ValueError("'task' given, but the data is of no task that knows its dependencies")
            edges = task.dependencies
        elif text.startswith("@"):
            result = load_run(text[1:], name="run").result
            search = result.get("search", result)
            if not isinstance(search, dict) or search.get("exploration") is None:
                raise ValueError(
                    f"the run in {text[1:]!r} looked for no dependencies, as strategy precedence does"
                )
            folder = Path(text[1:])
            with reading(folder, name="run"):
                found = [(edge["before"], edge["after"]) for edge in search["exploration"]["dependencies"]]
                own = steps_of_run(search, names, folder, "run")
                edges = [[own[step] for step in edge] for edge in (*found, *(search.get("constraints") or ()))]
        else:
            edges = as_steps(read_json(text), names)
            if not isinstance(edges, list):
                raise ValueError(f"{text!r} holds no list of pairs [before, after]")
        return Poset(length, edges)
