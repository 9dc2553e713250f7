"""Numbers as text: the same in tables, on the page and in figures."""

from __future__ import annotations

import math
from typing import Any

from unlearnable.results.cells import UD, Cell


def pm(value: float, spread: float = math.nan, digits: int = 3) -> str:
    """`0.452 ± 0.031`; without the spread where there is none, a dash where there is no value."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" + ("" if math.isnan(spread) else f" ± {spread:.{digits}f}")


def said(cell: Cell, distance: str, digits: int = 2) -> str:
    """A distance over a cell's seeds: UD as `0.45 ± 0.03`, any other as `0.45 [0.39, 0.52]`, its 95 % interval."""
    if distance == UD:
        return pm(cell.ud, cell.ud_std, digits)
    low, high = cell.interval(distance)
    ends = "" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return pm(cell.value(distance), digits=digits) + ends


def signed(value: float) -> str:
    """Two digits after the point, with a real minus sign."""
    return f"{value:.2f}".replace("-", "−")


def short(value: Any) -> str:
    """Four significant digits of a number, anything else as it is, a dash for what is not known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
