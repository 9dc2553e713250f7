"""From SAL arrays to numbers: pure functions."""

from __future__ import annotations

from numpy.typing import ArrayLike

from unlearnable.distances.count import distance_report


def all_distances(poisoned: ArrayLike, clean: ArrayLike, *, weights: ArrayLike | None = None) -> dict[str, float]:
    """Every distance by name."""
    found = distance_report(poisoned, clean, weights=weights)
    return {"count": found.value, "count_weighted": found.weighted}
