"""Where the criterion is right and where it is not: ranks of the forward order and of its reverse by early loss.

`python benchmarks/forward_rank.py STUDY ...`, with the studies below; target columns are shuffled by the seed, and
the orders stand at random places of their pool. Every run length is a profiling run of its own, with its own
schedule, no checkpoint of a longer one. Rows go to docs/results/forward_rank.jsonl, finished cells are skipped,
cheap ones come first. `table` prints what is there and how many predecessors a step can have, `picture` draws it
to docs/results/forward_rank.png.

- published: the published check, forward among 127 random orders, L = 20, ten seeds; 15 s a cell on two cores
- L=6, L=8, L=10, L=13, L=20, L=50: forward, its reverse and 126 random orders; square, cubic, relu and index with
  d = 2; 200 to 6,400 steps, five seeds
- star: the counterexample, path-star graphs (benchmarks/best_known.py): all 120 orders, 200 to 6,400 steps; and
  both directions trained alone, whose curves cross
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import best_known
import numpy as np
import numpy.typing as npt
from study import RESULTS, read_rows, run_named

import pyorder

Orders = npt.NDArray[np.int64]
TASKS: dict[str, dict[str, int]] = {"square": {}, "cubic": {}, "relu": {}, "index": {"d": 2}}
LENGTHS, STEPS, SEEDS = (6, 8, 10, 13, 20, 50), (200, 400, 800, 1_600, 3_200, 6_400), range(5)
SHARES = (0, 0.1, 0.2, 0.3, 1)  # of the entropy
CURVE = (100, 200, 400, 800, 1_500)  # where the curves of single orders are told


def direction_cells(length: int) -> list[dict[str, Any]]:
    """A run length, a seed and a task each: cheap ones first, and all tasks before the next seed."""
    return [
        {"study": "direction", "length": length, "steps": steps, "seed": seed, "task": task}
        for steps in STEPS
        for seed in SEEDS
        for task in TASKS
    ]


STUDIES: dict[str, list[dict[str, Any]]] = {
    # The oldest rows have no study.
    "published": [
        {"study": None, "task": task, "seed": seed} for task in ("square", "cubic", "relu") for seed in range(10)
    ],
    **{f"L={length}": direction_cells(length) for length in LENGTHS},
    "star": [
        {"study": "star", "order": order, "seed": seed} for seed in range(3) for order in ("forwards", "backwards")
    ]
    + [{"study": "star", "steps": steps, "seed": seed} for steps in STEPS for seed in range(3)],
}


def measure(study: str | None, **cell: Any) -> dict[str, Any]:
    if study == "star":
        return alone(**cell) if "order" in cell else star(**cell)
    return direction(**cell) if study == "direction" else published(**cell)


def published(task: str, seed: int) -> dict[str, Any]:
    found = ranked(task, 20, 400, seed, reverse=False)
    return {name: value for name, value in found.items() if not name.startswith("reverse")}


def direction(task: str, length: int, steps: int, seed: int) -> dict[str, Any]:
    return ranked(task, length, steps, seed, reverse=True)


def ranked(task: str, length: int, steps: int, seed: int, *, reverse: bool) -> dict[str, Any]:
    """Ranks and losses of forward, and of its reverse, in a pool of 128 with random orders."""
    made = pyorder.make_task(task, length=length, **TASKS[task])
    train = min(100_000, made.space_size // 2)
    splits = made.splits(train=train, validation=1_000, test=1_000, seed=seed)
    rng = np.random.default_rng(seed)
    shuffle = rng.permutation(length)
    forward = np.argsort(shuffle)  # the forward order, in the shuffled columns
    known = np.stack([forward, forward[::-1]] if reverse else [forward])
    others = pyorder.permutations.sample(length, 130, seed=seed, distinct=True)
    others = others[~(others[:, None] == known).all(2).any(1)][: 128 - len(known)]
    orders = rng.permutation(np.concatenate([known, others]))
    profile = pyorder.profile(
        splits.train.reorder(shuffle),
        orders,
        validation=splits.validation.reorder(shuffle),
        model="nano",
        steps=steps,
        seed=seed,
    )
    return told(profile, {"forward": forward, "reverse": forward[::-1]} if reverse else {"forward": forward})


def star(steps: int, seed: int) -> dict[str, Any]:
    """All orders of a path: from the start on, which is a guess, and from the goal backwards."""
    (train, validation, _), backwards = best_known.data("star", seed)
    profile = pyorder.profile(
        train, pyorder.permutations.lexicographic(5), validation=validation, model="nano", steps=steps, seed=seed
    )
    return told(profile, {"forward": backwards[::-1], "reverse": backwards})


def alone(order: str, seed: int) -> dict[str, Any]:
    """One direction of a path, trained to the end by itself."""
    (train, validation, test), backwards = best_known.data("star", seed)
    steps = backwards if order == "backwards" else backwards[::-1]
    fitted = pyorder.fit(train, steps, test=test, validation=validation, seed=1000 + seed)
    curve = fitted.validation_curve
    assert curve is not None
    return {
        "loss": {str(step): float(curve[np.abs(curve[:, 0] - step).argmin(), 1]) for step in CURVE},
        "success": fitted.success_rate,
        "seconds": round(fitted.seconds, 1),
    }


def told(profile: pyorder.Profile, known: dict[str, Orders]) -> dict[str, Any]:
    """Rank and loss of the known orders, and the best and the mean of the others."""
    places = {name: int(np.flatnonzero((profile.orders == order).all(1))[0]) for name, order in known.items()}
    rest = np.delete(profile.loss, list(places.values()))
    return {
        **{
            f"{name}_rank" if name != "forward" else "rank": int((profile.loss < profile.loss[place]).sum()) + 1
            for name, place in places.items()
        },
        **{f"{name}_loss": round(float(profile.loss[place]), 5) for name, place in places.items()},
        "best_other_loss": round(float(rest.min()), 5),
        "mean_loss": round(float(profile.loss.mean()), 5),
        "precision": profile.settings["precision"],
        "seconds": round(profile.seconds, 1),
    }


def predecessors(task: str, length: int, rows: int = 20_000) -> tuple[float, float]:
    """What going backwards leaves open late in the chain: how many y_i the input and the steps after it allow.

    The number, and the entropy of these values in nats, with what y_i is at large as prior; means over rows.
    """
    data = pyorder.make_task(task, length=length, **TASKS[task]).generate(rows, seed=7)
    x, y = data.inputs.astype(np.int64), data.targets.astype(np.int64)
    step = length - 3
    values, counts = np.unique(y[:, step], return_counts=True)
    after = y[:, [step + 1]]
    if task == "index":  # the step after next tells where it points: y_i + y_{i+1}, where x is this value
        allowed = np.take_along_axis(x, (values + after) % length, axis=1) == y[:, [step + 2]]
    elif task == "relu":
        allowed = np.maximum(values + x[:, [step + 1]], 0) == after
    else:
        signed = np.arange(-9, 10)
        pairs = np.stack(np.meshgrid(signed, signed, indexing="ij"), 2).reshape(-1, 2)
        following = pyorder.make_task(task, length=2).compute(pairs)[:, 1].reshape(19, 19)
        allowed = following[values + 9, x[:, [step + 1]] + 9] == after
    share = allowed * counts / (allowed * counts).sum(1, keepdims=True)
    entropy = -(share * np.log(share, where=share > 0, out=np.zeros_like(share))).sum(1)
    return float(allowed.sum(1).mean()), float(entropy.mean())


def table() -> None:
    print("| task | " + " | ".join(f"{steps:,} steps" for steps in STEPS) + " |")
    print("|---" * (1 + len(STEPS)) + "|")
    for length in LENGTHS:
        for task in TASKS:
            cells = []
            for steps in STEPS:
                rows = of(length, task, steps)
                ranks = [" ".join(str(row[name]) for row in rows) for name in ("rank", "reverse_rank")]
                cells.append(" / ".join(ranks) if rows else "-")
            if any(cell != "-" for cell in cells):
                print(f"| {task} L = {length} | " + " | ".join(cells) + " |")
    print("\n| task | predecessors of a step | entropy of these, nats | tells direction from |\n|---|---|---|---|")
    for length in LENGTHS:
        for task in TASKS:
            number, entropy = predecessors(task, length)
            print(f"| {task} L = {length} | {number:.1f} | {entropy:.2f} | {tells_from(length, task)} |")
    print("\n| learned by the best order | forward is lower, seeds 0 to 2 | seeds 3 and 4 |\n|---|---|---|")
    for least, most in pairwise(SHARES):
        told = [f"{sum(right)} of {len(right)}" for right in by_learned(least, most)]
        print(f"| {100 * least:.0f} to {100 * most:.0f} % | {' | '.join(told)} |")
    print("\n| path-star graphs | seed | rank of 120, forwards | backwards | loss forwards | backwards |")
    print("|---|---|---|---|---|---|")
    for row in read_rows("forward_rank", STUDIES["star"]):
        if "steps" in row:
            losses = [f"{row[name]:.3f}" for name in ("forward_loss", "reverse_loss")]
            ranks = [str(row[name]) for name in ("rank", "reverse_rank")]
            print("| " + " | ".join([f"{row['steps']:,} steps", str(row["seed"]), *ranks, *losses]) + " |")
    columns = " | ".join(f"loss after {step:,}" for step in CURVE)
    print(f"\n| path-star graphs, alone | seed | {columns} | success |")
    print("|---" * (len(CURVE) + 3) + "|")
    for row in read_rows("forward_rank", STUDIES["star"]):
        if "order" in row:
            losses = [f"{loss:.2f}" for loss in row["loss"].values()]
            print("| " + " | ".join([row["order"], str(row["seed"]), *losses, f"{row['success']:.1%}"]) + " |")


def of(length: int, task: str, steps: int) -> list[dict[str, Any]]:
    """Finished rows, a seed each."""
    wanted = [cell for cell in direction_cells(length) if (cell["task"], cell["steps"]) == (task, steps)]
    return read_rows("forward_rank", wanted)


def by_learned(least: float, most: float) -> tuple[list[bool], list[bool]]:
    """Whether forward has a lower loss than its reverse, where so much is learned: seeds tuned on, and others."""
    tuned: list[bool] = []
    others: list[bool] = []
    for length in LENGTHS:
        for task in TASKS:
            rows = [row for steps in STEPS for row in of(length, task, steps)]
            entropy = marginal(task, length) if rows else 0.0
            for row in rows:
                learned = 1 - min(row[f"{name}_loss"] for name in ("forward", "reverse", "best_other")) / entropy
                if least <= max(0.0, learned) < most:
                    told = row["forward_loss"] < row["reverse_loss"]
                    (tuned if row["seed"] < 3 else others).append(told)
    return tuned, others


def marginal(task: str, length: int, rows: int = 50_000) -> float:
    """Mean entropy of the steps, in nats."""
    values = pyorder.make_task(task, length=length, **TASKS[task]).generate(rows, seed=7).targets
    shares = [np.unique(column, return_counts=True)[1] / rows for column in values.T]
    return float(np.mean([-(share * np.log(share)).sum() for share in shares]))


def tells_from(length: int, task: str) -> str:
    """The shortest run that, like all longer ones, puts forward before its reverse with every seed."""
    run = [steps for steps in STEPS if of(length, task, steps)]
    right = [all(row["forward_loss"] < row["reverse_loss"] for row in of(length, task, steps)) for steps in run]
    if not right:
        return "not run"
    told = len(right) - next((back for back, holds in enumerate(right[::-1]) if not holds), len(right))
    return f"{run[told]:,} steps" if told < len(run) else f"not by {run[-1]:,} steps"


def picture() -> None:
    from matplotlib.figure import Figure

    run = {length: [steps for steps in STEPS if of(length, "square", steps)] for length in LENGTHS}
    lengths = [length for length in LENGTHS if len(run[length]) > 1]
    ticks = sorted({steps for length in lengths for steps in run[length]})
    figure = Figure(figsize=(3.4 * len(lengths), 2.4 * len(TASKS)), layout="constrained")
    panels = figure.subplots(len(TASKS), len(lengths), sharex=True, squeeze=False)
    for line, task in zip(panels, TASKS, strict=True):
        for axes, length in zip(line, lengths, strict=True):
            axes.axhline(0, color="grey", linewidth=0.8)
            for name, colour in (("forward_loss", "C0"), ("reverse_loss", "C1")):
                leads = {
                    steps: [row[name] - row["mean_loss"] for row in of(length, task, steps)]
                    for steps in run[length]
                }
                for steps, values in leads.items():
                    axes.plot([steps] * len(values), values, ".", color=colour, alpha=0.4)
                means = [np.mean(values) for values in leads.values()]
                axes.plot(list(leads), means, color=colour, label=name.partition("_")[0])
            axes.set(title=f"{task} L = {length}", xscale="log")
            axes.set_xticks(ticks, [f"{steps:,}" for steps in ticks])
            axes.minorticks_off()
    panels[0, 0].legend(fontsize="small")
    figure.supxlabel("training steps of the profiling run")
    figure.supylabel("loss less the mean of the pool, nats a step")
    figure.savefig(RESULTS / "forward_rank.png", dpi=100)


if __name__ == "__main__":
    if sys.argv[1:] == ["picture"]:
        picture()
    else:
        run_named("forward_rank", STUDIES, measure, table)
