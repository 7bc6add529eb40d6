"""Charts of a page as inline SVG: lines over an axis, and values with intervals.

Colours come from the page's style sheet, so that they follow its theme; what a point says stands in a ``<title>``,
which browsers show on hover. Text goes through `markupsafe`, which escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from pyorder.report.wording import shortened

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 34, 46
MOST_POINTS = 240  # of a line; more cannot be told apart at this width
MOST_DOTS, MOST_TOLD = 30, 60  # points of a line that are dots, and of a longer one those that say what they are
LOGARITHMIC = 20  # times the smallest value that the largest is, from which on the axis is logarithmic
LOWEST = 1e-6  # a logarithmic axis has no zero
LONGEST_NAME = 24  # characters
SHADES, DASHES = 7, 4  # in the style sheet


@dataclass(frozen=True)
class Line:
    """Values ``y`` (n,) over ``x`` (n,), or points where not ``joined``.

    ``told`` says what each point is, ``error`` (n,) how far an error bar reaches up and down; none where empty.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    told: tuple[str, ...]
    error: tuple[float, ...] = ()
    joined: bool = True

    @classmethod
    def of(cls, name: str, x: npt.ArrayLike, y: npt.ArrayLike, unit: str) -> Line:
        """A line through at most ``MOST_POINTS`` of the points, evenly spaced; what is not finite is left out.

        Examples
        --------
        >>> Line.of("loss", [1, 2, 3], [2.5, np.nan, 2], "nats").told
        ('loss: 2.5 nats at 1', 'loss: 2 nats at 3')
        """
        places, values = np.asarray(x, np.float64), np.asarray(y, np.float64)
        places, values = places[np.isfinite(values)], values[np.isfinite(values)]
        kept = _evenly(len(values), MOST_POINTS)
        points = list(zip(places[kept].tolist(), values[kept].tolist(), strict=True))
        told = tuple(f"{name}: {value:.4g} {unit} at {place:,.6g}" for place, value in points)
        return cls(name, tuple(place for place, _ in points), tuple(value for _, value in points), told)


@dataclass(frozen=True)
class Chart:
    """Lines on common axes."""

    x_label: str
    y_label: str
    lines: tuple[Line, ...]

    @property
    def legend(self) -> tuple[tuple[str, str], ...]:
        """The class and the name of each line; none of a single one."""
        names = [(f"s{k % SHADES}", line.name) for k, line in enumerate(self.lines)]
        return tuple(names) if len(names) > 1 else ()

    def svg(self) -> Markup:
        """The drawing."""
        x = [value for line in self.lines for value in line.x]
        bars = [(value, error) for line in self.lines for value, error in zip(line.y, _errors(line), strict=True)]
        y = [value + sign * error for value, error in bars for sign in (-1, 1)]
        across = _Axis.over(x, LEFT, WIDTH - RIGHT)
        up = _Axis.over(y, HEIGHT - BOTTOM, TOP, may_be_logarithmic=True)
        parts = [_grid(across, up, self.x_label, self.y_label)]
        parts += [
            Markup("<g class='s{}'>{}{}</g>").format(
                k % SHADES, _path(line, k, across, up), _points(line, across, up)
            )
            for k, line in enumerate(self.lines)
        ]
        return svg(WIDTH, HEIGHT, f"{self.y_label} over {self.x_label}", parts)


@dataclass(frozen=True)
class Intervals:
    """A value a row with its interval: (name, value, low, high, text).

    The axis reaches from ``least`` to ``most``, where they are given, and the row called ``marked`` stands out.
    """

    label: str
    rows: tuple[tuple[str, float, float, float, str], ...]
    marked: str
    least: float | None = None
    most: float | None = None

    legend: ClassVar[tuple[tuple[str, str], ...]] = ()

    def svg(self) -> Markup:
        """The drawing."""
        names = [shortened(name, LONGEST_NAME) for name, *_ in self.rows]
        left, right = 20 + 7.5 * max(map(len, names)), WIDTH - 12 - 7.5 * max(len(row[4]) for row in self.rows)
        ends = [end for _, _, low, high, _ in self.rows for end in (low, high)]
        ends += [end for end in (self.least, self.most) if end is not None]
        across = _Axis.over(ends, left, right - 12)
        height = 46 + 30 * len(self.rows)
        parts = [
            Markup(
                "<path class='grid' d='M{0:.1f} 8V{1}'/><text class='mid' x='{0:.1f}' y='{2}'>{3}</text>"
            ).format(across.at(tick), height - 40, height - 26, _number(tick))
            for tick in across.ticks
        ]
        middle = (left + right) / 2
        parts.append(
            Markup("<text class='mid name' x='{:.1f}' y='{}'>{}</text>").format(middle, height - 6, self.label)
        )
        for k, (short, (name, value, low, high, text)) in enumerate(zip(names, self.rows, strict=True)):
            y = 22 + 30 * k
            parts.append(
                Markup(
                    "<g class='{}'><title>{}: {}</title><text class='end' x='{:.1f}' y='{}'>{}</text>"
                    "<path class='bar wide' d='M{:.1f} {}H{:.1f}'/><circle class='dot' cx='{:.1f}' cy='{}'/>"
                    "<text x='{:.1f}' y='{}'>{}</text></g>"
                ).format(
                    "s0" if name == self.marked else "s6",
                    name,
                    text,
                    left - 12,
                    y + 4,
                    short,
                    across.at(low),
                    y,
                    across.at(high),
                    across.at(value),
                    y,
                    right,
                    y + 4,
                    text,
                )
            )
        return svg(WIDTH, height, self.label, parts)


