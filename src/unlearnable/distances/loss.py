"""What the training loss alone would have said, and what SAL says beyond it.

SAL is a change of the loss, so it falls with the loss: a run whose loss has gone to 0 has little left to lose. These
three take the probe's loss ``L[t]``, measured with SAL at the same weights, into account. As in the geometric distance,
τ = 10⁻³ of loss is added before every logarithm.
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
    checked_tau,
    finite_mean,
    log_of,
    loss_array,
    sal_pair,
)
from unlearnable.distances.base import Report
from unlearnable.distances.geometric import log_ratios


@dataclass(frozen=True)
class EqualLoss(Report):
    """SAL against the clean run's SAL at the same loss.

    Attributes:
        value: Geometric mean of the ratios over the poisoned run's epochs that can be compared, and the layers; 1 is
            "as sharp as clean data at that loss". NaN if no epoch can be compared.
        per_epoch: The same of each epoch, ``[T]``; NaN where it cannot be compared.
        compared: Epochs of the poisoned run whose loss lies within those of the clean run.
        outside: Epochs whose loss lies below or above all of the clean run's. Nothing is extrapolated.
        left_out: Epochs whose loss is not finite.
    """

    value: float
    per_epoch: Float64[np.ndarray, " epochs"]
    compared: int
    outside: int
    left_out: int


def loss_ratio(losses: ArrayLike, clean_losses: ArrayLike, *, tau: float = TAU) -> float:
    """Geometric mean over the epochs of ``(L_p + τ) / (L_c + τ)``. Lower: the poisoned data are fitted faster.

    It needs no SAL: it is the yardstick that a sharpness has to beat. It tells that poisoned data are easier (or
    harder) to fit, not whether what is learnt from them is of use: data that are merely easier have a low ratio as well.

    Args:
        losses: Loss of the poisoned run on its probe, one an epoch, ``[T]``.
        clean_losses: The same of the clean run, ``[T]``.
        tau: Added to every loss, in its units.

    Returns:
        A positive number, 1 for "like clean data".

    Raises:
        ValueError: If they differ in length, ``tau`` is not positive, or no epoch has a finite loss in both.
    """
    return math.exp(_mean_or_undefined(_log_losses(losses, clean_losses, tau)))


def relative_sharpness(
    poisoned_sal: ArrayLike,
    clean_sal: ArrayLike,
    losses: ArrayLike,
    clean_losses: ArrayLike,
    *,
    tau: float = TAU,
) -> float:
    """Sharpness per unit of loss: mean of ``log(SAL + τ) − log(L + τ)`` over epochs and layers, poisoned minus clean.

    It asks how far a bounded change of a layer moves the loss in relation to where the loss is: positive where the
    poisoned run sits at its low loss more precariously than the clean run at its own. It is the logarithm of the geometric
    distance over :func:`loss_ratio`.

    It tells poisons that are fitted quickly and sharply. It tells nothing where the clean loss goes to 0 as well, and
    where SAL and L are both far below τ it is 0 by construction.

    Args:
        poisoned_sal: SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: SAL of the run on clean data, ``[T, L]``.
        losses: Loss of the poisoned run on its probe, one an epoch, ``[T]``.
        clean_losses: The same of the clean run, ``[T]``.
        tau: Added to every SAL and loss, in units of the loss.

    Returns:
        A difference of logarithms: 0 for "like clean data".

    Raises:
        ValueError: If the arrays are not SAL arrays or differ in shape, the losses do not fit them, ``tau`` is not
            positive, or no entry is finite in both runs.
    """
    poisoned, clean = sal_pair(poisoned_sal, clean_sal)
    own, reference = _loss_pair(losses, clean_losses, len(clean))
    return _mean_or_undefined(
        log_ratios(poisoned, clean, checked_tau(tau)) - (log_of(own, tau) - log_of(reference, tau))[:, None]
    )


def equal_loss(
    poisoned_sal: ArrayLike,
    clean_sal: ArrayLike,
    losses: ArrayLike,
    clean_losses: ArrayLike,
    *,
    tau: float = TAU,
) -> EqualLoss:
    """The geometric distance at equal loss instead of equal epoch.

    The clean run's ``log(SAL + τ)`` of each layer is taken as a function of its ``log(L + τ)``, linear between its
    epochs (sorted by loss), and read off at the poisoned run's loss.

    It tells whether a poisoned model is sharper than a clean one that fits as well. It tells nothing of the time after
    the poisoned loss has fallen below all that the clean run reaches: with strong poisons that is most of the training, so
    it is often undefined for just the methods that cost most.

    Args:
        poisoned_sal: SAL of the run on poisoned data, ``[T, L]``.
        clean_sal: SAL of the run on clean data, ``[T, L]``.
        losses: Loss of the poisoned run on its probe, one an epoch, ``[T]``.
        clean_losses: The same of the clean run, ``[T]``.
        tau: Added to every SAL and loss, in units of the loss.

    Raises:
        ValueError: If the arrays are not SAL arrays or differ in shape, the losses do not fit them, or ``tau`` is not
            positive.
    """
    poisoned, clean = sal_pair(poisoned_sal, clean_sal)
    own, reference = _loss_pair(losses, clean_losses, len(clean))
    at, curve = log_of(own, checked_tau(tau)), log_of(reference, tau)
    known = np.isfinite(curve)
    logs = np.full(poisoned.shape, np.nan)
    inside = np.zeros(len(at), dtype=bool)
    if known.any():
        inside = (at >= curve[known].min()) & (at <= curve[known].max())
        clean_logs = log_of(clean, tau)
        for layer, values in enumerate(clean_logs.T):
            logs[inside, layer] = _interpolate(at[inside], curve, values)
        logs = log_of(poisoned, tau) - logs
    per_epoch = finite_mean(logs, axis=1)
    finite_loss = np.isfinite(at)
    return EqualLoss(
        value=float(np.exp(finite_mean(logs))),
        per_epoch=np.exp(per_epoch),
        compared=int(np.isfinite(per_epoch).sum()),
        outside=int((finite_loss & ~inside).sum()),
        left_out=int((~finite_loss).sum()),
    )


def _interpolate(
    at: Float64[np.ndarray, " wanted"], curve: Float64[np.ndarray, " epochs"], values: Float64[np.ndarray, " epochs"]
) -> Float64[np.ndarray, " wanted"]:
    """`values` over `curve`, linear between its points; NaN outside them. Points of equal place count as their mean."""
    known = np.isfinite(curve) & np.isfinite(values)
    if not known.any():
        return np.full(len(at), np.nan)
    places, group = np.unique(curve[known], return_inverse=True)
    means = np.bincount(group, weights=values[known]) / np.bincount(group)
    return np.interp(at, places, means, left=np.nan, right=np.nan)


def _loss_pair(
    losses: ArrayLike, clean_losses: ArrayLike, epochs: int
) -> tuple[Float64[np.ndarray, " epochs"], Float64[np.ndarray, " epochs"]]:
    return loss_array(losses, epochs, "losses"), loss_array(clean_losses, epochs, "clean_losses")


def _log_losses(losses: ArrayLike, clean_losses: ArrayLike, tau: float) -> Float64[np.ndarray, " epochs"]:
    own, reference = _loss_pair(losses, clean_losses, len(np.atleast_1d(np.asarray(clean_losses))))
    return log_of(own, checked_tau(tau)) - log_of(reference, tau)


def _mean_or_undefined(logs: Float64[np.ndarray, "..."]) -> float:
    mean = float(finite_mean(logs))
    if math.isnan(mean):
        raise UndefinedDistanceError(
            "No epoch has a finite loss (and SAL) in both runs, so there is nothing to compare."
        )
    return mean
