"""The unlearnable distance (UD): pure functions of arrays of sharpness-aware learnability (SAL).

A SAL array is ``[T, L]``: one row an epoch, one column a layer. Definitions from `How Far Are We from True
Unlearnability? <https://arxiv.org/abs/2509.08058>`_ (Ye, Su and Qian, ICLR 2025):

* the learnability threshold ``β = 1/(2T) Σ_t (κ₁ₜ + κ₂ₜ)``, where ``κ₁ₜ`` and ``κ₂ₜ`` are the two K-means centres of
  the
  *clean* run's layer SALs in epoch ``t``;
* the learnable layers of a run: those with ``SAL > β``, counted per epoch, averaged over the epochs;
* ``UD = learnable layers (poisoned run) / learnable layers (clean run)``. Lower means more unlearnable, 1 means "like
  clean data".

Entries that are not numbers (layers whose loss overflowed, see :func:`unlearnable.measure_sal`) are left out of the
clustering, of the counts and of the layers that the counts are taken from; :class:`UnlearnableDistance` says how many
they were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class UnlearnableDistance:
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

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists for JSON; NaN becomes ``None``."""
        return {key: _plain(value) for key, value in asdict(self).items()}


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
        ValueError: If the array is not ``[T, L]`` with ``T ≥ 1`` and ``L ≥ 2``, has negative entries, or an epoch has
            fewer than two distinct finite values, so that there are no two clusters.
    """
    sal = _sal_array(clean_sal, "clean_sal")
    return float(np.mean([_midpoint(row, epoch) for epoch, row in enumerate(sal)]))


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
    array = _sal_array(sal, "sal")
    return np.asarray(_above(array, _threshold(beta)).sum(axis=1), dtype=np.int64)


def unlearnable_distance(poisoned_sal: ArrayLike, clean_sal: ArrayLike, *, beta: float | None = None) -> float:
    """UD: learnable layers of the poisoned run over those of the clean run. Lower means more unlearnable.

    Args:
        poisoned_sal: SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: SAL of the run on clean data, ``[T, L]``: the same epochs and layers.
        beta: The learnability threshold; ``None`` takes :func:`learnability_threshold` of ``clean_sal``.

    Returns:
        UD ≥ 0; see :func:`distance_report` for what it is made from.

    Raises:
        ValueError: If the arrays differ in shape or are no SAL arrays, or the clean run has no learnable layer.
    """
    return distance_report(poisoned_sal, clean_sal, beta=beta).value


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
        ValueError: If the arrays differ in shape or are no SAL arrays, ``weights`` does not fit, ``converged_epoch`` is
            outside the epochs, or the clean run has no learnable layer.
    """
    poisoned, clean = _sal_array(poisoned_sal, "poisoned_sal"), _sal_array(clean_sal, "clean_sal")
    if poisoned.shape != clean.shape:
        raise ValueError(
            "`poisoned_sal` and `clean_sal` must have the same epochs and layers [T, L]; got "
            f"{poisoned.shape} and {clean.shape}. Measure both runs with the same model, layers and epochs."
        )
    epochs, layers = clean.shape
    last = epochs - 1 if converged_epoch is None else converged_epoch
    if not 0 <= last < epochs:
        raise ValueError(f"`converged_epoch` must lie in [0, {epochs - 1}], an index into the epochs; got {last}.")
    threshold = learnability_threshold(clean) if beta is None else _threshold(beta)

    comparable = np.isfinite(poisoned) & np.isfinite(clean)
    poisoned_above = _above(poisoned, threshold) & comparable
    clean_above = _above(clean, threshold) & comparable
    poisoned_counts = poisoned_above.sum(axis=1).astype(np.float64)
    clean_counts = clean_above.sum(axis=1).astype(np.float64)
    if clean_counts.sum() == 0:
        raise ValueError(
            f"The clean run has no layer with SAL > β = {threshold:.6g}, so UD (a ratio to it) is undefined; its largest "
            f"SAL is {np.nanmax(clean):.6g}. Check that `beta` belongs to this clean run, or leave `beta` out."
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        per_epoch = np.where(clean_counts > 0, poisoned_counts / clean_counts, np.nan)
    weighted = math.nan
    if weights is not None:
        sizes = np.asarray(weights, dtype=np.float64)
        if sizes.shape != (layers,) or not np.all(np.isfinite(sizes)) or np.any(sizes < 0):
            raise ValueError(f"`weights` must be {layers} finite, non-negative numbers, one a layer; got {sizes!r}.")
        weighted = _ratio(poisoned_above @ sizes, clean_above @ sizes)
    return UnlearnableDistance(
        value=_ratio(poisoned_counts, clean_counts),
        beta=threshold,
        poisoned_layers=float(poisoned_counts.mean()),
        clean_layers=float(clean_counts.mean()),
        poisoned_counts=poisoned_counts,
        clean_counts=clean_counts,
        per_epoch=per_epoch,
        weighted=weighted,
        until_convergence=_ratio(poisoned_counts[: last + 1], clean_counts[: last + 1]),
        converged_epoch=last,
        left_out_poisoned=int(np.sum(~np.isfinite(poisoned))),
        left_out_clean=int(np.sum(~np.isfinite(clean))),
    )


def convergence_epoch(scores: ArrayLike, *, patience: int = 3) -> int:
    """The epoch at which a run has converged: its best so far is not beaten in the ``patience`` epochs that follow.

    Args:
        scores: Accuracy per epoch, ``[T]``, higher is better.
        patience: Epochs without a new best after which the run counts as converged.

    Returns:
        Epoch index (from 0) of that best; the last epoch if the run still improves.

    Raises:
        ValueError: If ``scores`` is not a finite, non-empty vector or ``patience`` is below 1.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.all(np.isfinite(values)):
        raise ValueError(f"`scores` must be a non-empty vector of finite numbers, one an epoch; got {values!r}.")
    if patience < 1:
        raise ValueError(f"`patience` must be at least 1 epoch; got {patience}.")
    best = 0
    for epoch in range(1, len(values)):
        if values[epoch] > values[best]:
            best = epoch
        elif epoch - best >= patience:
            return best
    return len(values) - 1


def _sal_array(values: ArrayLike, name: str) -> Float64[np.ndarray, "epochs layers"]:
    """``values`` as a checked ``[T, L]`` array of float64."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must be an array [epochs, layers] of numbers with rows of equal length: {error}."
        ) from error
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"`{name}` must be an array [epochs, layers] with at least one of each; got shape {array.shape}."
        )
    if np.any(array < 0):
        raise ValueError(f"`{name}` must be non-negative, as SAL is; its smallest entry is {np.nanmin(array):.6g}.")
    return array


