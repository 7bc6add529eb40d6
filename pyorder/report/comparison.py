"""Final trainings beside each other: what compares them, and which were better than that of the order found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DISCOVERED = "discovered"  # the order that a search found, among those that are trained on
LEAST_SUCCESS = 0.01  # a share of right rows that is clearly above zero


def tells(fits: Sequence[Mapping[str, Any]]) -> str:
    """Which number compares final trainings: "success" or "row loss".

    Success does where the best rate is clearly above zero and its interval apart from that of the worst; where
    targets are random, or too little was learned, no row may be right in any order.

    Examples
    --------
    >>> good = {"success_rate": 0.9, "success_interval": [0.88, 0.92], "row_loss": 0.5}
    >>> none = {"success_rate": 0.0, "success_interval": [0.0, 0.004], "row_loss": 7.5}
    >>> tells([good, none]), tells([none, none]), tells([good])
    ('success', 'row loss', 'success')
    """
    ended = [fitted for fitted in fits if not fitted.get("diverged")]
    if not all(fitted.get("row_loss") is not None for fitted in ended):
        return "success"
    intervals = sorted((fitted["success_interval"] for fitted in ended), key=sum)
    if not intervals or intervals[-1][0] < LEAST_SUCCESS:
        return "row loss" if ended else "success"
    apart = len(intervals) == 1 or intervals[-1][0] > intervals[0][1]
    return "success" if apart else "row loss"


def beaten(fits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name the orders that trained better than the one found: their intervals of what `tells` lie apart.

    Examples
    --------
    >>> good = {"success_rate": 0.9, "success_interval": [0.88, 0.92], "row_loss": 0.5}
    >>> poor = {"success_rate": 0.8, "success_interval": [0.78, 0.82], "row_loss": 0.9}
    >>> beaten({"discovered": poor, "reverse": good}), beaten({"discovered": good, "reverse": poor})
    (['reverse'], [])
    """
    ended = {name: fitted for name, fitted in fits.items() if not fitted.get("diverged")}
    if DISCOVERED not in fits or not ended:
        return []
    if DISCOVERED not in ended:
        return list(ended)
    lead = tells(list(ended.values()))
    ours = ended.pop(DISCOVERED)
    if lead == "success":
        return [name for name, fit in ended.items() if fit["success_interval"][0] > ours["success_interval"][1]]
    return [name for name, fit in ended.items() if fit["row_loss_interval"][1] < ours["row_loss_interval"][0]]


def standing(fitted: Mapping[str, Any], lead: str) -> tuple[bool, float]:
    """What final trainings are sorted by, best first, where ``lead`` is what `tells` them apart.

    Examples
    --------
    >>> standing({"success_rate": 0.9, "row_loss": 0.5}, "row loss")
    (False, 0.5)
    """
    value = fitted["row_loss"] if lead == "row loss" else -fitted["success_rate"]
    return bool(fitted.get("diverged")), 0.0 if fitted.get("diverged") else value
