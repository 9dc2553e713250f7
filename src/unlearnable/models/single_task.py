"""The LightningModule for one classification task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy
from typing_extensions import override

from unlearnable.tasks.base import Task

#: Mean loss of a batch from (outputs, targets).
LossFunction = Callable[[Any, Any], Tensor]


class SingleTask(LightningModule):
    """Trains a classifier with cross-entropy; logs `train/loss`, `train/acc` and `test/acc` each epoch.

    Args:
        net: Maps images in [0, 1] to class scores.
        num_classes: Number of classes.
        optimizer: Called with the parameters.
        scheduler: Called with the optimizer; stepped once an epoch.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        num_classes: int,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
    ) -> None:
        super().__init__()
        self.net, self.optimizer, self.scheduler = net, optimizer, scheduler
        self.train_acc = MulticlassAccuracy(num_classes, average="micro")
        self.test_acc = MulticlassAccuracy(num_classes, average="micro")

    @property
    def loss_functions(self) -> Mapping[str, LossFunction]:
        """Task → its loss on a batch's outputs and targets: what SAL measures, one entry a task."""
        return {"class": F.cross_entropy}

    def losses(self, batch: Sequence[Any]) -> dict[str, Tensor]:
        """Task → mean loss of the batch."""
        images, targets = batch
        outputs = self.net(images)
        return {task: loss(outputs, targets) for task, loss in self.loss_functions.items()}

    @override
    def forward(self, images: Tensor) -> Any:
        return self.net(images)

    @override
    def training_step(self, batch: Sequence[Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        scores = self.net(images)
        loss = F.cross_entropy(scores, labels)
        self.train_acc(scores, labels)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        self.log("train/acc", self.train_acc, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    @override
    def validation_step(self, batch: Sequence[Tensor], batch_idx: int) -> None:
        images, labels = batch
        self.test_acc(self.net(images), labels)
        self.log("test/acc", self.test_acc, on_step=False, on_epoch=True, batch_size=len(labels))

    @override
    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer)}


def make_single_task(backbone: Callable[..., nn.Module], data_tasks: Mapping[str, Task], **options: Any) -> SingleTask:
    """The module for data with one classification: what `task=single` builds.

    Args:
        backbone: Called with the number of classes.
        data_tasks: What the data have targets for.
        **options: See `SingleTask`.

    Raises:
        ValueError: if the data have several tasks, or one of another kind.
    """
    if [task.kind for task in data_tasks.values()] != ["class"]:
        raise ValueError(
            f"task=single is for data with one classification; these have {', '.join(data_tasks)}. "
            f"Use task=multi, with task.tasks=[{next(iter(data_tasks))}] for one of them."
        )
    (task,) = data_tasks.values()
    return SingleTask(backbone(task.channels), num_classes=task.channels, **options)
