"""The learnability threshold β, and the layers above it.

Definitions from `How Far Are We from True Unlearnability? <https://arxiv.org/abs/2509.08058>`_ (Ye, Su and Qian, ICLR
2025): ``β = 1/(2T) Σ_t (κ₁ₜ + κ₂ₜ)``, where ``κ₁ₜ`` and ``κ₂ₜ`` are the two K-means centres of the *clean* run's layer
SALs in epoch ``t`` of ``T``; a layer is learnable in an epoch in which ``SAL > β``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import UndefinedDistanceError, checked_beta, sal_array


def learnability_threshold(clean_sal: ArrayLike) -> float:
    """β: the mean over the epochs of the mid-point between the two K-means centres of the clean run's layer SALs.

    In one dimension the best split into two clusters is found exactly, by trying all ``L − 1`` cuts of the sorted
    values. The result is that of K-means from enough random starts (the published code makes one start, with a fixed
    seed, and may stay in a local optimum).

    Args:
        clean_sal: SAL of the clean run, ``[T, L]``, non-negative. Entries that are not finite are left out of their
            epoch.

    Returns:
        β, in units of the loss.

    Raises:
        ValueError: If the array is not ``[T, L]`` or has negative entries.
        UndefinedDistanceError: If an epoch has fewer than two distinct finite values, so that there are no two clusters; it
            is a ``ValueError`` too.
    """
    sal = sal_array(clean_sal, "clean_sal")
    return float(np.mean([two_means(row, epoch).midpoint for epoch, row in enumerate(sal)]))


def learnable_layers(sal: ArrayLike, beta: float) -> Int64[np.ndarray, " epochs"]:
    """How many layers have ``SAL > β`` in each epoch.

    Args:
        sal: SAL of a run, ``[T, L]``. Entries that are not finite count as not learnable.
        beta: The threshold.

    Returns:
        Counts, ``[T]``.

    Raises:
        ValueError: If ``sal`` is not ``[T, L]`` or has negative entries, or ``beta`` is not a finite, non-negative
            number.
    """
    return np.asarray(above(sal_array(sal, "sal"), checked_beta(beta)).sum(axis=1), dtype=np.int64)


def above(sal: Float64[np.ndarray, "epochs layers"], beta: float) -> Bool[np.ndarray, "epochs layers"]:
    """Which entries are finite and above β."""
    return np.asarray(np.isfinite(sal) & (sal > beta))


class TwoMeans(NamedTuple):
    """The best split of numbers into two clusters: exact 2-means in one dimension.

    Attributes:
        low: Centre of the lower cluster.
        high: Centre of the upper one.
        left: Size of the lower cluster, in [1, n − 1].
        total: How many numbers there are, n.
        within: Sum of the squared distances to the own centre.
    """

    low: float
    high: float
    left: int
    total: int
    within: float

    @property
    def midpoint(self) -> float:
        """Half way between the centres."""
        return (self.low + self.high) / 2


def two_means(row: Float64[np.ndarray, " layers"], epoch: int) -> TwoMeans:
    """The best split of the finite entries of a row, by trying all cuts of the sorted values.

    Raises:
        UndefinedDistanceError: If fewer than two of them differ.
    """
    values = np.sort(row[np.isfinite(row)])
    if values.size < 2 or values[0] == values[-1]:
        raise UndefinedDistanceError(
            "`clean_sal` must have at least two different finite values in every epoch for K-means with k = 2; epoch "
            f"{epoch} has {values.size} finite of {row.size}, from {values[:1]} to {values[-1:]}. Leave that epoch out, or "
            "look for what made SAL constant (ε = 0, an untrainable model) or non-finite (a diverged run)."
        )
    left = np.arange(1, values.size)
    total = np.cumsum(values)
    low, high = total[:-1] / left, (total[-1] - total[:-1]) / (values.size - left)
    # Least variance within the clusters is the same as most between them.
    between = left * (values.size - left) * (high - low) ** 2
    best = int(np.argmax(between))
    within = ((values[: best + 1] - low[best]) ** 2).sum() + ((values[best + 1 :] - high[best]) ** 2).sum()
    return TwoMeans(float(low[best]), float(high[best]), best + 1, int(values.size), float(within))
