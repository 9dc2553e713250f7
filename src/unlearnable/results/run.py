"""A model, trained and measured: what the stages hand to the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from unlearnable.callbacks.trajectory import Epoch
from unlearnable.measures.base import Measured
from unlearnable.tasks import Task


@dataclass(frozen=True)
class MeasuredRun:
    """A model, trained and measured.

    Attributes:
        epochs: Metrics of every epoch.
        measured: Measure → epoch (counted from 1) → task → what was measured.
        tasks: The tasks of the data, by name.
        seconds: What `train` and each measure took, now or when it was done.
        reused: Which of these were in the store already.
        keys: `trajectory` → its digest in the store, `measure` → measure → digest.
    """

    epochs: Sequence[Epoch]
    measured: Mapping[str, Mapping[int, Mapping[str, Measured]]]
    tasks: Mapping[str, Task]
    seconds: Mapping[str, float]
    reused: Sequence[str]
    keys: Mapping[str, Any]

    @property
    def sal_epochs(self) -> list[int]:
        """The epochs after which SAL was measured."""
        return sorted(self.measured["sal"])

    def values(self, measure: str, task: str) -> Float64[np.ndarray, "epochs layers"]:
        """What a measure found for a task, a row for each epoch measured."""
        history = self.measured[measure]
        return np.stack([history[epoch][task].values for epoch in sorted(history)])
