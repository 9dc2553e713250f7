"""Checks of the arrays and numbers that distances are made from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

#: Added to SALs and losses before their logarithm, in units of the loss: what SAL's solver resolves, and small beside
#: the cross-entropy of an untrained model, log(classes). Smaller values count as equal.
TAU = 1e-3


class UndefinedDistanceError(ValueError):
    """The arrays are sound, but the distance has no value for them (a clean run without learnable layers, say)."""


def sal_array(values: ArrayLike, name: str) -> Float64[np.ndarray, "epochs layers"]:
    """`values` as an array of SALs, ``[T, L]``, in double precision.

    Args:
        values: Non-negative numbers; entries that are not finite may be among them.
        name: What the caller's argument is called, for the message.

    Raises:
        ValueError: If it is not ``[T, L]`` with at least one of each, or has negative entries.
    """
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


def sal_pair(
    poisoned_sal: ArrayLike, clean_sal: ArrayLike
) -> tuple[Float64[np.ndarray, "epochs layers"], Float64[np.ndarray, "epochs layers"]]:
    """The SALs of the two runs that are compared, both ``[T, L]``.

    Raises:
        ValueError: If one of them is not a SAL array, or they differ in shape.
    """
    poisoned, clean = sal_array(poisoned_sal, "poisoned_sal"), sal_array(clean_sal, "clean_sal")
    if poisoned.shape != clean.shape:
        raise ValueError(
            "`poisoned_sal` and `clean_sal` must have the same epochs and layers [T, L]; got "
            f"{poisoned.shape} and {clean.shape}. Measure both runs with the same model, layers and epochs."
        )
    return poisoned, clean


def layer_weights(weights: ArrayLike, layers: int) -> Float64[np.ndarray, " layers"]:
    """Parameters per layer, ``[L]``.

    Raises:
        ValueError: If they are not ``layers`` finite, non-negative numbers.
    """
    sizes = np.asarray(weights, dtype=np.float64)
    if sizes.shape != (layers,) or not np.all(np.isfinite(sizes)) or np.any(sizes < 0):
        raise ValueError(f"`weights` must be {layers} finite, non-negative numbers, one a layer; got {sizes!r}.")
    return sizes


def checked_beta(beta: float) -> float:
    """β as given.

    Raises:
        ValueError: If it is not a finite, non-negative number.
    """
    if not (math.isfinite(beta) and beta >= 0):
        raise ValueError(f"`beta` must be a finite, non-negative number, in units of the loss; got {beta}.")
    return float(beta)


def checked_epoch(converged_epoch: int | None, epochs: int) -> int:
    """The epoch index at which the clean model has converged; the last one if it is not known.

    Raises:
        ValueError: If it is outside the epochs.
    """
    last = epochs - 1 if converged_epoch is None else converged_epoch
    if not 0 <= last < epochs:
        raise ValueError(f"`converged_epoch` must lie in [0, {epochs - 1}], an index into the epochs; got {last}.")
    return last


def checked_tau(tau: float) -> float:
    """τ as given.

    Raises:
        ValueError: If it is not a finite, positive number.
    """
    if not (math.isfinite(tau) and tau > 0):
        raise ValueError(f"`tau` must be a finite, positive number, in units of the loss; got {tau}.")
    return float(tau)


def loss_array(values: ArrayLike, epochs: int, name: str) -> Float64[np.ndarray, " epochs"]:
    """`values` as one loss an epoch, ``[T]``, in double precision.

    Negative losses, which have no logarithm, become NaN: they are left out, as non-finite ones are.

    Raises:
        ValueError: If they are not ``epochs`` numbers.
    """
    try:
        losses = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be numbers, one an epoch: {error}.") from error
    if losses.shape != (epochs,):
        raise ValueError(f"`{name}` must be {epochs} numbers, the loss of each epoch of SAL; got shape {losses.shape}.")
    return np.where(losses >= 0, losses, np.nan)


def log_of(values: Float64[np.ndarray, "..."], tau: float) -> Float64[np.ndarray, "..."]:
    """``log(values + τ)``; NaN where the value is not finite."""
    return np.log(np.where(np.isfinite(values), values, np.nan) + tau)


def finite_mean(
    values: Float64[np.ndarray, "..."], axis: int | None = None, weights: Float64[np.ndarray, "..."] | float = 1.0
) -> Any:
    """Mean of the finite entries, weighted; NaN where there are none, or none of positive weight."""
    known = np.isfinite(values)
    mass = known * np.broadcast_to(weights, values.shape)
    total = mass.sum(axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, (np.where(known, values, 0.0) * mass).sum(axis=axis) / total, np.nan)[()]
