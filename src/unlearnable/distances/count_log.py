"""The paper's count of learnable layers, with the two clusters found on the logarithm of SAL.

SALs spread over four orders of magnitude. Two clusters on the raw scale separate the largest layer from all others; on
the logarithmic scale the split falls where the layers part into small and large ones. All else is as in
:func:`unlearnable.unlearnable_distance`.

Two-means always splits, even a single cluster. So each epoch's split is weighed against one normal
distribution by the Bayesian information criterion, and :attr:`LogCount.warning` says when the threshold rests on
arbitrary splits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import TAU, checked_tau, log_of, sal_array
from unlearnable.distances.base import Report
from unlearnable.distances.count import UnlearnableDistance, distance_report
from unlearnable.distances.threshold import TwoMeans, two_means

#: With fewer, BIC takes a single bell for two in more than a quarter of the draws; with 10 layers in a sixth, with 21 in
#: one of 25.
LEAST_LAYERS = 8


@dataclass(frozen=True)
class LogCount(Report):
    """The count at the threshold on the logarithmic scale.

    Attributes:
        value: Learnable layers of the poisoned run over those of the clean run. Lower means more unlearnable.
        beta: The threshold, in units of the loss.
        counts: All that the ratio is made from, as for the published UD.
        evidence: Per epoch of the clean run, ``[T]``: half the difference of BIC between one cluster and two, in nats.
            Positive where two clusters fit better; NaN where there are fewer than eight layers, too few to say.
        clustered: Share of the epochs in which two clusters fit better; NaN if none can say.
    """

    value: float
    beta: float
    counts: UnlearnableDistance
    evidence: Float64[np.ndarray, " epochs"]
    clustered: float

    @property
    def warning(self) -> str | None:
        """A sentence if in most epochs one cluster fits the clean run's log SALs as well as two; else None."""
        if not self.clustered <= 0.5:
            return None
        return (
            f"one cluster fits the clean run's log SALs as well as two (BIC) in {1 - self.clustered:.0%} of the epochs: "
            "which layers count as learnable is arbitrary"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists for JSON; NaN becomes ``None``."""
        return {**super().to_dict(), "warning": self.warning}


def log_threshold(clean_sal: ArrayLike, *, tau: float = TAU) -> float:
    """β on the logarithmic scale: ``exp(mean over epochs of the mid-points between the centres of log(SAL + τ)) − τ``.

    Args:
        clean_sal: SAL of the clean run, ``[T, L]``. Entries that are not finite are left out of their epoch.
        tau: Added to every SAL, in units of the loss: a SAL of 0 has no logarithm.

    Returns:
        β, in units of the loss.

    Raises:
        ValueError: As :func:`unlearnable.learnability_threshold`; or ``tau`` is not positive.
    """
    splits = _splits(log_of(sal_array(clean_sal, "clean_sal"), checked_tau(tau)))
    # Rounding alone could bring a threshold of 0 below it.
    return max(0.0, math.exp(float(np.mean([split.midpoint for split in splits]))) - tau)


def count_log_report(poisoned_sal: ArrayLike, clean_sal: ArrayLike, *, tau: float = TAU) -> LogCount:
    """The ratio of the counts of learnable layers, at the threshold on the logarithmic scale.

    Args:
        poisoned_sal: SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: SAL of the run on clean data, ``[T, L]``: the same epochs and layers.
        tau: Added to every SAL, in units of the loss.

    Raises:
        ValueError: As :func:`unlearnable.distance_report`; or ``tau`` is not positive.
    """
    logs = log_of(sal_array(clean_sal, "clean_sal"), checked_tau(tau))
    evidence = np.array([_evidence(row, split) for row, split in zip(logs, _splits(logs), strict=True)])
    known = evidence[~np.isnan(evidence)]
    clustered = float(np.mean(known > 0)) if known.size else math.nan
    beta = log_threshold(clean_sal, tau=tau)
    counts = distance_report(poisoned_sal, clean_sal, beta=beta)
    return LogCount(counts.value, beta, counts, evidence, clustered)


def _splits(logs: Float64[np.ndarray, "epochs layers"]) -> list[TwoMeans]:
    return [two_means(row, epoch) for epoch, row in enumerate(logs)]


def _evidence(row: Float64[np.ndarray, " layers"], split: TwoMeans) -> float:
    """How much better two clusters fit than one, in nats, after BIC's price of two more parameters, log n.

    One normal distribution (mean, variance) against two of equal variance with every number given to its cluster
    (two means, variance, proportion), as in X-means (Pelleg and Moore, ICML 2000). The proportions' entropy is what
    keeps the split of a single bell from looking like two.
    """
    values, n, left = row[np.isfinite(row)], split.total, split.left
    if n < LEAST_LAYERS:
        return math.nan
    total = float(((values - values.mean()) ** 2).sum())
    if split.within <= 1e-12 * total:
        return math.inf
    shares = left * math.log(left / n) + (n - left) * math.log((n - left) / n)
    return n / 2 * math.log(total / split.within) + shares - math.log(n)
