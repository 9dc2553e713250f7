"""The geometric distance: how many times larger the poisoned run's SALs are, on the geometric mean.

``G = exp(mean over epochs t and layers l of [log(SAL_p[t, l] + τ) − log(SAL_c[t, l] + τ)])``, where ``SAL_p`` and
``SAL_c`` are the SALs of the poisoned and the clean run and τ = 10⁻³ is in units of the loss. As with the published UD,
lower means more unlearnable and 1 means "like clean data"; exchanging the runs gives 1 / G.

Why the logarithm: in one network SALs spread over some four orders of magnitude. On the raw scale two clusters cut off
the largest layer and a count throws the rest away; a mean of differences would be that one layer's. A ratio treats
halving alike in every layer, and a mean of logarithms is closer to normally distributed over seeds than a mean of numbers
with heavy tails; :func:`unlearnable.distances.spread_of` builds on that.

Why τ: below about 10⁻³ of loss a SAL is not resolved (the solver stops at such gains, and evaluation in single
precision scatters), so the ratio of two SALs below it means nothing; τ draws both to the same value. The report says what
τ / 10 and 10 τ would give.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import (
    TAU,
    UndefinedDistanceError,
    checked_epoch,
    checked_tau,
    finite_mean,
    layer_weights,
    log_of,
    sal_pair,
)
from unlearnable.distances.base import Report


@dataclass(frozen=True)
class GeometricDistance(Report):
    """The geometric distance with its parts. All are ratios of geometric means: 1 is "like clean data".

    Attributes:
        value: Over all epochs and layers.
        per_layer: Of each layer over the epochs, ``[L]``; NaN for a layer that is never finite in both runs.
        per_epoch: Of each epoch over the layers, ``[T]``; NaN likewise.
        weighted: Each layer weighted by its number of parameters; NaN without ``weights``.
        late: Over the last half of the epochs (the larger half, for an odd number).
        until_convergence: Over the epochs up to and including ``converged_epoch``.
        converged_epoch: Epoch index (from 0) at which the clean model has converged, the last epoch if it is not known.
        tau: τ, in units of the loss.
        with_tenth_of_tau: ``value`` for τ / 10.
        with_ten_tau: ``value`` for 10 τ.
        left_out_poisoned: Entries of the poisoned SAL that are not finite. Their pairs were left out, in both runs.
        left_out_clean: The same of the clean SAL.
    """

    value: float
    per_layer: Float64[np.ndarray, " layers"]
    per_epoch: Float64[np.ndarray, " epochs"]
    weighted: float
    late: float
    until_convergence: float
    converged_epoch: int
    tau: float
    with_tenth_of_tau: float
    with_ten_tau: float
    left_out_poisoned: int
    left_out_clean: int


def geometric_distance(poisoned_sal: ArrayLike, clean_sal: ArrayLike, *, tau: float = TAU) -> float:
    """Geometric mean over epochs and layers of ``(SAL_p + τ) / (SAL_c + τ)``. Lower means more unlearnable.

    Args:
        poisoned_sal: SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: SAL of the run on clean data, ``[T, L]``: the same epochs and layers. Entries that are not finite in
            one of the two are left out of both.
        tau: Added to every SAL, in units of the loss; what SAL resolves.

    Returns:
        A positive number, 1 for "like clean data"; see :func:`geometric_report` for its parts.

    Raises:
        ValueError: If the arrays differ in shape or are not SAL arrays, ``tau`` is not positive, or no entry is finite
            in both.
    """
    poisoned, clean = sal_pair(poisoned_sal, clean_sal)
    return _mean_ratio(log_ratios(poisoned, clean, checked_tau(tau)))


def geometric_report(
    poisoned_sal: ArrayLike,
    clean_sal: ArrayLike,
    *,
    tau: float = TAU,
    weights: ArrayLike | None = None,
    converged_epoch: int | None = None,
) -> GeometricDistance:
    """The geometric distance with its parts: per layer, per epoch, weighted, over windows, and for other τ.

    Args:
        poisoned_sal: SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: SAL of the run on clean data, ``[T, L]``: the same epochs and layers.
        tau: Added to every SAL, in units of the loss.
        weights: Parameters per layer, ``[L]``.
        converged_epoch: Epoch index at which the clean model has converged, as from :func:`convergence_epoch`.

    Raises:
        ValueError: As :func:`geometric_distance`; or ``weights`` or ``converged_epoch`` does not fit the arrays.
    """
    poisoned, clean = sal_pair(poisoned_sal, clean_sal)
    epochs, layers = clean.shape
    last = checked_epoch(converged_epoch, epochs)
    logs = log_ratios(poisoned, clean, checked_tau(tau))
    sizes = None if weights is None else layer_weights(weights, layers)
    return GeometricDistance(
        value=_mean_ratio(logs),
        per_layer=np.exp(finite_mean(logs, axis=0)),
        per_epoch=np.exp(finite_mean(logs, axis=1)),
        weighted=math.nan if sizes is None else float(np.exp(finite_mean(logs, weights=sizes))),
        late=float(np.exp(finite_mean(logs[late(epochs)]))),
        until_convergence=float(np.exp(finite_mean(logs[: last + 1]))),
        converged_epoch=last,
        tau=float(tau),
        with_tenth_of_tau=_mean_ratio(log_ratios(poisoned, clean, tau / 10)),
        with_ten_tau=_mean_ratio(log_ratios(poisoned, clean, tau * 10)),
        left_out_poisoned=int(np.sum(~np.isfinite(poisoned))),
        left_out_clean=int(np.sum(~np.isfinite(clean))),
    )


def log_ratios(
    poisoned: Float64[np.ndarray, "epochs layers"], clean: Float64[np.ndarray, "epochs layers"], tau: float
) -> Float64[np.ndarray, "epochs layers"]:
    """``log(SAL_p + τ) − log(SAL_c + τ)``; NaN where one of the two is not finite."""
    return log_of(poisoned, tau) - log_of(clean, tau)


def late(epochs: int) -> slice:
    """The last half of so many epochs, the larger half for an odd number."""
    return slice(epochs // 2, None)


def _mean_ratio(logs: Float64[np.ndarray, "epochs layers"]) -> float:
    mean = float(finite_mean(logs))
    if math.isnan(mean):
        raise UndefinedDistanceError(
            "No layer has a finite SAL in both runs in any epoch, so there is nothing to compare."
        )
    return math.exp(mean)
