"""How much a distance varies over seeds, and whether a poison can be told from clean data by it.

For any distance that compares one number of the poisoned run with one of the clean run (`Distance.observe`): the runs'
numbers are the observations, and a t-test on the logarithmic scale asks whether the two groups differ in the mean, with
the runs that share a seed as pairs (:mod:`unlearnable.distances.two_samples`). Beside it stand the distances of clean
runs to each other, and how many seeds the observed difference would need.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import UndefinedDistanceError
from unlearnable.distances.base import Distance, Pair, Runs, pairs_first
from unlearnable.distances.named import DISTANCES, missing_input, observer, with_spread
from unlearnable.distances.two_samples import SIGNIFICANCE, compare, seeds_needed
from unlearnable.files import finite


@dataclass(frozen=True)
class Spread:
    """A distance over seeds. "On its scale" means as the distance itself: a ratio, or a difference of logarithms.

    Attributes:
        distance: The distance's name.
        neutral: Its value for equal runs: 1 for a ratio, 0 for a difference of logarithms.
        by_seed: Seed → the distance of its poisoned run to the clean run of the same seed; seeds without one are
            missing, NaN where it has no value.
        value: The distance between the groups' means, on its scale: of all the poisoned runs to all the clean ones.
        low: Lower end of its 95 % interval; NaN for one seed.
        high: Upper end.
        clean_pairs: (seed i, seed j) → the distance of clean run i to clean run j, for all ordered pairs ``i ≠ j``.
        clean_low: Between this and ``clean_high`` lie 95 % of the distances of one clean run to another, as estimated from
            these; NaN for one seed.
        clean_high: See ``clean_low``.
        p_value: Probability that runs of equal mean differ as much as these do, two-sided; NaN for one seed.
        resolution: The smallest distance above ``neutral`` that these seeds could have told from clean: for a ratio R also
            1 / R, for a difference also its negative.
        seeds_needed: The fewest seeds, each with a poisoned and a clean run, that would tell the observed difference
            with a power of 0.8, at the observed scatter; None if unknown or above 10 000.
        distinguishable: ``p_value < 0.05``; None where there is no scatter to compare with.
        verdict: The same in words, with the numbers that decide it.
        left_out: Entries that are not finite in one of the runs and were left out of all.
    """

    distance: str
    neutral: float
    by_seed: dict[int, float]
    value: float
    low: float
    high: float
    clean_pairs: dict[tuple[int, int], float]
    clean_low: float
    clean_high: float
    p_value: float
    resolution: float
    seeds_needed: int | None
    distinguishable: bool | None
    verdict: str
    left_out: int

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists for JSON; NaN becomes ``None``, the pairs a list of (seed, seed, distance)."""
        fields = asdict(self)
        fields["by_seed"] = {str(seed): value for seed, value in self.by_seed.items()}
        fields["clean_pairs"] = [(*pair, value) for pair, value in self.clean_pairs.items()]
        return dict(finite(fields))


def spread_of(
    distance: str,
    poisoned_sal: Mapping[int, ArrayLike],
    clean_sal: Mapping[int, ArrayLike],
    *,
    weights: ArrayLike | None = None,
    losses: Mapping[int, ArrayLike] | None = None,
    clean_losses: Mapping[int, ArrayLike] | None = None,
) -> Spread:
    """A distance over seeds: an interval, clean against clean, a verdict, and how many seeds it would take.

    Args:
        distance: A name of `DISTANCES` whose distance has a spread.
        poisoned_sal: Seed → SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: Seed → SAL of the run on clean data, ``[T, L]``. Runs that share a seed are compared as pairs; further
            clean runs sharpen the verdict.
        weights: Parameters per layer, ``[L]``, for a weighted distance.
        losses: Seed → loss of the poisoned run on its probe, ``[T]``, for a distance that needs it.
        clean_losses: The same of the clean runs.

    Raises:
        ValueError: If the distance is unknown, has no spread or lacks an input, there is no run, or the arrays are no
            SAL arrays of one shape.
    """
    groups = _groups(poisoned_sal, clean_sal, weights, losses, clean_losses)
    found = _spread(distance, *groups)
    if found is None:
        raise ValueError(missing_input(distance))
    return found


def all_spreads(
    poisoned_sal: Mapping[int, ArrayLike],
    clean_sal: Mapping[int, ArrayLike],
    *,
    weights: ArrayLike | None = None,
    losses: Mapping[int, ArrayLike] | None = None,
    clean_losses: Mapping[int, ArrayLike] | None = None,
) -> dict[str, Spread]:
    """The spread of every distance that has one and whose inputs are there, by name; see :func:`spread_of`.

    A distance that has no value for these runs (no learnable layer in a clean run) is missing.

    Raises:
        ValueError: If there is no run, or the arrays are not SAL arrays of one shape.
    """
    groups = _groups(poisoned_sal, clean_sal, weights, losses, clean_losses)
    spreads: dict[str, Spread] = {}
    for name in with_spread():
        with suppress(UndefinedDistanceError):
            if (found := _spread(name, *groups)) is not None:
                spreads[name] = found
    return spreads