def _threshold(beta: float) -> float:
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"`beta` must be a finite, non-negative number, in units of the loss; got {beta}.")
    return float(beta)


def _above(sal: Float64[np.ndarray, "epochs layers"], beta: float) -> Bool[np.ndarray, "epochs layers"]:
    return np.asarray(np.isfinite(sal) & (sal > beta))


def _midpoint(row: Float64[np.ndarray, " layers"], epoch: int) -> float:
    """Mid-point between the centres of the best split of ``row`` into two clusters (exact 2-means in one dimension)."""
    values = np.sort(row[np.isfinite(row)])
    if values.size < 2 or values[0] == values[-1]:
        raise ValueError(
            f"`clean_sal` must have at least two different finite values in every epoch for K-means with k = 2; epoch {epoch} "
            f"has {values.size} finite of {row.size}, from {values[:1]} to {values[-1:]}. Leave that epoch out, or look for what "
            "made SAL constant (ε = 0, an untrainable model) or non-finite (a diverged run)."
        )
    left = np.arange(1, values.size)
    total = np.cumsum(values)
    low, high = total[:-1] / left, (total[-1] - total[:-1]) / (values.size - left)
    # Least variance within the clusters is the same as most between them.
    between = left * (values.size - left) * (high - low) ** 2
    best = int(np.argmax(between))
    return float(low[best] + high[best]) / 2


def _ratio(poisoned: Float64[np.ndarray, " epochs"], clean: Float64[np.ndarray, " epochs"]) -> float:
    total = float(clean.sum())
    return float(poisoned.sum()) / total if total > 0 else math.nan


def _plain(value: Any) -> Any:
    """``value`` in JSON's types, NaN as ``None``."""
    if isinstance(value, np.ndarray):
        return [_plain(entry) for entry in value.tolist()]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return value
