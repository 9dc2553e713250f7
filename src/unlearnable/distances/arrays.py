"""Checks of the arrays and numbers that distances are made from."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike


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
        ValueError: If one of them is no SAL array, or they differ in shape.
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
