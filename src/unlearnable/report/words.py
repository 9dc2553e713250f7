"""Numbers as text: the same in tables, on the page and in figures."""

from __future__ import annotations

import math
from typing import Any


def pm(value: float, spread: float = math.nan, digits: int = 3) -> str:
    """`0.452 ± 0.031`; without the spread where there is none, a dash where there is no value."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}" + ("" if math.isnan(spread) else f" ± {spread:.{digits}f}")


def signed(value: float) -> str:
    """Two digits after the point, with a real minus sign."""
    return f"{value:.2f}".replace("-", "−")


def short(value: Any) -> str:
    """Four significant digits of a number, anything else as it is, a dash for what is not known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
