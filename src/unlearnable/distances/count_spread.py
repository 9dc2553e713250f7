"""How much the published UD varies over seeds, and whether it can tell a poison from clean data at all.

Two clean runs that differ in their seed alone do not have UD 1: their layer counts differ by chance. So UD is given
with its standard deviation over seeds, beside the UDs of clean against clean, and with a verdict.

The verdict compares *runs*, as pairs of runs share runs and are not independent: each run's learnable layers (mean over
the epochs, all at one β, the mean of the clean runs' thresholds) is one observation, and Student's two-sample t-test
asks whether poisoned and clean runs differ in the mean. Its assumption, equal normal scatter in both groups, is what
makes an answer from two to five seeds possible at all; a permutation test of three against three cannot go below p =
0.1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import sal_array
from unlearnable.distances.count import distance_report
from unlearnable.distances.threshold import learnability_threshold, learnable_layers

SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class DistanceSpread:
    """UD over seeds.

    Attributes:
        by_seed: Seed → UD of its poisoned run against its clean run, at that clean run's β.
        mean: Mean of ``by_seed``.
        std: Its standard deviation (``n − 1`` in the denominator); NaN for one seed.
        clean_pairs: (seed i, seed j) → UD of clean run i against clean run j at j's β, for all ordered pairs ``i ≠ j``.
        clean_mean: Mean of ``clean_pairs``; NaN for one seed.
        clean_std: Standard deviation of ``clean_pairs``; NaN for one seed. The pairs are not independent: it describes
            them and is not the basis of the verdict.
        p_value: Probability that runs of equal mean differ as much as these do, two-sided t-test; NaN for one seed.
        resolution: The smallest ``|UD − 1|`` that these seeds could have told from clean at this scatter; NaN for one
            seed.
        distinguishable: ``p_value < 0.05``; ``None`` for one seed, which has no scatter to compare with.
        verdict: The same in words, with the numbers that decide it.
    """

    by_seed: dict[int, float]
    mean: float
    std: float
    clean_pairs: dict[tuple[int, int], float]
    clean_mean: float
    clean_std: float
    p_value: float
    resolution: float
    distinguishable: bool | None
    verdict: str


def distance_spread(poisoned_sal: Mapping[int, ArrayLike], clean_sal: Mapping[int, ArrayLike]) -> DistanceSpread:
    """UD over seeds as mean and standard deviation, clean against clean beside it, and a verdict.

    Args:
        poisoned_sal: Seed → SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: Seed → SAL of the run on clean data, ``[T, L]``. Holds at least the seeds of ``poisoned_sal``; more
            of them sharpen the verdict.

    Raises:
        ValueError: If there is no seed, a poisoned seed has no clean run, or the arrays are unfit for
            :func:`unlearnable_distance`.
    """
    if not poisoned_sal:
        raise ValueError("`poisoned_sal` must hold at least one seed's SAL; it is empty.")
    if missing := sorted(set(poisoned_sal) - set(clean_sal)):
        raise ValueError(
            f"`clean_sal` must hold a clean run for each seed of `poisoned_sal`; seeds {missing} are missing. Train the clean "
            "reference with them too."
        )
    by_seed = {seed: distance_report(sal, clean_sal[seed]).value for seed, sal in poisoned_sal.items()}
    pairs = {
        (one, other): distance_report(clean_sal[one], clean_sal[other]).value
        for one, other in permutations(clean_sal, 2)
    }
    values, pair_values = np.array(list(by_seed.values())), np.array(list(pairs.values()))
    p_value, resolution = count_test(list(poisoned_sal.values()), list(clean_sal.values()))
    distinguishable = None if math.isnan(p_value) else p_value < SIGNIFICANCE
    return DistanceSpread(
        by_seed=by_seed,
        mean=float(values.mean()),
        std=_std(values),
        clean_pairs=pairs,
        clean_mean=float(pair_values.mean()) if pairs else math.nan,
        clean_std=_std(pair_values),
        p_value=p_value,
        resolution=resolution,
        distinguishable=distinguishable,
        verdict=_in_words(distinguishable, p_value, resolution, len(poisoned_sal), len(clean_sal)),
    )


def count_test(poisoned_sal: Sequence[ArrayLike], clean_sal: Sequence[ArrayLike]) -> tuple[float, float]:
    """Two-sided p-value for equal numbers of learnable layers, and the UD that is just significant, less 1.

    All runs are counted at the mean of the clean runs' thresholds; a SAL that is not finite in one of them is left out of
    all, or runs that overflow would look unlearnable.
    """
    beta = float(np.mean([learnability_threshold(sal) for sal in clean_sal]))
    sals = np.array([sal_array(sal, "sal") for sal in (*poisoned_sal, *clean_sal)])
    compared = np.where(np.isfinite(sals).all(0), sals, np.nan)
    counts = np.array([learnable_layers(sal, beta).mean() for sal in compared])
    return _compare(counts[: len(poisoned_sal)], counts[len(poisoned_sal) :], sals.shape[1])


def _compare(poisoned: np.ndarray, clean: np.ndarray, epochs: int) -> tuple[float, float]:
    """Two-sided p-value of Student's t-test for equal means, and the UD that is just significant, less 1.

    A run's mean count is a multiple of 1/epochs, so the scatter is taken to be at least what rounding to such multiples
    hides, (1/epochs)²/12: two seeds that happen to agree exactly are no proof that all would.
    """
    from scipy.stats import t as student

    degrees = len(poisoned) + len(clean) - 2
    if min(len(poisoned), len(clean)) < 2:
        return math.nan, math.nan
    squares = float(((poisoned - poisoned.mean()) ** 2).sum() + ((clean - clean.mean()) ** 2).sum())
    variance = max(squares / degrees, 1 / (12 * epochs**2))
    error = math.sqrt(variance * (1 / len(poisoned) + 1 / len(clean)))
    difference = abs(float(poisoned.mean() - clean.mean()))
    significant = float(student.isf(SIGNIFICANCE / 2, degrees)) * error
    resolution = significant / float(clean.mean()) if clean.mean() > 0 else math.nan
    return 2 * float(student.sf(difference / error, degrees)), resolution


def _std(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan


def _in_words(distinguishable: bool | None, p_value: float, resolution: float, poisoned: int, clean: int) -> str:
    if distinguishable is None:
        few = "one seed" if max(poisoned, clean) == 1 else f"{poisoned} poisoned and {clean} clean run(s)"
        return f"{few}: no verdict (no scatter to compare with; run at least two seeds)"
    answer = "distinguishable from clean" if distinguishable else "not distinguishable from clean"
    return f"{answer} (p = {p_value:.2g}, t-test, {poisoned} against {clean} runs; resolves UD to ±{resolution:.2f})"
