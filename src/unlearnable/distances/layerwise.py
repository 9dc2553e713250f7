"""Which layers differ between poisoned and clean runs, with false discoveries controlled.

Each layer is tested by itself over the seeds, as the geometric distance is over all. Of many layers some differ by chance,
so the p-values become q-values (Benjamini and Hochberg, 1995): of the layers named as different at q < 0.05, no more
than 5 % are expected not to differ. The procedure holds for tests that are positively dependent, as those of layers of one
network are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import TAU, checked_tau, finite_mean, log_of
from unlearnable.distances.base import Report, Runs, pairs_first
from unlearnable.distances.two_samples import SIGNIFICANCE, compare


@dataclass(frozen=True)
class LayerDifferences(Report):
    """Each layer's log SAL, poisoned less clean, over the seeds.

    Attributes:
        log_ratio: Mean of ``log(SAL + τ)`` over epochs and poisoned runs less that over the clean runs, ``[L]``: 0 is
            "like clean data", its exponential the ratio of SALs. NaN for a layer with no epoch that is finite in all runs.
        low: Lower end of its 95 % interval, of this layer alone; NaN for one seed.
        high: Upper end.
        p_value: Two-sided, of this layer alone; NaN for one seed.
        q_value: The smallest rate of false discoveries at which the layer is named as different; NaN where ``p_value``
            is.
        differs: ``q_value < 0.05``.
        poisoned_runs: How many poisoned runs there are.
        clean_runs: How many clean runs there are.
    """

    log_ratio: Float64[np.ndarray, " layers"]
    low: Float64[np.ndarray, " layers"]
    high: Float64[np.ndarray, " layers"]
    p_value: Float64[np.ndarray, " layers"]
    q_value: Float64[np.ndarray, " layers"]
    differs: Bool[np.ndarray, " layers"]
    poisoned_runs: int
    clean_runs: int


def layer_differences(
    poisoned_sal: Mapping[int, ArrayLike], clean_sal: Mapping[int, ArrayLike], *, tau: float = TAU
) -> LayerDifferences:
    """Tests each layer over the seeds.

    Args:
        poisoned_sal: Seed → SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: Seed → SAL of the run on clean data, ``[T, L]``. Runs that share a seed are compared as pairs.
        tau: Added to every SAL, in units of the loss.

    Raises:
        ValueError: If there is no run, the arrays are not SAL arrays of one shape, or ``tau`` is not positive.
    """
    poisoned, clean = Runs.of(poisoned_sal, "poisoned_sal"), Runs.of(clean_sal, "clean_sal")
    poisoned.check_fits(clean)
    poisoned, clean, shared = pairs_first(poisoned, clean)
    groups = [log_of(runs.sal, checked_tau(tau)) for runs in (poisoned, clean)]
    common = np.isfinite(np.concatenate(groups)).all(axis=0)
    means = [finite_mean(np.where(common, group, np.nan), axis=1) for group in groups]
    found = compare(*means, shared=shared)
    q_value = _q_values(found.p_value)
    return LayerDifferences(
        log_ratio=found.difference,
        low=found.difference - found.margin,
        high=found.difference + found.margin,
        p_value=found.p_value,
        q_value=q_value,
        differs=q_value < SIGNIFICANCE,
        poisoned_runs=len(poisoned.seeds),
        clean_runs=len(clean.seeds),
    )


def _q_values(p_value: Float64[np.ndarray, " layers"]) -> Float64[np.ndarray, " layers"]:
    from scipy.stats import false_discovery_control

    q_value = np.full_like(p_value, np.nan)
    known = np.isfinite(p_value)
    if known.any():
        q_value[known] = false_discovery_control(p_value[known])
    return q_value
