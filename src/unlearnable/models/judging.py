"""A task's metrics over batches, by torchmetrics."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from unlearnable.tasks import Task


class TaskMetrics(nn.Module):
    """The metrics of one task, over all values that have a target.

    Args:
        task: The task.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        self.metrics = nn.ModuleDict(task.metrics())

    def __getitem__(self, name: str) -> Metric:
        return cast(Metric, self.metrics[name])

    def update(self, output: Tensor, target: Tensor) -> None:
        """Adds a batch of predictions and targets."""
        for name, values in self.task.judged(output, target).items():
            if values[0].numel():
                self[name].update(*values)

    def compute(self) -> dict[str, Tensor]:
        """Name → value over all batches since `reset`; NaN if there was no value."""
        return {
            name: self[name].compute() if self[name].update_called else torch.tensor(math.nan) for name in self.metrics
        }

    def reset(self) -> None:
        """Forgets all batches."""
        for name in self.metrics:
            self[name].reset()
