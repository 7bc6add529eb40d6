"""Searching for an order: the one function that runs strategies."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from typing import Any, Unpack

import numpy as np
import torch

from pyorder._checks import MAX_SEED, MAX_SEEDS, check_integer
from pyorder.data.dataset import Dataset, check_datasets
from pyorder.dependencies.verdict import Verdict, judge
from pyorder.execution import isolated, threads
from pyorder.orders.posets import Poset
from pyorder.profiling.profile import Profiler
from pyorder.profiling.result import Orders
from pyorder.progress import Report, resolve_progress
from pyorder.runs.claim import claim, fingerprint
from pyorder.runs.folder import RunDir, plain
from pyorder.search._judging import judge_runs
from pyorder.search._pools import count_up_to
from pyorder.search.budget import Budget, BudgetSpentError
from pyorder.search.discovery import Discovery
from pyorder.search.laboratory import Laboratory
from pyorder.search.resampling import Resamples, resampled
from pyorder.search.strategies import make_strategy
from pyorder.search.strategy import Strategy, check_sizes
from pyorder.streams import stream
from pyorder.training.memory import remark_on_values
from pyorder.training.presets import Model
from pyorder.training.recipe import Numbers, Recipe
from pyorder.world import World

INTERRUPTED = "The search was interrupted or failed; this is the best order until then."
SPENT = "The budget was spent before the search came to its own end."


def discover(
    train: Dataset,
    *,
    validation: Dataset,
    strategy: str | Strategy = "auto",
    constraints: Poset | None = None,
    model: Model | None = None,
    recipe: Recipe | None = None,
    budget: Budget | None = None,
    seed: int = 0,
    seeds: int = 1,
    resamples: int | Resamples = 0,
    device: str | torch.device | World = "auto",
    progress: Report | bool | None = None,
    run_dir: RunDir | None = None,
    **numbers: Unpack[Numbers],
) -> Discovery:
    """Find a learning-friendly order of the target's steps from the data alone.

    Parameters
    ----------
    train, validation : Datasets; models train on the first, orders are ranked on the second. Report success on
        rows that are in neither.
    strategy : a name from `strategy_names`, "auto", or a `Strategy` with options of your own
    constraints : a dependency graph of the target's steps that is known beforehand, such as
        ``Poset(task.length, task.dependencies)`` or an earlier ``found.graph``; only its topological sorts are
        candidates
    model, recipe, device, numbers : of each profiling run, as in `profile`; a caller's own module that takes the
        order explores with it, too
    budget : the most to spend; the search then ends with the best order so far, ``converged`` False
    seed : of the search and of every run in it
    seeds : how often each profiling run is repeated
    resamples : how often the whole search is repeated on other rows, with other labels and from other seeds, so
        many times each, or as a `Resamples` says; see ``found.stability``
    progress : a function that is called with a `Progress` from time to time, or True for a bar on standard error
    run_dir : a new or empty folder for the result, as `Discovery.save` writes it, and on the way for what has been
        done: the same call on a folder where it was interrupted goes on there, and on one where it has ended reads
        the result back. Until then the folder tells the best order so far.

    Returns
    -------
    Discovery

    Raises
    ------
    ValueError, TypeError
        If an argument is not as described, the budget does not pay for one profiling run, or ``run_dir`` holds
        something or takes no files; nothing has been computed then.

    Examples
    --------
    >>> splits = make_task("square", length=3).splits(train=500, validation=50, test=50)
    >>> quick = search.Precedence(rounds=2, racers=0)
    >>> found = discover(splits.train, validation=splits.validation, strategy=quick, steps=5)
    >>> found.strategy, sorted(found.order.tolist()), found.runs
    ('precedence', [0, 1, 2], 1)
    """
    check_datasets(train=train, validation=validation)
    return _search_again(
        train,
        validation,
        np.arange(train.target_length),
        resamples=resamples,
        strategy=_resolve_strategy(strategy, _check_constraints(constraints, train.target_length)),
        constraints=constraints,
        model=model,
        recipe=recipe,
        budget=budget,
        seed=seed,
        seeds=seeds,
        device=device,
        progress=progress,
        run_dir=run_dir,
        **numbers,
    )


def discover_shuffled(
    train: Dataset,
    *,
    validation: Dataset,
    strategy: str | Strategy = "auto",
    constraints: Poset | None = None,
    seed: int = 0,
    **arguments: Any,
) -> Discovery:
    """Shuffle the target columns in secret, `discover`, and map the result back to the data's own steps.

    Nothing in the search can then favour the order that the columns came in. A strategy that is told that order
    gets the columns as they are. Arguments and errors are those of `discover`.

    Examples
    --------
    >>> splits = make_task("square", length=3).splits(train=500, validation=50, test=50)
    >>> found = discover_shuffled(splits.train, validation=splits.validation, steps=5)
    >>> found.constraints, sorted(found.order.tolist())
    (None, [0, 1, 2])
    """
    check_datasets(train=train, validation=validation)
    check_integer(seed, "seed", 0, MAX_SEED)
    strategy = _resolve_strategy(strategy, _check_constraints(constraints, train.target_length))
    shuffle = np.arange(train.target_length)
    if not strategy.uses_data_order:
        shuffle = stream(seed, "secret shuffle").permutation(train.target_length)
    return _search_again(
        train, validation, shuffle, strategy=strategy, constraints=constraints, seed=seed, **arguments
    )


def _search_again(
    train: Dataset,
    validation: Dataset,
    shuffle: Orders,
    *,
    resamples: int | Resamples = 0,
    seed: int,
    progress: Report | bool | None = None,
    run_dir: RunDir | None = None,
    device: str | torch.device | World = "auto",
    **arguments: Any,
) -> Discovery:
    """Search, and as often again as is asked for; see `_search`."""
    wanted, world = Resamples.of(resamples), World.of(device)
    progress, run_dir = world.only_first(progress), world.only_first(run_dir)

    def search(
        rows: Dataset, places: Orders, seed: int, progress: Report | bool | None, run_dir: RunDir | None
    ) -> Discovery:
        return _search(
            rows, validation, places, seed=seed, progress=progress, run_dir=run_dir, device=world, **arguments
        )

    found = search(train, shuffle, seed, progress, run_dir)
    return resampled(found, search, train, shuffle, wanted, progress=progress, run_dir=run_dir)


@isolated()
def _search(
    train: Dataset,
    validation: Dataset,
    shuffle: Orders,
    *,
    strategy: Strategy,
    constraints: Poset | None,
    model: Model | None = None,
    recipe: Recipe | None = None,
    budget: Budget | None = None,
    seed: int,
    seeds: int = 1,
    device: World,
    progress: Report | bool | None = None,
    run_dir: RunDir | None = None,
    **numbers: Unpack[Numbers],
) -> Discovery:
    """Search with the target's columns moved to the places that ``shuffle`` says; the result is of their own."""
    graph = _check_constraints(constraints, train.target_length).renamed(np.argsort(shuffle))
    pools = strategy.pools(graph)
    check_integer(seeds, "seeds", 1, MAX_SEEDS)
    check_integer(seed, "seed", 0, MAX_SEED)
    shown = resolve_progress(progress, "search")
    profiler = Profiler(train, validation, model=model, recipe=recipe, device=device, shuffle=shuffle, **numbers)
    for pool in pools:
        profiler.check_pool(pool)

    def ask() -> dict[str, Any]:
        return {
            "kind": "search",
            "pyorder": version("pyorder"),
            "train": fingerprint(train),
            "validation": fingerprint(validation),
            "strategy": strategy.name,
            "options": _options(strategy),
            "constraints": None if constraints is None else graph.edges.tolist(),
            "seed": seed,
            "seeds": seeds,
            "budget": budget,
            "model": profiler.learner.name,
            "architecture": profiler.learner.record(),
            "recipe": profiler.recipe,
            "device": profiler.device.type,
            "shuffle": shuffle,
        }

    with (
        claim(run_dir, ask, world=device) as claimed,
        threads(claimed.journal.told("threads", torch.get_num_threads())),
    ):
        if claimed.finished and claimed.folder is not None:
            return Discovery.load(claimed.folder)
        told = claimed.journal.told("precision", str(profiler.precision).removeprefix("torch."))
        profiler.multiply_in(told)
        laboratory = Laboratory(
            profiler,
            constraints=graph,
            seed=seed,
            seeds=seeds,
            budget=budget or Budget(),
            planned=sum((profiler.cost(pool, seeds) for pool in pools), strategy.exploration_cost()),
            progress=shown.report,
            journal=claimed.journal,
        )

        if (remark := remark_on_values(profiler.tokens)) is not None:
            laboratory.remarks.append(remark)

        def result(order: Orders, interrupted: bool = False) -> Discovery:
            found = _conclude(laboratory, strategy, order, interrupted)
            if constraints is None:
                found = replace(found, constraints=None)
            return replace(found, settings={**found.settings, "budget": plain(budget)}).renamed(shuffle)

        try:
            with shown:
                order = strategy.search(laboratory)
            found = result(order)
        except BudgetSpentError:
            if laboratory.best is None:
                limits = asdict(budget or Budget()).items()
                given = ", ".join(f"{name}={limit}" for name, limit in limits if limit is not None)
                first = profiler.cost(pools[0], seeds)
                raise ValueError(
                    f"budget: {given} given; the first run, of {pools[0]} candidates, takes "
                    f"{first.training_steps} training steps and scores {first.rows_scored} rows"
                ) from None
            found = result(laboratory.best)
        except BaseException as error:  # Ctrl-C, too: hours of work are not to be lost
            if laboratory.best is not None:
                found = result(laboratory.best, interrupted=True)
                error.add_note(f"the best order so far: {','.join(found.names)}")
                if claimed.folder is not None:
                    with suppress(BaseException):  # the first error is the one to tell, also after a second Ctrl-C
                        found.write(claimed.folder)
                        error.add_note(f"saved in {claimed.folder}")
            raise
        if claimed.folder is not None:
            found.write(claimed.folder)
        claimed.finish()
        laboratory.finish()
        return found


