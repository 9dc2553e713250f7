"""A trained and measured model: what stages hand over and results are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

if TYPE_CHECKING:  # a report is read and drawn without PyTorch, which takes seconds to load
    from unlearnable.callbacks.trajectory import Epoch
    from unlearnable.measures.base import Measured
    from unlearnable.tasks import Task

#: The measure that UD is made from.
SAL = "sal"
#: The measure whose values are cosine similarities between tasks: row by row a matrix, not layer by layer.
CONFLICT = "conflict"


@runtime_checkable
class MadePoison(Protocol):
    """What results say about the poisoned samples."""

    @property
    def seconds(self) -> float:
        """What making them took, now or when it was done."""

    @property
    def reused(self) -> bool:
        """Whether they were in the store already."""

    @property
    def key(self) -> str | None:
        """Digest of all that they depend on; None for those that are not stored."""


@dataclass(frozen=True)
class MeasuredRun:
    """A model, trained and measured.

    Attributes:
        epochs: Metrics and seconds of every epoch.
        measured: Measure → epoch, counted from 1 → task → what was found.
        tasks: The data's tasks by name; measures may have more, such as `joint`.
        seconds: Stage → what it took, now or when it was done.
        reused: Stages whose outcome was in the store already.
        keys: `data`: digest of the samples that were trained on; `trajectory`: digest of all that the training depends
            on; `measure`: measure → the same of the measurement. Runs with equal digests are one and the same.
    """

    epochs: Sequence[Epoch]
    measured: Mapping[str, Mapping[int, Mapping[str, Measured]]]
    tasks: Mapping[str, Task]
    seconds: Mapping[str, float]
    reused: Sequence[str]
    keys: Mapping[str, Any] = field(default_factory=dict)

    def epochs_of(self, measure: str) -> list[int]:
        """The epochs after which it was measured, ascending, counted from 1; none if it never was."""
        return sorted(self.measured.get(measure, {}))

    @property
    def sal_epochs(self) -> list[int]:
        """The epochs after which SAL was measured."""
        return self.epochs_of(SAL)

    @property
    def sal(self) -> dict[int, dict[str, np.ndarray]]:
        """Epoch → task → SAL of the layers, `[L]`."""
        return {epoch: {task: one.values for task, one in tasks.items()} for epoch, tasks in self.measured[SAL].items()}

    def tasks_of(self, measure: str) -> list[str]:
        """The tasks for which it was measured."""
        epochs = self.epochs_of(measure)
        return list(self.measured[measure][epochs[0]]) if epochs else []

    def series(self, measure: str, task: str, epochs: Sequence[int] | None = None) -> list[Measured]:
        """What was found for a task, epoch by epoch; by default of all epochs."""
        chosen = self.epochs_of(measure) if epochs is None else epochs
        return [self.measured[measure][epoch][task] for epoch in chosen]

    def values(
        self, measure: str, task: str, epochs: Sequence[int] | None = None
    ) -> Float64[np.ndarray, "epochs layers"]:
        """The same as an array, `[T, L]`."""
        return np.stack([found.values for found in self.series(measure, task, epochs)])
