"""Whether one order fits all rows: steps that help each other in opposite directions, in different rows.

==========  ================  =====================================================================
symbol      shape             meaning
==========  ================  =====================================================================
E                             evidence rows
K                             contexts: random sets of other steps that stand before the pair
swaps       (E, K) float64    nats that a row loses more with the pair's second step first
==========  ================  =====================================================================

*Swaps.* Two steps that stand next to each other change places. No other step sees another set of steps, so the
two losses of the pair say all that the row gains. A model that knew everything would lose the same both ways
(p(a) p(b | a) = p(b) p(a | b)), and where steps merely tell of each other, a reversible pair, a model that has
learned it does. In a dependency rows lose less with the same step first. In a mixture the sign differs from row to
row, and stays a row's own whatever stands before the pair.

*Sides.* Half of the contexts put a row on a side, and the others, drawn anew, say what that is worth. Both sides
must surely be worth something.

*Columns.* What tells the sides apart is looked for among the input columns, then among pairs of them: values take
the sign that the swaps of half of the rows have, and the other half says what that is worth. A name is given to
what surely beats one order for all rows, with as many tests reckoned with as there are columns, and which comes
close to each row's own sign.

Nothing of this is asked where one order has taught the model every step.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from pyorder.dependencies.explorer import Explorer
from pyorder.dependencies.statistics import FirstLook, mean_and_error, pairs, z_threshold
from pyorder.orders.permutations import sample
from pyorder.streams import seed_from

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pair = tuple[int, int]

MOST_PAIRS = 4  # that are looked at, those first that help each other most
CONTEXTS = 4  # half of them put rows on a side, half say what that is worth
TAUGHT = 0.1  # of its entropy; one order has taught what a step loses less than
LEAST_WORTH = 0.2  # of the pair's mean entropy, that a row must gain on either side
LEAST_ROWS = 0.05  # of all, on the smaller side
UNNAMED_ROWS, UNNAMED_LIKENESS = 0.25, 0.9  # where no input tells why: more, and a row alike in all contexts
NEARLY = 0.8  # of what rows gain each by its own sign, that a column must gain
MOST_COLUMNS = 24  # inputs, up to which all pairs of them are tried


@dataclass(frozen=True)
class Opposed:
    """Two steps of which each should come first in some of the rows.

    Attributes
    ----------
    one, other : canonical steps
    gain, other_gain : nats that a row gains, on its side, with ``one`` first, and with ``other`` first
    share : of the rows, that are on the side of ``one``
    columns : names of the inputs that tell the sides apart, one or two; none where none was found
    """

    one: int
    other: int
    gain: float
    other_gain: float
    share: float
    columns: tuple[str, ...] = ()


def suspects(
    look: FirstLook, graph_loss: Floats, entropy: Floats, *, share: float, threshold: float
) -> list[Pair]:
    """Pairs that surely help each other in both directions, one of which is not learned in sorts of the graph.

    Examples
    --------
    >>> both = FirstLook(np.array([[0.0, 1.0], [0.9, 0.0]]), np.full((2, 2), 0.1), np.ones(2), 100, 1.0)
    >>> suspects(both, np.array([0.0, 1.0]), np.full(2, 3.0), share=0.1, threshold=3.0)
    [(0, 1)]
    >>> suspects(both, np.array([0.0, 0.1]), np.full(2, 3.0), share=0.1, threshold=3.0)
    []
    """
    sure = look.benefit - threshold * look.standard_error > share * look.step_loss
    left = graph_loss > TAUGHT * entropy
    mutual = np.minimum(look.benefit, look.benefit.T) * (sure & sure.T) * (left[:, None] | left)
    found = np.argwhere(np.triu(mutual, 1) > 0)
    return [(int(a), int(b)) for a, b in sorted(found.tolist(), key=lambda pair: -mutual[tuple(pair)])][
        :MOST_PAIRS
    ]


def cost_in_rows(explorer: Explorer, found: list[Pair]) -> int:
    """How many rows are scored to look at so many pairs."""
    return 2 * CONTEXTS * explorer.evidence_rows * len(found)


def opposed_pairs(explorer: Explorer, found: list[Pair], *, error_rate: float) -> tuple[Opposed, ...]:
    """Those of some pairs whose direction is the row's; see this module's notes."""
    threshold = z_threshold(error_rate, 2 * pairs(explorer.length))
    judged = []
    for pair in found:
        swaps = swapped(explorer, pair)
        worth = LEAST_WORTH * float(explorer.base[list(pair)].mean())
        sides = take_sides(swaps, explorer.cluster, worth=worth, threshold=threshold)
        if sides is None:
            continue
        rate = error_rate / (2 * len(found))  # of single columns, and of pairs of them, for every suspect
        columns = splitting(swaps.mean(1), explorer.evidence_inputs(), explorer.cluster, rate, explorer.rng)
        gain, other_gain, *shares = sides
        if columns or (min(shares) >= UNNAMED_ROWS and likeness(swaps) >= UNNAMED_LIKENESS):
            names = tuple(dict.fromkeys(map(explorer.input_name, columns)))
            judged.append(Opposed(*pair, gain, other_gain, shares[0], names))
    return tuple(judged)


def swapped(explorer: Explorer, pair: Pair) -> Floats:
    """What each evidence row loses more with the second step of a pair first, in random contexts: (E, K)."""
    rows, (one, other) = np.arange(explorer.evidence_rows), pair
    swaps = np.empty((len(rows), CONTEXTS))
    for context in range(CONTEXTS):
        slots = sample(explorer.length, len(rows), seed=seed_from(explorer.rng)).astype(np.float64)
        lost = []
        for first, second in ((one, other), (other, one)):
            places = slots.copy()
            places[:, first], places[:, second] = slots[:, one], slots[:, one] + 0.5
            losses = explorer.losses(rows, places.argsort(1))
            lost.append(losses[:, one] + losses[:, other])
        swaps[:, context] = lost[1] - lost[0]
    return swaps


def take_sides(
    swaps: Floats, cluster: Ints, *, worth: float, threshold: float
) -> tuple[float, float, float, float] | None:
    """Put rows on two sides by half of the contexts, and see by the others that both are worth it.

    Returns
    -------
    nats that rows gain on the one side and on the other, and the shares of all rows that are on either; None where
    there are no two sides

    Examples
    --------
    >>> rows, mixed = np.arange(100), np.repeat([[2.0], [-3.0]], [70, 30], axis=0) * np.ones(4)
    >>> take_sides(mixed, rows, worth=0.1, threshold=3.0)
    (2.0, 3.0, 0.7, 0.3)
    >>> take_sides(np.abs(mixed), rows, worth=0.1, threshold=3.0) is None
    True
    """
    half = swaps.shape[1] // 2
    put, told = swaps[:, :half].mean(1), swaps[:, half:].mean(1)
    gains, counts = [], []
    for sign in (1.0, -1.0):
        side = sign * put > worth
        if side.sum() < LEAST_ROWS * len(put):
            return None
        mean, error = mean_and_error(sign * told[side], cluster[side])
        if mean - threshold * error <= worth:
            return None
        gains.append(mean)
        counts.append(int(side.sum()))
    return gains[0], gains[1], counts[0] / len(put), counts[1] / len(put)


def likeness(swaps: Floats) -> float:
    """Correlation over rows of what half of the contexts say with what the others say.

    A model that has learned hardly anything is wrong in a row's own way, too, but not so firmly.

    Examples
    --------
    >>> likeness(np.array([[2.0, 2.0], [-1.0, -1.0], [2.0, 2.0]]))
    1.0
    """
    half = swaps.shape[1] // 2
    return float(np.corrcoef(swaps[:, :half].mean(1), swaps[:, half:].mean(1))[0, 1].round(12))


def splitting(
    swaps: Floats, inputs: Ints, cluster: Ints, error_rate: float, rng: np.random.Generator
) -> tuple[int, ...]:
    """Which input columns tell the sides of rows apart: one, else two, else none; see this module's notes.

    Parameters
    ----------
    swaps : (E,) a row's mean
    inputs : (E, X)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> inputs = rng.integers(2, size=(400, 4))
    >>> told = np.where(inputs[:, 2] == 1, 1.0, -1.0) + rng.normal(0, 0.1, 400)
    >>> splitting(told, inputs, np.arange(400), 0.01, rng)
    (2,)
    >>> told = np.where(inputs[:, 1] == inputs[:, 3], 1.0, -1.0) + rng.normal(0, 0.1, 400)
    >>> splitting(told, inputs, np.arange(400), 0.01, rng)
    (1, 3)
    """
    half = rng.random(int(cluster.max()) + 1)[cluster] < 0.5
    fitted, tested = np.flatnonzero(half), np.flatnonzero(~half)
    if not len(fitted) or not len(tested):
        return ()
    one_order = np.sign(swaps[fitted].mean())
    count = inputs.shape[1]
    alone: list[tuple[int, ...]] = [(column,) for column in range(count)]
    two: list[tuple[int, ...]] = list(combinations(range(count if count <= MOST_COLUMNS else 0), 2))
    for groups in (alone, two):
        threshold, most = z_threshold(error_rate, len(groups)), 0.0
        best: tuple[int, ...] = ()
        for columns in groups:
            value = np.unique(inputs[:, columns], axis=0, return_inverse=True)[1].reshape(-1)
            sums = np.bincount(value[fitted], swaps[fitted], minlength=int(value.max()) + 1)
            sign = np.sign(sums)[value[tested]]
            more, error = mean_and_error((sign - one_order) * swaps[tested], cluster[tested])
            near = float((sign * swaps[tested]).sum()) >= NEARLY * float(np.abs(swaps[tested]).sum())
            if near and more > max(most, threshold * error):
                most, best = more, columns
        if best:
            return best
    return ()
