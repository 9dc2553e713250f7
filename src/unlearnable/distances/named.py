"""The distances by their names in `result.json`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from unlearnable.distances import observations
from unlearnable.distances.arrays import UndefinedDistanceError
from unlearnable.distances.base import Distance, Observer, Pair
from unlearnable.distances.count import distance_report, unlearnable_distance
from unlearnable.distances.count_log import count_log_report
from unlearnable.distances.count_published import published_threshold
from unlearnable.distances.geometric import geometric_distance, geometric_report
from unlearnable.distances.loss import equal_loss, loss_ratio, relative_sharpness

Losses = Float64[np.ndarray, " epochs"]


def _with_losses(distance: Callable[[Pair, Losses, Losses], float]) -> Callable[[Pair], float]:
    def between(pair: Pair) -> float:
        if pair.losses is None or pair.clean_losses is None:
            return math.nan
        return distance(pair, pair.losses, pair.clean_losses)

    return between


#: Name in `result.json` → the distance. `count` is the paper's UD, which `result.json` also has as `ud`.
DISTANCES: Mapping[str, Distance] = MappingProxyType(
    {
        "count": Distance(lambda pair: unlearnable_distance(pair.poisoned, pair.clean), observations.count),
        "count_weighted": Distance(
            lambda pair: distance_report(pair.poisoned, pair.clean, weights=pair.weights).weighted,
            observations.count_weighted,
        ),
        "count_until_convergence": Distance(
            lambda pair: (
                distance_report(pair.poisoned, pair.clean, converged_epoch=pair.converged_epoch).until_convergence
            )
        ),
        "count_published": Distance(
            lambda pair: unlearnable_distance(pair.poisoned, pair.clean, beta=published_threshold(pair.clean))
        ),
        "count_log": Distance(lambda pair: count_log_report(pair.poisoned, pair.clean).value, observations.count_log),
        "geometric": Distance(lambda pair: geometric_distance(pair.poisoned, pair.clean), observations.geometric),
        "geometric_weighted": Distance(
            lambda pair: geometric_report(pair.poisoned, pair.clean, weights=pair.weights).weighted,
            observations.geometric_weighted,
        ),
        "geometric_until_convergence": Distance(
            lambda pair: (
                geometric_report(pair.poisoned, pair.clean, converged_epoch=pair.converged_epoch).until_convergence
            )
        ),
        "geometric_late": Distance(
            lambda pair: geometric_report(pair.poisoned, pair.clean).late, observations.geometric_late
        ),
        "loss_ratio": Distance(
            _with_losses(lambda _, losses, clean: loss_ratio(losses, clean)), observations.loss_ratio
        ),
        "relative_sharpness": Distance(
            _with_losses(lambda pair, losses, clean: relative_sharpness(pair.poisoned, pair.clean, losses, clean)),
            observations.relative_sharpness,
            neutral=0.0,
        ),
        "equal_loss": Distance(
            _with_losses(lambda pair, losses, clean: equal_loss(pair.poisoned, pair.clean, losses, clean).value)
        ),
    }
)


def all_distances(
    poisoned: ArrayLike,
    clean: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    converged_epoch: int | None = None,
    losses: ArrayLike | None = None,
    clean_losses: ArrayLike | None = None,
) -> dict[str, float]:
    """Every distance of `DISTANCES` by its name; they cost nothing beside a measurement.

    Args:
        poisoned: SAL of the run on poisoned data, `[T, L]`.
        clean: SAL of the run on clean data, `[T, L]`: the same epochs and layers.
        weights: Parameters per layer, `[L]`, for the weighted ones.
        converged_epoch: Epoch index at which the clean model has converged; None takes the last.
        losses: Loss of the poisoned run on its probe in the epochs of SAL, `[T]`, for those that need it.
        clean_losses: The same of the clean run.

    Returns:
        All names, always: NaN where an input is missing, or the distance has no value for these arrays.

    Raises:
        ValueError: If the arrays differ in shape or are not SAL arrays, or the other arguments do not fit them.
    """
    pair = Pair.of(
        poisoned,
        clean,
        weights=weights,
        converged_epoch=converged_epoch,
        losses=losses,
        clean_losses=clean_losses,
    )
    return {name: _or_nan(distance, pair) for name, distance in DISTANCES.items()}


def with_spread() -> list[str]:
    """Names of the distances that have a spread over seeds, and a verdict."""
    return [name for name, distance in DISTANCES.items() if distance.observe is not None]


def observer(name: str) -> Observer:
    """What the distance of this name sees of each run.

    Raises:
        ValueError: If there is no such distance, or it has no spread.
    """
    found = DISTANCES[name].observe if name in DISTANCES else None
    if found is None:
        raise ValueError(
            f"`distance` must be one that has a spread over seeds; got {name!r}. Known are {', '.join(with_spread())}."
        )
    return found


def missing_input(name: str) -> str:
    """The message for a distance that was asked for by name and lacks an input."""
    return f"`{name}` needs an input that is missing: the losses of all the runs, or `weights`."


def _or_nan(distance: Distance, pair: Pair) -> float:
    try:
        return distance.between(pair)
    except UndefinedDistanceError:
        return math.nan
