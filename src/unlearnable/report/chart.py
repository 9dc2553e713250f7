"""What a figure shows, ready to be drawn by `render_plotly` or `render_matplotlib`.

A chart is one set of axes. Lengths are in the axes' units; NaN stands for what is not known and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64

from unlearnable.report.style import SEQUENTIAL, Look

#: A place on an axis: a number, or the name of a category.
Place = float | str


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        title: Its words.
        scale: `category` for names, the first at the left or at the top.
        percent: Whether its numbers are shares.
        from_zero: Whether it starts at zero.
        categories: The names in order; empty takes them as they come.
        ticks: The places that are named; empty leaves them to the renderer.
        whole: Whether only whole numbers are named.
    """

    title: str = ""
    scale: Literal["linear", "log", "category"] = "linear"
    percent: bool = False
    from_zero: bool = False
    categories: Sequence[str] = ()
    ticks: Sequence[float] = ()
    whole: bool = False


@dataclass(frozen=True)
class Series:
    """Points that belong together.

    Attributes:
        name: In the legend.
        x: Places.
        y: Places.
        look: Of all points, or of each.
        joined: Whether a line runs through them.
        x_range: The ends of an interval around each point, NaN where there is none; empty for none at all.
        y_range: The same along y.
        band: Half the height of a faint band around the line, one a point; empty for none.
        labels: Written beside the points; empty for none.
        notes: More about each point, shown where a pointer can ask.
    """

    name: str
    x: Sequence[Place]
    y: Sequence[Place]
    look: Look | Sequence[Look]
    joined: bool = False
    x_range: Sequence[tuple[float, float]] = ()
    y_range: Sequence[tuple[float, float]] = ()
    band: Sequence[float] = ()
    labels: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Box:
    """A distribution: its median, quartiles and whiskers."""

    name: str
    look: Look
    low: float
    first_quartile: float
    median: float
    third_quartile: float
    high: float


@dataclass(frozen=True)
class Heat:
    """A matrix in colours.

    Attributes:
        values: `[rows, columns]`.
        rows: Their names, from the top.
        columns: Their names, or the numbers they stand for.
        unit: What the colours mean.
        low: Value of the first colour.
        high: Value of the last.
        logarithmic: Whether colours follow the logarithm; what is not positive is left out.
        colours: Name of the colour map, plotly's and matplotlib's.
        texts: Written into the cells, `[rows][columns]`; empty for none.
        dots: Cells that are marked with a dot.
        notes: More about each cell, shown where a pointer can ask, `[rows][columns]`; empty for none.
        mark: A value that is marked on the scale, and its symbol.
    """

    values: Float64[np.ndarray, "rows columns"]
    rows: Sequence[str]
    columns: Sequence[Place]
    unit: str
    low: float
    high: float
    logarithmic: bool = False
    colours: tuple[str, str] = SEQUENTIAL
    texts: Sequence[Sequence[str]] = ()
    dots: Bool[np.ndarray, "rows columns"] | None = None
    notes: Sequence[Sequence[str]] = ()
    mark: tuple[float, str] | None = None


@dataclass(frozen=True)
class Guide:
    """A dashed line across the chart, at `x` or at `y`, with its words if there are any."""

    x: float | None = None
    y: float | None = None
    words: str = ""


@dataclass(frozen=True)
class Chart:
    """One set of axes and what is on them.

    Attributes:
        x: Axis to the right.
        y: Axis upwards.
        series: Points and lines, the last on top.
        boxes: Distributions, one a category of `x`.
        heat: A matrix; its names are the axes' categories.
        guides: Dashed lines.
        span: A grey band over a range of `x`: its name, start and end.
        title: What tells it from its neighbours, or what it comes to.
        legend: Whether the series are named apart from the chart.
    """

    x: Axis
    y: Axis
    series: Sequence[Series] = ()
    boxes: Sequence[Box] = ()
    heat: Heat | None = None
    guides: Sequence[Guide] = ()
    span: tuple[str, float, float] | None = None
    title: str = ""
    legend: bool = True


def reaches(places: Sequence[Place], ranges: Sequence[tuple[float, float]]) -> Float64[np.ndarray, "2 points"]:
    """How far each interval reaches below and above its place; 0 where that is not known."""
    ends = np.array(ranges, dtype=np.float64).reshape(-1, 2).T
    found = np.array([[-1.0], [1.0]]) * (ends - np.array(places, dtype=np.float64))
    return np.nan_to_num(found, posinf=0, neginf=0).clip(min=0)


def decades(values: Sequence[float]) -> list[float]:
    """Ticks of a logarithmic axis with these values: 1, 2 and 5 of each power of ten, its first alone over many."""
    known = [value for value in values if 0 < value < math.inf]
    low, high = (math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))) if known else (0, 0)
    ticks = [
        float(f"{step}e{power}") for power in range(low, high + 1) for step in ((1, 2, 5) if high - low < 4 else (1,))
    ]
    inside = [tick for tick in ticks if known and min(known) / 2 <= tick <= 2 * max(known)]
    return inside or [1.0]


def lifts(places: Sequence[tuple[float, float]], *, near: float, line: float) -> list[float]:
    """How far above its point each label stands, so that none lies on another.

    Args:
        places: The points, to the right and upwards, in the unit of the lifts.
        near: Points less far apart than this, side by side, may have labels that meet.
        line: Height of a label.
    """
    found: dict[int, float] = {}
    for number in sorted(range(len(places)), key=lambda number: places[number][1]):
        column, row = places[number]
        lift = line / 2
        while any(
            abs(column - places[other][0]) < near and abs(row + lift - places[other][1] - above) < line
            for other, above in found.items()
        ):
            lift += line / 7
        found[number] = lift
    return [found[number] for number in range(len(places))]


def texts_of(values: Float64[np.ndarray, "rows columns"]) -> list[list[str]]:
    """Each value with two digits after the point, a dash for NaN."""
    return [["–" if math.isnan(value) else f"{value:.2f}" for value in row] for row in values]


def ratio_ends(values: Float64[np.ndarray, "..."]) -> tuple[float, float]:
    """The ends of a logarithmic scale around 1 that holds these ratios, and a factor of ten at least."""
    known = values[np.isfinite(values) & (values > 0)]
    furthest = max([10.0, *known.tolist(), *(1 / known).tolist()])
    return 1 / furthest, furthest


def matrix(
    values: Float64[np.ndarray, "rows columns"],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    unit: str,
    low: float,
    high: float,
    logarithmic: bool = False,
    colours: tuple[str, str] = SEQUENTIAL,
    texts: Sequence[Sequence[str]] = (),
    x: str = "",
    y: str = "",
    title: str = "",
) -> Chart:
    """A small matrix whose cells say their values."""
    heat = Heat(values, rows, columns, unit, low, high, logarithmic, colours, texts or texts_of(values))
    return Chart(Axis(x, "category"), Axis(y, "category"), heat=heat, title=title)
