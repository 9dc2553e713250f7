"""When a run has converged."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


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
