"""A task's metrics over batches, by torchmetrics; and what they are of predictions that look at no input."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from unlearnable.tasks import Task

_BATCH = 256
_ROOM = 2**24  # predicted values a batch: a vocabulary at each word of a text is many


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


def judge_priors(task: Task, train: Tensor, test: Tensor) -> dict[str, dict[str, float]]:
    """Prior → metric → its value on the test targets, by the metrics that judge a model.

    Args:
        task: The task.
        train: Its training targets, which alone the priors are made from; none has a value: there are no priors.
        test: Its test targets.
    """
    found: dict[str, dict[str, float]] = {}
    for name, predicted in task.priors(train).items() if task.known(train).any() else ():
        metrics = TaskMetrics(task)
        for target in test.split(max(1, min(_BATCH, _ROOM // predicted.numel()))):
            metrics.update(predicted.expand(len(target), *predicted.shape[1:]), target)
        found[name] = {metric: float(value) for metric, value in metrics.compute().items()}
    return found