def _groups(
    poisoned_sal: Mapping[int, ArrayLike],
    clean_sal: Mapping[int, ArrayLike],
    weights: ArrayLike | None,
    losses: Mapping[int, ArrayLike] | None,
    clean_losses: Mapping[int, ArrayLike] | None,
) -> tuple[Runs, Runs, int]:
    poisoned = Runs.of(poisoned_sal, "poisoned_sal", losses=losses, weights=weights)
    clean = Runs.of(clean_sal, "clean_sal", losses=clean_losses, weights=weights)
    poisoned.check_fits(clean)
    return pairs_first(poisoned, clean)


def _spread(name: str, poisoned: Runs, clean: Runs, shared: int) -> Spread | None:
    """The spread of groups of runs that have their first `shared` seeds in common; None where an input is missing."""
    seen, distance = observer(name)(poisoned, clean), DISTANCES[name]
    if seen is None:
        return None
    found = compare(
        seen.poisoned,
        seen.clean,
        shared=shared,
        rounding_poisoned=seen.rounding_poisoned,
        rounding_clean=seen.rounding_clean,
    )
    difference, margin, p_value = float(found.difference), float(found.margin), float(found.p_value)
    null, between_clean = _null_margin(seen.clean), _clean_pairs(name, clean.pick(tuple(sorted(clean.seeds))))
    return Spread(
        distance=name,
        neutral=distance.neutral,
        by_seed={seed: _between(distance, poisoned, seed, clean, seed) for seed in poisoned.seeds[:shared]},
        value=_on_scale(distance, difference),
        low=_on_scale(distance, difference - margin),
        high=_on_scale(distance, difference + margin),
        clean_pairs={pair: between_clean[pair] for pair in permutations(clean.seeds, 2)},
        clean_low=_on_scale(distance, -null),
        clean_high=_on_scale(distance, null),
        p_value=p_value,
        resolution=_on_scale(distance, margin),
        seeds_needed=seeds_needed(
            difference,
            float(found.std_poisoned),
            float(found.std_clean),
            float(found.correlation),
            paired=shared > 1,
        ),
        distinguishable=None if math.isnan(p_value) else p_value < SIGNIFICANCE,
        verdict=_in_words(p_value, _on_scale(distance, margin), poisoned, clean, shared, distance.neutral),
        left_out=seen.left_out,
    )


@lru_cache(maxsize=128)
def _clean_pairs(name: str, clean: Runs) -> dict[tuple[int, int], float]:
    """Each clean run's distance to each other one; found once, as the methods of a setting share their clean runs."""
    distance = DISTANCES[name]
    return {(one, other): _between(distance, clean, one, clean, other) for one, other in permutations(clean.seeds, 2)}


def _between(distance: Distance, one: Runs, seed: int, other: Runs, of: int) -> float:
    """The distance of one run to another; NaN where it has no value."""
    i, j = one.seeds.index(seed), other.seeds.index(of)
    losses = None if one.losses is None else one.losses[i]
    clean_losses = None if other.losses is None else other.losses[j]
    pair = Pair(one.sal[i], other.sal[j], other.weights, other.sal.shape[1] - 1, losses, clean_losses)
    try:
        return distance.between(pair)
    except UndefinedDistanceError:
        return math.nan


def _null_margin(clean: np.ndarray) -> float:
    """Half the width of the interval that holds 95 % of the differences of two clean runs' observations."""
    from scipy.stats import t as student

    if len(clean) < 2:
        return math.nan
    return float(student.isf(SIGNIFICANCE / 2, len(clean) - 1) * clean.std(ddof=1) * math.sqrt(2))


def _on_scale(distance: Distance, log: float) -> float:
    return float(np.exp(log)) if distance.neutral == 1 else log


def _in_words(p_value: float, resolution: float, poisoned: Runs, clean: Runs, shared: int, neutral: float) -> str:
    n, m = len(poisoned.seeds), len(clean.seeds)
    if math.isnan(p_value):
        if min(n, m) > 1:
            return "no verdict (the runs have no scatter to compare with, or nothing in common that is finite)"
        few = "one seed" if max(n, m) == 1 else f"{n} poisoned and {m} clean run(s)"
        return f"{few}: no verdict (no scatter to compare with; run at least two seeds)"
    answer = "distinguishable from clean" if p_value < SIGNIFICANCE else "not distinguishable from clean"
    resolves = f"below {1 / resolution:.2f} or above {resolution:.2f}" if neutral == 1 else f"beyond ±{resolution:.2f}"
    return f"{answer} (p = {p_value:.2g}, t-test, {n} against {m} runs, {shared} of them pairs; resolves {resolves})"
