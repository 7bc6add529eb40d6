"""How numbers and names are written on a page."""

from __future__ import annotations

import math

from pyorder._statistics import Z95

UNKNOWN = "-"


def shortened(text: str, most: int) -> str:
    """The text, cut where it has more than ``most`` characters.

    Examples
    --------
    >>> shortened("income", 6), shortened("incomes", 6)
    ('income', 'incom…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def number(value: float | None, digits: int) -> str:
    """A number with so many digits behind the point; a dash where it is not known.

    Examples
    --------
    >>> number(2.4791, 3), number(float("nan"), 3), number(None, 3)
    ('2.479', '-', '-')
    """
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(share: float | None) -> str:
    """A share as a percentage; a dash where it is not known.

    Examples
    --------
    >>> percent(0.99874), percent(None)
    ('99.87 %', '-')
    """
    return UNKNOWN if share is None else f"{100 * share:.2f} %"


def plus_minus(value: float, standard_error: float, digits: int = 3, sign: str = "") -> str:
    """A number and half of its 95 % interval, by its standard error.

    Examples
    --------
    >>> plus_minus(2.25, 0.0051), plus_minus(2.25, 0.0051, sign="+")
    ('2.250 ± 0.010', '+2.250 ± 0.010')
    """
    return f"{value:{sign}.{digits}f} ± {Z95 * standard_error:.{digits}f}"
