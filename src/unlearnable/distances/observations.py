"""What the distances see of each single run: one number, on the logarithmic scale.

The runs of a seed are one observation each, never their epochs or layers: those are correlated, and a test that took
them for independent would find differences between clean runs. What one run lacks (a layer whose loss overflowed) is
left out of all the runs of a comparison; otherwise a run without its largest layer would look less learnable.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from unlearnable.distances.arrays import TAU, finite_mean, log_of
from unlearnable.distances.base import Observations, Runs
from unlearnable.distances.count_log import log_threshold
from unlearnable.distances.geometric import late
from unlearnable.distances.threshold import learnability_threshold


def geometric(poisoned: Runs, clean: Runs) -> Observations:
    """Mean of log(SAL + τ) over epochs and layers."""
    return _means(log_of(poisoned.sal, TAU), log_of(clean.sal, TAU))


def geometric_weighted(poisoned: Runs, clean: Runs) -> Observations | None:
    """The same with each layer weighted by its parameters."""
    if clean.weights is None:
        return None
    return _means(log_of(poisoned.sal, TAU), log_of(clean.sal, TAU), clean.weights)


def geometric_late(poisoned: Runs, clean: Runs) -> Observations:
    """The same over the last half of the epochs."""
    half = late(clean.sal.shape[1])
    return _means(log_of(poisoned.sal[:, half], TAU), log_of(clean.sal[:, half], TAU))


def loss_ratio(poisoned: Runs, clean: Runs) -> Observations | None:
    """Mean of log(L + τ) over the epochs."""
    if poisoned.losses is None or clean.losses is None:
        return None
    return _means(log_of(poisoned.losses, TAU), log_of(clean.losses, TAU))


def relative_sharpness(poisoned: Runs, clean: Runs) -> Observations | None:
    """Mean of log(SAL + τ) − log(L + τ) over epochs and layers."""
    if poisoned.losses is None or clean.losses is None:
        return None
    return _means(
        log_of(poisoned.sal, TAU) - log_of(poisoned.losses, TAU)[..., None],
        log_of(clean.sal, TAU) - log_of(clean.losses, TAU)[..., None],
    )


def count(poisoned: Runs, clean: Runs) -> Observations:
    """Logarithm of the learnable layers, all at the mean of the clean runs' thresholds."""
    return _counts(poisoned, clean, float(np.mean([learnability_threshold(sal) for sal in clean.sal])))


def count_weighted(poisoned: Runs, clean: Runs) -> Observations | None:
    """The same with each layer counted by its parameters."""
    if clean.weights is None:
        return None
    beta = float(np.mean([learnability_threshold(sal) for sal in clean.sal]))
    return _counts(poisoned, clean, beta, clean.weights / clean.weights.mean())


def count_log(poisoned: Runs, clean: Runs) -> Observations:
    """Logarithm of the learnable layers, at the geometric mean of the clean runs' thresholds on the log scale."""
    logs = [np.log(log_threshold(sal) + TAU) for sal in clean.sal]
    return _counts(poisoned, clean, float(np.exp(np.mean(logs)) - TAU))


def _means(
    poisoned: Float64[np.ndarray, "poisoned_runs *rest"],
    clean: Float64[np.ndarray, "clean_runs *rest"],
    weights: Float64[np.ndarray, " layers"] | float = 1.0,
) -> Observations:
    """Each run's mean over the entries that are finite in all the runs."""
    common = np.isfinite(poisoned).all(axis=0) & np.isfinite(clean).all(axis=0)
    own, reference = (
        finite_mean(np.where(common, group, np.nan).reshape(len(group), -1), 1, _flat(weights, group))
        for group in (poisoned, clean)
    )
    return Observations(own, reference, int((~common).sum()))


def _flat(weights: Float64[np.ndarray, " layers"] | float, group: Float64[np.ndarray, "runs *rest"]) -> np.ndarray:
    return np.broadcast_to(weights, group.shape[1:]).reshape(-1)


def _counts(
    poisoned: Runs, clean: Runs, beta: float, weights: Float64[np.ndarray, " layers"] | float = 1.0
) -> Observations:
    """Logarithm of how many layers are above β, summed over the epochs, plus a half: a count of 0 has no logarithm.

    A sum is a whole number (about one, with weights of mean 1), so rounding hides a variance of 1/12 of it: two seeds
    that happen to agree exactly are no proof that all would.
    """
    common = np.isfinite(poisoned.sal).all(axis=0) & np.isfinite(clean.sal).all(axis=0)
    own, reference = (
        ((runs.sal > beta) & common) @ np.broadcast_to(weights, common.shape[1:]) for runs in (poisoned, clean)
    )
    totals = [counts.sum(axis=1) + 0.5 for counts in (own, reference)]
    rounding = [float(np.mean(1 / (12 * total**2))) for total in totals]
    return Observations(np.log(totals[0]), np.log(totals[1]), int((~common).sum()), *rounding)
