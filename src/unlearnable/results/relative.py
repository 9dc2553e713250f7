"""Relative performance of tasks: how much better or worse than a reference, each by its own metric."""

from __future__ import annotations

import math
from collections.abc import Iterable


def relative_performance(value: float, reference: float, *, higher_is_better: bool) -> float:
    """(−1)^l (M − M_ref) / |M_ref| in per cent, with l = 1 where lower is better: negative is worse than the reference.

    From Maninis, Radosavovic and Kokkinos (CVPR 2019). NaN where the reference is 0 or either is no number.
    """
    if not (math.isfinite(value) and math.isfinite(reference)) or reference == 0:
        return math.nan
    change = 100 * (value - reference) / abs(reference)
    return change if higher_is_better else -change


def delta_m(relative: Iterable[float]) -> float:
    """Δ_m, the mean of the tasks' relative performances in per cent; NaN if one of them is no number."""
    values = list(relative)
    return sum(values) / len(values) if values else math.nan