def svg(width: float, height: float, label: str, parts: Sequence[Markup]) -> Markup:
    """Wrap shapes up as a drawing of its own size in pixels; ``label`` is what is read out instead of it."""
    return Markup(
        "<svg width='{0:.0f}' height='{1:.0f}' viewBox='0 0 {0:.0f} {1:.0f}' role='img' {2}>{3}</svg>"
    ).format(width, height, Markup("aria-label='{}'").format(label), Markup("").join(parts))


@dataclass(frozen=True)
class _Axis:
    """A scale from ``low`` to ``high`` that is drawn from pixel ``start`` to pixel ``stop``."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool
    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Sequence[float], start: float, stop: float, may_be_logarithmic: bool = False) -> _Axis:
        low, high = min(values, default=0.0), max(values, default=1.0)
        least = max(min((value for value in values if value > 0), default=high), LOWEST)
        if may_be_logarithmic and low >= 0 and high > LOGARITHMIC * least:
            low = least
            first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
            every = 1 + (last - first) // 7
            ticks = tuple(10.0**power for power in range(first, last + 1, every))
            return cls(10.0**first, 10.0**last, start, stop, True, ticks)
        if low == high:
            low, high = low - (abs(low) or 1) / 10, high + (abs(high) or 1) / 10
        rough = (high - low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= rough * 0.999)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(round(k * step, 12) for k in range(first, last + 1))
        return cls(ticks[0], ticks[-1], start, stop, False, ticks)

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, LOWEST, low))
        return self.start + (self.stop - self.start) * (value - low) / (high - low)


def _grid(across: _Axis, up: _Axis, x_label: str, y_label: str) -> Markup:
    parts = [Markup("<text class='name' x='4' y='16'>{}</text>").format(y_label)]
    for tick in up.ticks:
        y = up.at(tick)
        parts.append(
            Markup("<path class='grid' d='M{} {:.1f}H{}'/><text class='end' x='{}' y='{:.1f}'>{}</text>").format(
                LEFT, y, WIDTH - RIGHT, LEFT - 8, y + 4, _number(tick)
            )
        )
    for tick in across.ticks:
        x = across.at(tick)
        parts.append(
            Markup(
                "<path class='tick' d='M{0:.1f} {1}v5'/><text class='mid' x='{0:.1f}' y='{2}'>{3}</text>"
            ).format(x, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 19, _number(tick))
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(Markup("<text class='mid name' x='{}' y='{}'>{}</text>").format(middle, HEIGHT - 8, x_label))
    return Markup("").join(parts)


def _path(line: Line, k: int, across: _Axis, up: _Axis) -> Markup:
    if not line.joined:
        return Markup("")
    path = " ".join(f"{across.at(x):.1f},{up.at(y):.1f}" for x, y in zip(line.x, line.y, strict=True))
    return Markup("<polyline class='line d{}' points='{}'/>").format(k % DASHES, path)


def _points(line: Line, across: _Axis, up: _Axis) -> Markup:
    """What is hovered over: dots where there are few, and on a long line some places that nobody sees."""
    seen = not line.joined or len(line.x) <= MOST_DOTS
    count = len(line.x) if seen else MOST_TOLD
    errors, parts = _errors(line), []
    for n in _evenly(len(line.x), count):
        x, y, error = across.at(line.x[n]), line.y[n], errors[n]
        bar = Markup("<path class='bar' d='M{:.1f} {:.1f}V{:.1f}'/>").format(x, up.at(y - error), up.at(y + error))
        parts.append(
            Markup("<g><title>{}</title>{}<circle class='{}' cx='{:.1f}' cy='{:.1f}'/></g>").format(
                line.told[n], bar if error else "", "dot" if seen else "hit", x, up.at(y)
            )
        )
    return Markup("").join(parts)


def _evenly(length: int, most: int) -> list[int]:
    """At most so many of the places 0 to length - 1, evenly spaced, with both ends."""
    places: list[int] = np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(int)).tolist()
    return places


def _errors(line: Line) -> tuple[float, ...]:
    return line.error or (0.0,) * len(line.y)


def _number(value: float) -> str:
    return f"{value:,.6g}" if value == 0 or 1e-4 <= abs(value) < 1e7 else f"{value:.0e}"