def _conclude(laboratory: Laboratory, strategy: Strategy, order: Orders, interrupted: bool) -> Discovery:
    """What a laboratory knows when an order was found in it, in the steps that it has."""
    explored, ended = laboratory.exploration, not (laboratory.curtailed or interrupted)
    profiler, graph = laboratory.profiler, laboratory.constraints
    early = [INTERRUPTED] if interrupted else [SPENT] if laboratory.curtailed else []
    remarks = [*early, *laboratory.remarks]
    if explored is not None:
        verdict = judge(explored)
        ended = ended and explored.settled and verdict is not Verdict.FEW_ROWS
    else:
        last = laboratory.history[-1].profile
        allowed = count_up_to(graph, len(last.orders) + 1)
        verdict = judge_runs(last, profiler.entropy, allowed, ended=ended)
        remarks += last.remarks
    return Discovery(
        order=order,
        verdict=verdict,
        converged=ended,
        strategy=strategy.name,
        options=_options(strategy),
        uses_data_order=strategy.uses_data_order,
        history=tuple(laboratory.history),
        cost=laboratory.cost,
        seconds=laboratory.seconds,
        seed=laboratory.seed,
        exploration=explored,
        constraints=graph,
        step_names=profiler.step_names,
        remarks=tuple(remarks),
        settings={**profiler.settings, "seeds": laboratory.seeds},
    )


def _options(strategy: Strategy) -> dict[str, Any]:
    """The options of a strategy, in values of JSON."""
    told: dict[str, Any] = plain({field.name: getattr(strategy, field.name) for field in fields(strategy)})  # type: ignore[arg-type]
    return told


def _check_constraints(constraints: Poset | None, length: int) -> Poset:
    """A graph of the data's length; one without edges for no constraints."""
    if constraints is None:
        return Poset(length)
    if not isinstance(constraints, Poset):
        raise TypeError(f"constraints: a Poset is needed, {type(constraints).__name__} given")
    if constraints.length != length:
        raise ValueError(f"constraints: a graph of {constraints.length} steps given, the data has {length}")
    return constraints.copy()


def _resolve_strategy(strategy: str | Strategy, constraints: Poset) -> Strategy:
    if isinstance(strategy, str):
        return make_strategy(strategy, constraints.length, constraints=constraints)
    if not isinstance(strategy, Strategy):
        raise TypeError(f"strategy: a name or a Strategy is needed, {type(strategy).__name__} given")
    check_sizes(strategy)
    return strategy
