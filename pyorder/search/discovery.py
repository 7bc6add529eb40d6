"""The result of a search."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from pyorder._values import ByContents
from pyorder.dependencies.graph import Dependency, Exploration
from pyorder.dependencies.verdict import Verdict
from pyorder.errors import InputError
from pyorder.orders.permutations import check_order
from pyorder.orders.posets import Poset
from pyorder.profiling.result import Cost, Orders, Profile
from pyorder.runs.folder import (
    HISTORY,
    Run,
    RunDir,
    load_kind,
    make_run_dir,
    plain,
    reading,
    write_history,
    write_precedence,
    write_run,
)
from pyorder.search.export import ordered_model, ordered_schema
from pyorder.search.stability import Stability

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

Floats = npt.NDArray[np.float64]

NO_LEVELS = (Verdict.FEW_ROWS, Verdict.UNRESOLVED, Verdict.ROW_DEPENDENT)


@dataclass(frozen=True, eq=False)
class Stage(ByContents):
    """One profiling run of a search: its name, the profile, and its place on the clock.

    Attributes
    ----------
    name : what the strategy was doing
    profile : the run's `Profile`
    seconds : wall time since the search began, at the end of the run
    """

    name: str
    profile: Profile
    seconds: float


@dataclass(frozen=True, eq=False)
class Discovery(ByContents):
    """The result of a search.

    Attributes
    ----------
    order : (L,) int64, the order found
    verdict : what a reader may conclude
    converged : whether the strategy came to its own end, within the budget; one that explores, whether graph and
        loss had settled on something
    strategy, options : what searched, and how, in values of JSON
    uses_data_order : whether the search was told the order that the data came in
    history : the profiling runs, in sequence
    cost : training steps and rows scored, of all runs
    seconds : wall time
    seed : of the search
    settings : how each profiling run was run, and the budget
    exploration : the dependency graph and its evidence, where the strategy looks for one
    constraints : what the search was told: only topological sorts of this graph were candidates
    remarks : what a reader of the result should know, in sentences that name no step
    step_names : what the steps are called, by canonical step; none where they have no names
    stability : what the same search found on other rows, with other labels and from other seeds; None where nobody
        asked
    """

    order: Orders
    verdict: Verdict
    converged: bool
    strategy: str
    options: dict[str, Any]
    uses_data_order: bool
    history: tuple[Stage, ...]
    cost: Cost
    seconds: float
    seed: int
    settings: dict[str, Any]
    exploration: Exploration | None = None
    constraints: Poset | None = None
    remarks: tuple[str, ...] = ()
    step_names: tuple[str, ...] = ()
    stability: Stability | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The order found, as names; as numbers where the steps have none."""
        return tuple(self.step_names[step] if self.step_names else str(step) for step in self.order)

    @property
    def dependencies(self) -> tuple[Dependency, ...] | None:
        """Edges of the reduced dependency graph, by step; None where the strategy looks for no graph."""
        return None if self.exploration is None else self.exploration.dependencies

    @property
    def graph(self) -> Poset | None:
        """The dependency graph found, with the constraints in it; None where the strategy looks for none."""
        if self.dependencies is None:
            return None
        graph = Poset(len(self.order)) if self.constraints is None else self.constraints.copy()
        for edge in self.dependencies:
            graph.add(edge.before, edge.after)
        return graph

    @property
    def levels(self) -> tuple[tuple[int, ...], ...] | None:
        """Steps that can be written at once, level by level, as the graph has them.

        None where the strategy looks for no graph, and where its edges are not all: of too few rows, of steps that
        are not learned, and where rows differ. `pyorder.search.check_levels` measures what writing at once costs.
        """
        graph = self.graph
        return None if graph is None or self.verdict in NO_LEVELS else graph.levels

    def edges(self) -> list[tuple[str, str]] | list[tuple[int, int]]:
        """Edges of the reduced dependency graph, the constraints' among them, as pairs of names; else of numbers.

        ``networkx.DiGraph`` takes them. Steps that no edge touches are in none of them.

        Raises
        ------
        ValueError
            Where the strategy looks for no graph.

        Examples
        --------
        >>> data = Dataset(None, [[0, 1, 1], [1, 0, 0]] * 40, names=["plan", "call", "answer"])
        >>> known, quick = data.constraints(before=[("plan", "answer")]), search.Precedence(rounds=1, samples=8)
        >>> found = discover(data, validation=data, strategy=quick, constraints=known, steps=1, model="nano")
        >>> ("plan", "answer") in found.edges()
        True
        """
        graph = self.graph
        if graph is None:
            raise ValueError(f"edges: the strategy {self.strategy!r} looks for no dependency graph")
        edges: list[tuple[int, int]] = [(before, after) for before, after in graph.reduction.tolist()]
        names = self.step_names
        return [(names[before], names[after]) for before, after in edges] if names else edges

    def schema(self, json_schema: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON schema with its properties, and what is required, in the order found, for constrained decoding.

        Properties that are no steps come first, as they came: they are inputs, or constants. Names with dots lead
        into objects, through references too; an object stands where the first of its steps does. The schema that
        is given stays as it is.

        Raises
        ------
        TypeError, InputError
            For what is no schema of an object, a step that is no property, or steps without names.

        Examples
        --------
        >>> data = Dataset(None, [[0, 1], [1, 0]] * 40, names=["answer", "plan"])
        >>> known = data.constraints(first=["plan"])
        >>> found = discover(data, validation=data, strategy="random", constraints=known, steps=1, model="nano")
        >>> found.schema({"properties": {"answer": {"type": "number"}, "plan": {"type": "string"}}})
        {'properties': {'plan': {'type': 'string'}, 'answer': {'type': 'number'}}}
        """
        return ordered_schema(json_schema, self._named_order())

    def model(self, model: type[Model]) -> type[Model]:
        """A pydantic model with its fields in the order found, for structured output: a subclass of the same name.

        Fields that are no steps come first, as they came. Steps are called as fields or as their aliases are; dots
        lead into fields that are models, alone or in a union with others. Validators, defaults and configuration
        are inherited; a validator that reads ``info.data`` finds there the fields that are ahead of its own now. A
        model inside that has steps is a subclass, too: give its values as a dict.

        Raises
        ------
        ImportError
            Without pydantic.
        TypeError, InputError
            For what is no model, a step that is no field, or steps without names.

        Examples
        --------
        >>> data = Dataset(None, [[0, 1], [1, 0]] * 40, names=["answer", "plan"])
        >>> known = data.constraints(first=["plan"])
        >>> found = discover(data, validation=data, strategy="random", constraints=known, steps=1, model="nano")
        >>> import pydantic
        >>> class Reply(pydantic.BaseModel):
        ...     answer: int
        ...     plan: str = "none"
        >>> found.model(Reply)(answer=3)
        Reply(plan='none', answer=3)
        """
        return ordered_model(model, self._named_order())

    def _named_order(self) -> tuple[str, ...]:
        if not self.step_names:
            raise InputError("names: expected data whose steps have names, got steps that are numbered")
        return self.names

    @property
    def runs(self) -> int:
        """Number of profiling runs."""
        return len(self.history)

    @property
    def candidates_profiled(self) -> int:
        """Number of candidates over all runs; one that was in two runs counts twice."""
        return sum(len(stage.profile.orders) for stage in self.history)

    def renamed(self, steps: npt.NDArray[np.int64]) -> Discovery:
        """The same result with step s called ``steps[s]``, for a search whose target columns were shuffled.

        A search on ``data.reorder(steps)`` finds an order of the reordered columns; renamed by ``steps`` it is
        the order of the data's own.
        """
        back = np.argsort(steps)
        history = tuple(
            replace(
                stage,
                profile=replace(
                    stage.profile,
                    orders=steps[stage.profile.orders],
                    step_loss=stage.profile.step_loss[:, back],
                    settings=_before_reordering(stage.profile.settings, steps),
                    step_names=_taken(stage.profile.step_names, back),
                ),
            )
            for stage in self.history
        )
        exploration = None if self.exploration is None else self.exploration.renamed(steps)
        return replace(
            self,
            order=steps[self.order],
            history=history,
            exploration=exploration,
            constraints=None if self.constraints is None else self.constraints.renamed(steps),
            settings=_before_reordering(self.settings, steps),
            step_names=_taken(self.step_names, back),
            stability=None if self.stability is None else self.stability.renamed(steps),
        )

    def summary(self) -> dict[str, Any]:
        """What the search found and what it cost, in values of JSON; with names where steps have some."""
        return {
            "order": self.order.tolist(),
            "names": list(self.names),
            "verdict": self.verdict.value,
            "conclusion": self.verdict.sentence,
            "levels": None if self.levels is None else [_called(self.step_names, level) for level in self.levels],
            "strategy": self.strategy,
            "options": plain(self.options),
            "converged": self.converged,
            "uses_data_order": self.uses_data_order,
            "constraints": None if self.constraints is None else self.constraints.edges.tolist(),
            "runs": self.runs,
            "candidates_profiled": self.candidates_profiled,
            "training_steps": self.cost.training_steps,
            "rows_scored": self.cost.rows_scored,
            "seconds": self.seconds,
            "seed": self.seed,
            "exploration": None if self.exploration is None else self.exploration.summary(self.step_names),
            "stability": None if self.stability is None else self.stability.summary(self.order, self.step_names),
            "remarks": list(self.remarks),
            "stages": [
                {
                    "name": stage.name,
                    "candidates": len(stage.profile.orders),
                    "best_order": stage.profile.best.tolist(),
                    **({"best_names": _taken(self.step_names, stage.profile.best)} if self.step_names else {}),
                    "best_loss": stage.profile.best_loss,
                    "rank_correlation": stage.profile.rank_correlation,
                    "best_agreement": stage.profile.best_agreement,
                    "seconds": stage.seconds,
                }
                for stage in self.history
            ],
        }

    def save(self, run_dir: RunDir) -> None:
        """Write a run folder, see `pyorder.runs`; ValueError if it holds something or takes no files."""
        with self._told_if_lost():
            self.write(make_run_dir(run_dir))

    def write(self, folder: Path) -> None:
        """Write the files of a run into a folder that is there; see `save`."""
        with self._told_if_lost():
            write_history(
                folder / HISTORY, [stage.profile.record(stage.name, stage.seconds) for stage in self.history]
            )
            if self.exploration is not None:
                write_precedence(folder, self.exploration.arrays())
            write_run(folder, "search", self.settings, self.summary(), device=self.settings.get("device"))

    @contextmanager
    def _told_if_lost(self) -> Iterator[None]:
        """Have an error tell the order: hours of work should be lost to no full disk, and to no Ctrl-C."""
        try:
            yield
        except BaseException as error:
            told = f"the order that was found: {','.join(self.names)}"
            if told not in getattr(error, "__notes__", ()):
                error.add_note(told)
            raise

    @classmethod
    def load(cls, run_dir: RunDir) -> Discovery:
        """Read a run folder of a search back: a result equal to the one that was saved.

        Raises
        ------
        ValueError
            If the folder holds no search, or one of a version before 0.2, which `pyorder.runs.load_run` reads.

        Examples
        --------
        >>> Discovery.load("/nowhere")
        Traceback (most recent call last):
        pyorder.errors.InputError: run_dir: '/nowhere' is no run folder: config.json: No such file or directory
        """
        run = load_kind(run_dir, "search", "search")
        with reading(run.folder):
            return cls._of(run)

    @classmethod
    def _of(cls, run: Run) -> Discovery:
        told, evidence = run.result, run.precedence()
        history = tuple(Stage(record.name, Profile.of_record(record), record.seconds) for record in run.history())
        edges = told["constraints"]
        order = check_order(told["order"])
        names = _taken(tuple(told.get("names", ())), np.argsort(order))  # older folders have none
        return cls(
            order=order,
            verdict=Verdict(told["verdict"]),
            history=history,
            cost=Cost(told["training_steps"], told["rows_scored"]),
            settings=run.config["settings"],
            exploration=None if evidence is None else Exploration.of(told["exploration"], evidence),
            constraints=None if edges is None else Poset(len(order), edges),
            remarks=tuple(told["remarks"]),
            stability=None if told.get("stability") is None else Stability.of(told["stability"]),
            step_names=() if names == tuple(map(str, range(len(names)))) else names,
            **{
                name: told[name]
                for name in ("converged", "strategy", "options", "uses_data_order", "seconds", "seed")
            },
        )


def _called(names: tuple[str, ...], steps: Iterable[int]) -> list[str] | list[int]:
    """What steps are called: their names, or their numbers where they have none."""
    return [names[step] for step in steps] if names else list(steps)


def _taken(names: tuple[str, ...], steps: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """The names of some steps; none where steps have none."""
    return tuple(names[step] for step in steps) if names else ()


def _before_reordering(settings: dict[str, Any], steps: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Settings as before `Dataset.reorder` by ``steps``: weights of steps, and the metadata in ``data``."""
    if (weights := settings.get("step_weights")) is not None:
        settings = {**settings, "step_weights": [weights[place] for place in np.argsort(steps)]}
    told, last = settings["data"].get("order", ""), json.dumps(steps.tolist())
    if not told.endswith(last):
        return settings
    others = {key: value for key, value in settings["data"].items() if key != "order"}
    earlier = told.removesuffix(last).removesuffix(" then ")
    return {**settings, "data": {**others, "order": earlier} if earlier else others}
