"""The LightningModule for several tasks on one encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from typing_extensions import override

from unlearnable.models.heads import Backbone, MultiTaskNet, make_multi_task_net
from unlearnable.models.single_task import LossFunction
from unlearnable.models.weighting import WEIGHTINGS, make_aggregator
from unlearnable.tasks.base import Task, choose_tasks
from unlearnable.tasks.losses import JointLoss, TaskLoss
from unlearnable.tasks.metrics import TaskMetrics

#: The name under which the sum of all losses is measured.
JOINT = "joint"


class MultiTask(LightningModule):
    """Trains one head a task on a shared encoder.

    Logs `train/loss`, `train/<task>/loss` and `test/<task>/<metric>` each epoch; with one task its name is left out.

    Args:
        net: Maps images in [0, 1] to {task: prediction}.
        tasks: The tasks, one for each head.
        optimizer: Called with the parameters.
        scheduler: Called with the optimizer; stepped once an epoch.
        weighting: `equal`, `uncertainty` or `dwa`.
        aggregator: None descends on the weighted sum; else how TorchJD combines the tasks' gradients on the shared
            parameters, see `task_weighting`. Heads follow their own loss.
    """

    def __init__(
        self,
        net: MultiTaskNet,
        tasks: Mapping[str, Task],
        *,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
        weighting: str = "equal",
        aggregator: str | None = None,
    ) -> None:
        super().__init__()
        if set(net.heads) != set(tasks):
            raise ValueError(f"The net has heads for {', '.join(net.heads)}, but the tasks are {', '.join(tasks)}.")
        if JOINT in tasks:
            raise ValueError(f"No task may be called {JOINT!r}: that is the sum of all.")
        if weighting not in WEIGHTINGS:
            raise ValueError(f"`task.weighting` must be one of {', '.join(WEIGHTINGS)}; got {weighting!r}.")
        if aggregator is not None and weighting != "equal":
            raise ValueError(
                f"`task.aggregator` = {aggregator} combines gradients itself; it needs task.weighting=equal, got {weighting}."
            )
        self.net, self.optimizer, self.scheduler = net, optimizer, scheduler
        self.tasks = dict(tasks)
        self.weighting = WEIGHTINGS[weighting](list(tasks))
        self.aggregator: Any = None if aggregator is None else make_aggregator(aggregator, len(tasks))
        self.test_metrics = nn.ModuleDict({name: TaskMetrics(task) for name, task in tasks.items()})
        self._task_losses = {name: TaskLoss(task) for name, task in tasks.items()}
        self._graph: tuple[Tensor, dict[str, Tensor]] | None = None
        self._epoch_sums: dict[str, list[float]] = {}

    @property
    def loss_functions(self) -> Mapping[str, LossFunction]:
        """Task → its loss on a batch's outputs and targets; with several tasks also their sum, `joint`."""
        losses = self._task_losses
        return losses if len(losses) == 1 else {**losses, JOINT: JointLoss(losses)}

    @property
    def task_nets(self) -> Mapping[str, nn.Module]:
        """Task → the part of `net` that its loss depends on; layers keep their names."""
        return {task: self.net.for_task(task) for task in self.tasks}

    @property
    def shared_parameters(self) -> list[nn.Parameter]:
        """The encoder's."""
        return list(self.net.encoder.parameters())

    def losses(self, batch: tuple[Tensor, Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Task → mean loss of the batch."""
        images, targets = batch
        outputs = self.net(images)
        return {task: loss(outputs, targets) for task, loss in self._task_losses.items()}

    @override
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.net(images)

    def _key(self, split: str, task: str, what: str) -> str:
        return f"{split}/{what}" if len(self.tasks) == 1 else f"{split}/{task}/{what}"

    @override
    def on_fit_start(self) -> None:
        plain = self.trainer.accumulate_grad_batches == 1 and self.trainer.precision != "16-mixed"
        if self.aggregator is not None and not plain:
            raise ValueError(
                "`task.aggregator` takes each batch's unscaled gradients: it needs trainer.accumulate_grad_batches=1 and a "
                "precision other than 16-mixed."
            )

    @override
    def training_step(self, batch: tuple[Tensor, Mapping[str, Tensor]], batch_idx: int) -> Tensor:
        images, targets = batch
        features = self.net.features(images)
        outputs = self.net.predict(features, images.shape[-2:])
        losses = {task: loss(outputs, targets) for task, loss in self._task_losses.items()}
        total: Tensor = self.weighting(losses)
        self._graph = (features, losses) if self.aggregator is not None else None
        self.log("train/loss", total, on_step=False, on_epoch=True, batch_size=len(images))
        for task, loss in losses.items():
            self._epoch_sums.setdefault(task, [0.0, 0.0])
            self._epoch_sums[task][0] += float(loss.detach()) * len(images)
            self._epoch_sums[task][1] += len(images)
            if len(losses) > 1:
                self.log(self._key("train", task, "loss"), loss, on_step=False, on_epoch=True, batch_size=len(images))
        return total

    @override
    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        if self._graph is None:
            super().backward(loss, *args, **kwargs)
            return
        from torchjd.autojac import jac_to_grad, mtl_backward

        features, losses = self._graph
        # One backward pass after the other: batched ones are slower on CPUs and need more memory.
        mtl_backward(list(losses.values()), features=features, parallel_chunk_size=1)
        jac_to_grad([parameter for parameter in self.shared_parameters if parameter.requires_grad], self.aggregator)
        self._graph = None

    @override
    def on_train_epoch_end(self) -> None:
        sums: Any = self.all_gather(torch.tensor(list(self._epoch_sums.values()), device=self.device))
        total, count = sums.reshape(-1, len(self._epoch_sums), 2).sum(0).T  # of all ranks: their weights must not part
        self.weighting.epoch_ended(dict(zip(self._epoch_sums, (total / count).tolist(), strict=True)))
        self._epoch_sums = {}

    @override
    def validation_step(self, batch: tuple[Tensor, Mapping[str, Tensor]], batch_idx: int) -> None:
        images, targets = batch
        outputs = self.net(images)
        for task in self.tasks:
            self._metrics(task).update(outputs[task], targets[task])

    @override
    def on_validation_epoch_end(self) -> None:
        for task in self.tasks:
            metrics = self._metrics(task)
            self.log_dict({self._key("test", task, name): value for name, value in metrics.compute().items()})
            metrics.reset()

    def _metrics(self, task: str) -> TaskMetrics:
        metrics = self.test_metrics[task]
        assert isinstance(metrics, TaskMetrics)
        return metrics

    @override
    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer)}


def make_multi_task(
    backbone: Backbone,
    data_tasks: Mapping[str, Task],
    *,
    tasks: Sequence[str] | None = None,
    head_width: int = 16,
    **options: Any,
) -> MultiTask:
    """The module for the data's tasks, or some of them: what `task=multi` builds.

    Args:
        backbone: See `make_multi_task_net`.
        data_tasks: What the data have targets for.
        tasks: Which of them to train on; None takes all, one name is single-task training with the same recipe.
        head_width: See `make_multi_task_net`.
        **options: See `MultiTask`.
    """
    chosen = choose_tasks(data_tasks, tasks, what="task.tasks")
    return MultiTask(make_multi_task_net(backbone, chosen, width=head_width), chosen, **options)
