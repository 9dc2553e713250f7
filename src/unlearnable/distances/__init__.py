"""From SAL arrays to numbers: pure functions of the SALs of a poisoned and a clean run, `[epochs, layers]` each.

A new distance is a function in a file of its own and an entry of `DISTANCES`; `result.json` then has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from numpy.typing import ArrayLike

from unlearnable.distances.convergence import convergence_epoch
from unlearnable.distances.count import (
    EpochDistance,
    UnlearnableDistance,
    distance_report,
    per_epoch,
    unlearnable_distance,
)
from unlearnable.distances.spread import DistanceSpread, distance_spread
from unlearnable.distances.threshold import learnability_threshold, learnable_layers

__all__ = [
    "DISTANCES",
    "Distance",
    "DistanceSpread",
    "EpochDistance",
    "UnlearnableDistance",
    "all_distances",
    "convergence_epoch",
    "distance_report",
    "distance_spread",
    "learnability_threshold",
    "learnable_layers",
    "per_epoch",
    "unlearnable_distance",
]


class Distance(Protocol):
    """How far a poisoned run is from its clean reference: NaN where that is undefined."""

    def __call__(
        self,
        poisoned: ArrayLike,
        clean: ArrayLike,
        /,
        *,
        weights: ArrayLike | None = None,
        converged_epoch: int | None = None,
    ) -> float:
        """The distance; see `all_distances` for the arguments."""


#: Name in `result.json` → the distance. `count` is the paper's UD, which `result.json` also has as `ud`.
DISTANCES: Mapping[str, Distance] = MappingProxyType(
    {
        "count": lambda poisoned, clean, /, **_: unlearnable_distance(poisoned, clean),
        "count_weighted": lambda poisoned, clean, /, *, weights=None, **_: (
            distance_report(poisoned, clean, weights=weights).weighted
        ),
        "count_until_convergence": lambda poisoned, clean, /, *, converged_epoch=None, **_: (
            distance_report(poisoned, clean, converged_epoch=converged_epoch).until_convergence
        ),
    }
)


def all_distances(
    poisoned: ArrayLike,
    clean: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    converged_epoch: int | None = None,
) -> dict[str, float]:
    """Every distance of `DISTANCES` by its name; they cost nothing beside a measurement.

    Args:
        poisoned: SAL of the run on poisoned data, `[T, L]`.
        clean: SAL of the run on clean data, `[T, L]`: the same epochs and layers.
        weights: Parameters per layer, `[L]`; `count_weighted` is NaN without.
        converged_epoch: Epoch index at which the clean model has converged; None takes the last.

    Raises:
        ValueError: If the arrays differ in shape or are no SAL arrays, or the clean run has no learnable layer.
    """
    return {
        name: distance(poisoned, clean, weights=weights, converged_epoch=converged_epoch)
        for name, distance in DISTANCES.items()
    }
