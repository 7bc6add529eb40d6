"""When not to trust a result: sentences that are true of a run, chosen by what it shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pyorder._statistics import Z95
from pyorder.dependencies.verdict import Verdict
from pyorder.report.comparison import DISCOVERED, LEAST_SUCCESS, beaten, tells
from pyorder.report.contents import Contents

SURE = 0.999  # confidence of an edge that needs no word
FEW_TESTED = 300  # test rows; the interval of a share is then up to 11 percentage points wide
UNUSED = {  # what a verdict says of the order that is shown all the same
    Verdict.INDIFFERENT: "The order shown is one of many that are as good: no reason to change the one you have.",
    Verdict.INDEPENDENT: "The order shown is one of many that are as good: no reason to change the one you have.",
    Verdict.FEW_ROWS: "The order shown is the best guess from too few rows: other rows may lead to another.",
    Verdict.UNRESOLVED: "The order shown is a guess: most steps are not learned in it, nor in any other.",
    Verdict.ROW_DEPENDENT: "The order shown is right for some rows and wrong for others.",
    Verdict.OPEN: "The order shown may be right in part only.",
}


def doubts(contents: Contents) -> tuple[str, ...]:
    """What speaks against relying on a result, the gravest first."""
    return tuple(
        dict.fromkeys(
            [
                *_of_better_orders(contents),
                *_of_the_search(contents),
                *_of_the_comparison(contents),
                *_of_the_evidence(contents),
                *_of_the_candidates(contents),
                *_of_the_data(contents),
            ]
        )
    )


def _of_better_orders(contents: Contents) -> Iterator[str]:
    fits, found = contents.fits, contents.found
    names = [*beaten(fits), *(name for name in fits if _compared(contents, name) < 0)]
    if better := [called for name in dict.fromkeys(names) for called in fits[name].get("called", [name])]:
        yield f"Trained better than the order found, by more than chance: {', '.join(better)}."
    if found is not None and found.exploration is not None:
        slots = np.argsort(found.order)
        edges = found.exploration.dependencies
        if against := sum(bool(slots[edge.before] > slots[edge.after]) for edge in edges):
            yield f"The order shown goes against {against} of the {len(edges)} dependencies that were found."


def _of_the_search(contents: Contents) -> Iterator[str]:
    found = contents.found
    if found is None:
        return
    if found.verdict in UNUSED:
        yield UNUSED[found.verdict]
    yield from found.remarks
    if found.exploration is not None:
        yield from found.exploration.remarks
    if found.uses_data_order:
        yield "The search was told the order that the data came in: to find that one again proves little."
    if found.constraints is not None:
        yield (
            f"Only orders that satisfy the {len(found.constraints.edges)} dependencies that were given beforehand "
            "were candidates; whether those are right was not examined."
        )


def _of_the_comparison(contents: Contents) -> Iterator[str]:
    fits, found = contents.fits, contents.found
    if not fits:
        if found is not None:
            yield "No model was trained to the end: what this order gains over others is not measured."
        return
    ended = {name: fitted for name, fitted in fits.items() if not fitted.get("diverged")}
    if len(ended) < len(fits):
        yield "A final training diverged, which tells nothing of its order. A lower learning rate may help."
    others = [name for name in ended if name != DISCOVERED] if DISCOVERED in ended else []
    same = [name for name in others if name not in beaten(fits) and _compared(contents, name) == 0]
    if told := [called for name in same for called in fits[name].get("called", [name])]:
        yield f"Final training does not tell the order found from: {', '.join(told)}."
    if ended and max(fitted["success_interval"][1] for fitted in ended.values()) < 0.5:
        best = max(fitted["success_rate"] for fitted in ended.values())
        if max(fitted["success_interval"][0] for fitted in ended.values()) < LEAST_SUCCESS:
            yield (
                f"Hardly a row is right in any order ({100 * best:.2f} % at best): the targets are random in "
                "part, or too few rows or training steps were used to tell."
            )
        else:
            yield f"Most rows are wrong in every order that was trained on: {100 * best:.2f} % are right at best."
    if not contents.run.result.get("complete", True):
        yield "The run ended before all orders were trained on."
    if contents.run.kind == "fit":
        yield "One order was trained, and no other: these numbers do not say whether the order matters."
    yield "Each order was trained once, from one seed: intervals tell of the test rows, not of other trainings."
    tested = min(fitted["test_rows"] for fitted in fits.values())
    if tested < FEW_TESTED:
        yield f"There are {tested:,} test rows only."


def _compared(contents: Contents, name: str) -> int:
    """Whether a final training was better (-1) or worse (1) than the order found by more than chance; else 0.

    By success where that tells orders apart, and else by row loss, row by row where the rows' losses are known.
    """
    ours, theirs = contents.fits.get(DISCOVERED), contents.fits[name]
    if ours is None or ours.get("diverged") or theirs.get("diverged"):
        return 0
    if tells(list(contents.fits.values())) == "success":
        (low, high), (least, most) = theirs["success_interval"], ours["success_interval"]
        return int(high < least) - int(low > most)
    if (more := contents.more_lost(name)) is not None:
        return int(more[0] > Z95 * more[1]) - int(more[0] < -Z95 * more[1])
    (low, high), (least, most) = theirs["row_loss_interval"], ours["row_loss_interval"]
    return int(low > most) - int(high < least)


def _of_the_evidence(contents: Contents) -> Iterator[str]:
    found = contents.found
    if found is None or found.exploration is None:
        if found is not None:
            yield f"The strategy {found.strategy} looks for no dependencies: why the order is good is unknown."
        return
    weak = [edge for edge in found.exploration.dependencies if edge.confidence < SURE]
    if weak:
        edge = min(weak, key=lambda edge: edge.confidence)
        yield (
            f"{len(weak)} of {len(found.exploration.dependencies)} dependencies have a confidence below {SURE}; "
            f"the least sure is {contents.name(edge.before)} before {contents.name(edge.after)}, "
            f"{edge.confidence:.4f}."
        )
    if found.exploration.dependencies:
        yield "The dependencies were read off one model, which started from one seed."


def _of_the_candidates(contents: Contents) -> Iterator[str]:
    profiles = contents.profiles
    if not profiles:
        return
    _, last = profiles[-1]
    lead = last.loss - last.loss[last.ranking[0]]
    near, others = int((lead <= Z95 * last.standard_error).sum()) - 1, len(last.orders) - 1
    if near > 0:
        which = "the other" if others == 1 else f"{near} of the {others} others"
        yield f"In the last profiling run the loss does not tell the best candidate from {which}."
    same = np.flatnonzero((last.orders == contents.order).all(1))
    if len(same) and (rank := int(np.flatnonzero(last.ranking == same[0])[0])):
        yield f"The order found has rank {rank + 1} of {len(last.orders)} in the last profiling run."
    if len(last.seed_loss) == 1:
        yield "Candidates of the last profiling run were trained from one seed."
    elif last.best_agreement is not None and last.best_agreement < 1:
        yield (
            f"The best candidate of the last profiling run is the best with {100 * last.best_agreement:.0f} % "
            f"of its {len(last.seed_loss)} seeds."
        )
    if len(profiles) > 1:
        yield "Losses compare only inside one profiling run, not from one to another, nor with final training."
    if contents.profile is not None:
        yield from contents.profile.remarks
        yield f"These {len(last.orders):,} orders were compared, and no others."
        yield "An early loss is a hint: which order trains best to the end, only training to the end can tell."


def _of_the_data(contents: Contents) -> Iterator[str]:
    if contents.data.get("split_by") == "row" and contents.data["input_length"]:
        yield "Rows were split one by one: an input may be among those that train and those that test."
    if "left_out" in contents.data:
        yield f"Rows were left out, of which nothing is known: {contents.data['left_out']}."
    share = contents.fits.get(DISCOVERED, {}).get("dependencies_satisfied")
    if share is not None and share < 1:
        yield f"The order found satisfies {100 * share:.0f} % of the dependencies that the task is known to have."
