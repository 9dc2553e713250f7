"""The losses of several tasks on batches of a training set, for poisons against all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from unlearnable.data.samples import Targets
from unlearnable.poisons.image.training_set import Batch, sent
from unlearnable.tasks.base import TaskLoss, of_task


@dataclass(frozen=True)
class Objective:
    """The tasks' losses on batches of a training set, and the targets of all its rows."""

    losses: Mapping[str, TaskLoss]
    targets: Targets

    def of(self, batch: Batch) -> dict[str, Tensor]:
        """A batch's targets, on its device."""
        return {task: sent(of_task(self.targets, task)[batch.rows], batch.labels.device) for task in self.losses}

    def __call__(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Float[Tensor, " t"]:
        """Each task's mean loss on a batch."""
        return torch.stack([loss(outputs, targets) for loss in self.losses.values()])

    def on(self, outputs: Mapping[str, Tensor], batch: Batch) -> Float[Tensor, " t"]:
        """The same, for a batch that is met once."""
        return self(outputs, self.of(batch))
