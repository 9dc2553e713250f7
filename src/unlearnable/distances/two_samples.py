"""Do two groups of runs differ in the mean? A t-test where some of the runs come in pairs.

The poisoned and the clean run of one seed share their initial weights and the order of their batches, so they may be
correlated; other runs are independent, and there are often more clean runs than poisoned ones. The partially
overlapping samples t-test with unequal variances (Derrick, Russ, Toher and White, Journal of Modern Applied Statistical
Methods 16(1), 2017) takes both kinds: with all runs in pairs it is the paired t-test, with none Welch's.

One change, found by simulation: Welch's degrees of freedom follow the sample variances, and with two or three runs against
ten they come out too large whenever the small group happens to agree (10 % instead of 5 % of false verdicts for two
against ten). They are therefore never taken to be more than they are for equal variances.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

#: Two-sided level of the tests; intervals cover 1 − SIGNIFICANCE.
SIGNIFICANCE = 0.05
POWER = 0.8


class MeanDifference(NamedTuple):
    """Two groups compared, elementwise over all axes but the first. NaN where a group has fewer than two runs.

    Attributes:
        difference: Mean of the poisoned runs less that of the clean runs, ``[...]``.
        margin: Half the width of its 95 % interval: the smallest difference that is just significant.
        p_value: Two-sided, for equal means. NaN where there is no scatter to compare with.
        std_poisoned: Standard deviation of the poisoned runs.
        std_clean: Standard deviation of the clean runs.
        correlation: Of the pairs; 0 where there are fewer than two.
    """

    difference: Float64[np.ndarray, "..."]
    margin: Float64[np.ndarray, "..."]
    p_value: Float64[np.ndarray, "..."]
    std_poisoned: Float64[np.ndarray, "..."]
    std_clean: Float64[np.ndarray, "..."]
    correlation: Float64[np.ndarray, "..."]


def compare(
    poisoned: Float64[np.ndarray, "poisoned_runs *rest"],
    clean: Float64[np.ndarray, "clean_runs *rest"],
    *,
    shared: int = 0,
    rounding_poisoned: ArrayLike = 0.0,
    rounding_clean: ArrayLike = 0.0,
) -> MeanDifference:
    """Compares the means of two groups of runs.

    Args:
        poisoned: One observation a run, ``[n_p, ...]``.
        clean: The same, ``[n_c, ...]``.
        shared: How many runs at the start of both are pairs, in the same order.
        rounding_poisoned: Variance that rounding hides from the poisoned observations (counts are whole numbers), the
            least that each group's variance is taken to be.
        rounding_clean: The same of the clean observations.
    """
    from scipy.stats import t as student

    n, m = len(poisoned), len(clean)
    difference = poisoned.mean(axis=0) - clean.mean(axis=0)
    if min(n, m) < 2:
        nothing = np.full_like(difference, np.nan)
        stds = [group.std(axis=0, ddof=1) if len(group) > 1 else nothing for group in (poisoned, clean)]
        return MeanDifference(difference, nothing, nothing, stds[0], stds[1], nothing)
    own = np.maximum(poisoned.var(axis=0, ddof=1), rounding_poisoned)
    reference = np.maximum(clean.var(axis=0, ddof=1), rounding_clean)
    correlation = _correlation(poisoned[:shared], clean[:shared])
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = own / n + reference / m
        variance = apart - 2 * correlation * np.sqrt(own * reference) * shared / (n * m)
        # Runs round independently, pairs or not.
        variance = np.maximum(variance, np.asarray(rounding_poisoned) / n + np.asarray(rounding_clean) / m)
        welch = apart**2 / ((own / n) ** 2 / (n - 1) + (reference / m) ** 2 / (m - 1))
        degrees = _overlapping(np.asarray(np.minimum(welch, _equal_degrees(n, m))), n, m, shared)
        error = np.sqrt(variance)
        p_value = 2 * student.sf(np.abs(difference) / error, degrees)
    # No scatter but that of the arithmetic: the same runs on both sides, or figures that cannot vary. No basis for a
    # verdict.
    settled = np.isfinite(variance) & (variance > 1e-12 * apart)
    margin = np.where(settled, student.isf(SIGNIFICANCE / 2, degrees) * error, np.nan)
    return MeanDifference(
        difference, margin, np.where(settled, p_value, np.nan), np.sqrt(own), np.sqrt(reference), correlation
    )


def seeds_needed(
    difference: float, std_poisoned: float, std_clean: float, correlation: float = 0.0, *, paired: bool = True
) -> int | None:
    """The fewest seeds, each with a poisoned and a clean run, that tell a difference at 5 % with a power of 0.8.

    The difference and the scatter are taken as they are; estimated from three seeds they are rough, and so is this.

    Args:
        difference: Between the means.
        std_poisoned: Standard deviation of the poisoned runs.
        std_clean: Standard deviation of the clean runs.
        correlation: Of the pairs.
        paired: Whether the runs of a seed are compared as a pair; otherwise as independent groups.

    Returns:
        At least 2; None where it is not known or above 10 000.
    """
    scatter = std_poisoned**2 + std_clean**2 - 2 * correlation * std_poisoned * std_clean * paired
    if not (math.isfinite(scatter) and scatter > 0 and math.isfinite(difference)):
        return None
    effect = abs(difference) / math.sqrt(scatter)
    low, high = 1, 2
    while _power(effect, high, paired) < POWER:
        low, high = high, 2 * high
        if high > 20_000:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, middle, paired) >= POWER else (middle, high)
    return high if high <= 10_000 else None


def _power(effect: float, seeds: int, paired: bool) -> float:
    """Probability that a two-sided t-test of so many seeds finds the effect, in units of the pairs' scatter."""
    from scipy.stats import nct
    from scipy.stats import t as student

    degrees = seeds - 1 if paired else 2 * (seeds - 1)
    critical = float(student.isf(SIGNIFICANCE / 2, degrees))
    centre = effect * math.sqrt(seeds)
    # Far in the upper tail SciPy's non-central t has no value; the power is 1 there.
    if centre > 10 * critical + 30:
        return 1.0
    return float(nct.sf(critical, degrees, centre) + nct.cdf(-critical, degrees, centre))


def _correlation(
    poisoned: Float64[np.ndarray, "shared *rest"], clean: Float64[np.ndarray, "shared *rest"]
) -> Float64[np.ndarray, "..."]:
    if len(poisoned) < 2:
        return np.zeros(poisoned.shape[1:])
    one, other = poisoned - poisoned.mean(axis=0), clean - clean.mean(axis=0)
    norm = np.sqrt((one**2).sum(axis=0) * (other**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(norm > 0, (one * other).sum(axis=0) / norm, 0.0))


def _equal_degrees(n: int, m: int) -> float:
    """Welch's degrees of freedom for equal variances."""
    return (1 / n + 1 / m) ** 2 / (1 / (n**2 * (n - 1)) + 1 / (m**2 * (m - 1)))


def _overlapping(degrees: np.ndarray, n: int, m: int, shared: int) -> np.ndarray:
    """Degrees of freedom between those of the pairs alone and those of independent groups, by the share of pairs."""
    if shared < 2:
        return degrees
    alone = n + m - 2 * shared
    return np.asarray((shared - 1) + (degrees - shared + 1) / (alone + 2 * shared) * alone)
