"""The unlearnable distance (UD) as published: a ratio of counts of learnable layers.

From `How Far Are We from True Unlearnability? <https://arxiv.org/abs/2509.08058>`_ (Ye, Su and Qian, ICLR 2025):
``UD = learnable layers (poisoned run) / learnable layers (clean run)``, each counted per epoch at the clean run's β and
averaged over the epochs. Lower means more unlearnable, 1 means "like clean data".

Entries that are not numbers (layers whose loss overflowed, see :func:`unlearnable.measure_sal`) are left out of the
clustering, of the counts and of the layers that the counts are taken from; :class:`UnlearnableDistance` says how many
they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from unlearnable.distances.arrays import UndefinedDistanceError, checked_beta, checked_epoch, layer_weights, sal_pair
from unlearnable.distances.base import Report
from unlearnable.distances.threshold import above, learnability_threshold


@dataclass(frozen=True)
class UnlearnableDistance(Report):
    """UD with all that it is made from.

    Attributes:
        value: UD over all epochs.
        beta: The learnability threshold it was taken at.
        poisoned_layers: Learnable layers of the poisoned run, mean over the epochs.
        clean_layers: Learnable layers of the clean run, mean over the epochs.
        poisoned_counts: Learnable layers per epoch, ``[T]``, poisoned run.
        clean_counts: Learnable layers per epoch, ``[T]``, clean run.
        per_epoch: ``poisoned_counts / clean_counts``, ``[T]``; NaN in epochs in which the clean run has no learnable
            layer.
        weighted: UD with each layer counted by its number of parameters; NaN without ``weights``, or where the clean
            run's learnable layers hold none.
        until_convergence: UD over the epochs up to and including ``converged_epoch``; NaN where the clean run has no
            learnable layer in them.
        converged_epoch: Epoch index (from 0) at which the clean model has converged, the last epoch if it is not known.
        left_out_poisoned: Entries of the poisoned SAL that are not finite and were left out.
        left_out_clean: The same of the clean SAL.
    """

    value: float
    beta: float
    poisoned_layers: float
    clean_layers: float
    poisoned_counts: Float64[np.ndarray, " epochs"]
    clean_counts: Float64[np.ndarray, " epochs"]
    per_epoch: Float64[np.ndarray, " epochs"]
    weighted: float
    until_convergence: float
    converged_epoch: int
    left_out_poisoned: int
    left_out_clean: int


class EpochDistance(NamedTuple):
    """One epoch's counts of learnable layers, and their ratio: NaN if the clean run has none."""

    learnable_layers: int
    clean_learnable_layers: int
    value: float


def unlearnable_distance(poisoned_sal: ArrayLike, clean_sal: ArrayLike, *, beta: float | None = None) -> float:
    """UD: learnable layers of the poisoned run over those of the clean run. Lower means more unlearnable.

    Args:
        poisoned_sal: SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: SAL of the run on clean data, ``[T, L]``: the same epochs and layers.
        beta: The learnability threshold; ``None`` takes :func:`learnability_threshold` of ``clean_sal``.

    Returns:
        UD ≥ 0; see :func:`distance_report` for what it is made from.

    Raises:
        ValueError: If the arrays differ in shape or are not SAL arrays, or the clean run has no learnable layer.
    """
    return distance_report(poisoned_sal, clean_sal, beta=beta).value


def per_epoch(poisoned_row: ArrayLike, clean_row: ArrayLike, beta: float) -> EpochDistance:
    """UD of a single epoch.

    Args:
        poisoned_row: SAL of the poisoned run in that epoch, ``[L]``.
        clean_row: SAL of the clean run in the same epoch, ``[L]``.
        beta: The threshold, of the whole clean run.

    Raises:
        ValueError: If the rows differ in length or are not SALs, or ``beta`` is not a threshold.
    """
    poisoned, clean = sal_pair(np.asarray(poisoned_row)[None], np.asarray(clean_row)[None])
    own, reference = (int(mask.sum()) for mask in _learnable(poisoned, clean, checked_beta(beta)))
    return EpochDistance(own, reference, own / reference if reference else math.nan)


def distance_report(
    poisoned_sal: ArrayLike,
    clean_sal: ArrayLike,
    *,
    beta: float | None = None,
    weights: ArrayLike | None = None,
    converged_epoch: int | None = None,
) -> UnlearnableDistance:
    """UD with its parts: per epoch, weighted by parameters, up to the clean model's convergence, and what was left out.

    A layer that is not finite in one of the two runs is compared in neither in that epoch: otherwise a poisoned run
    that overflows would look unlearnable. Where nothing was left out, this is the published definition.

    Args:
        poisoned_sal: SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: SAL of the run on clean data, ``[T, L]``: the same epochs and layers.
        beta: The learnability threshold; ``None`` takes :func:`learnability_threshold` of ``clean_sal``.
        weights: Parameters per layer, ``[L]``, for the parameter-weighted UD.
        converged_epoch: Epoch index at which the clean model has converged, as from :func:`convergence_epoch`.

    Raises:
        ValueError: If the arrays differ in shape or are not SAL arrays, ``weights`` does not fit, ``converged_epoch`` is
            outside the epochs, or the clean run has no learnable layer.
    """
    poisoned, clean = sal_pair(poisoned_sal, clean_sal)
    epochs, layers = clean.shape
    last = checked_epoch(converged_epoch, epochs)
    threshold = learnability_threshold(clean) if beta is None else checked_beta(beta)
    poisoned_above, clean_above = _learnable(poisoned, clean, threshold)
    poisoned_counts = poisoned_above.sum(axis=1).astype(np.float64)
    clean_counts = clean_above.sum(axis=1).astype(np.float64)
    if clean_counts.sum() == 0:
        raise UndefinedDistanceError(
            f"The clean run has no layer with SAL > β = {threshold:.6g}, so UD (a ratio to it) is undefined; its "
            f"largest SAL is {np.nanmax(clean):.6g}. Check that `beta` belongs to this clean run, or leave `beta` out."
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(clean_counts > 0, poisoned_counts / clean_counts, np.nan)
    weighted = math.nan
    if weights is not None:
        sizes = layer_weights(weights, layers)
        weighted = _ratio(poisoned_above @ sizes, clean_above @ sizes)
    return UnlearnableDistance(
        value=_ratio(poisoned_counts, clean_counts),
        beta=threshold,
        poisoned_layers=float(poisoned_counts.mean()),
        clean_layers=float(clean_counts.mean()),
        poisoned_counts=poisoned_counts,
        clean_counts=clean_counts,
        per_epoch=ratios,
        weighted=weighted,
        until_convergence=_ratio(poisoned_counts[: last + 1], clean_counts[: last + 1]),
        converged_epoch=last,
        left_out_poisoned=int(np.sum(~np.isfinite(poisoned))),
        left_out_clean=int(np.sum(~np.isfinite(clean))),
    )


def _learnable(
    poisoned: Float64[np.ndarray, "epochs layers"], clean: Float64[np.ndarray, "epochs layers"], beta: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which layers are above β in each run, among those that are finite in both, ``[T, L]`` each."""
    comparable = np.isfinite(poisoned) & np.isfinite(clean)
    return above(poisoned, beta) & comparable, above(clean, beta) & comparable


def _ratio(poisoned: Float64[np.ndarray, " epochs"], clean: Float64[np.ndarray, " epochs"]) -> float:
    total = float(clean.sum())
    return float(poisoned.sum()) / total if total > 0 else math.nan
