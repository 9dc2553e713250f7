"""The LightningModule that trains a net for one task or for many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from typing_extensions import override

from unlearnable import seeding
from unlearnable.defenses import Defense, NoDefense
from unlearnable.models.judging import TaskMetrics
from unlearnable.models.multi_head import Backbone, MultiTaskNet, make_multi_task_net
from unlearnable.models.pretrained import start_from
from unlearnable.models.weighting import WEIGHTINGS, forget, make_aggregator
from unlearnable.options import Number
from unlearnable.tasks import Classification, JointLoss, Task, TaskLoss, choose_tasks, of_task

#: The name under which the sum of all losses is measured.
JOINT = "joint"


class TaskModule(LightningModule):
    """Trains a net for one task or for many.

    Logs each epoch `train/loss`, `train/acc` of class tasks, and `test/<metric>`; with several tasks the task's name
    comes in between, as in `train/<task>/loss`, and `train/loss` is the loss that is descended on.

    Args:
        net: Maps inputs to its one task's prediction, or to {task: prediction}.
        tasks: What it predicts.
        optimizer: Called with the parameters.
        scheduler: Called with the optimizer; stepped once an epoch.
        weighting: How the tasks' losses are summed: `equal`, `uncertainty` or `dwa`.
        aggregator: None descends on the weighted sum; else how TorchJD combines the tasks' gradients on the shared
            parameters, see `weighting.make_aggregator`. Heads follow their own loss.
        defense: What is done to training batches, to the training loss and to test inputs; None does nothing.
        seed: Of the defence's randomness, which depends on seed, epoch and batch alone.
        pretrained: File with the weights that training starts from, see `pretrained.start_from`; None starts afresh.
        tune: `all`, or `head` for a linear probe: everything but the head stays as it was pretrained.

    Raises:
        ValueError: if the net's heads are not for the tasks, weighting and aggregator do not go together, the defence
            cannot be used with a task, or the pretrained weights are of another network.
    """

    def __init__(
        self,
        net: nn.Module,
        tasks: Mapping[str, Task],
        *,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
        weighting: str = "equal",
        aggregator: str | None = None,
        defense: Defense | None = None,
        seed: int = 0,
        pretrained: str | Path | None = None,
        tune: str = "all",
    ) -> None:
        super().__init__()
        if isinstance(net, MultiTaskNet) and set(net.heads) != set(tasks):
            raise ValueError(f"The net has heads for {', '.join(net.heads)}, but the tasks are {', '.join(tasks)}.")
        if JOINT in tasks:
            raise ValueError(f"No task may be called {JOINT!r}: the name stands for the sum of all losses.")
        if weighting not in WEIGHTINGS:
            raise ValueError(f"`task.weighting` must be one of {', '.join(WEIGHTINGS)}; got {weighting!r}.")
        if aggregator is not None and not isinstance(net, MultiTaskNet):
            raise ValueError(f"`task.aggregator` = {aggregator} needs an encoder with heads; use task=multi.")
        if aggregator is not None and weighting != "equal":
            raise ValueError(
                f"`task.aggregator` = {aggregator} combines gradients itself; it needs task.weighting=equal, "
                f"got {weighting}."
            )
        start_from(net, pretrained, tune=tune)
        # Channels last in memory, as the images are: forward and backward take a quarter to a third less time.
        self.net = net.to(memory_format=torch.channels_last)
        self.optimizer, self.scheduler = optimizer, scheduler
        self.tasks = dict(tasks)
        self.weighting = WEIGHTINGS[weighting](list(tasks))
        if aggregator is not None and tune == "head":
            raise ValueError(
                f"`task.aggregator` = {aggregator} combines gradients on the shared layers, and `model.tune` = head has none."
            )
        # In a list, so that it is no part of the network: some keep moving averages, which no fresh one could take over.
        self._aggregators = [] if aggregator is None else [make_aggregator(aggregator, len(tasks))]
        self.defense, self.seed = defense or NoDefense(), seed
        self.defense.setup(self.tasks)
        classes = {name: task for name, task in tasks.items() if isinstance(task, Classification)}
        self.train_metrics = nn.ModuleDict({name: TaskMetrics(task) for name, task in classes.items()})
        self.test_metrics = nn.ModuleDict({name: TaskMetrics(task) for name, task in tasks.items()})
        self._task_losses = {name: TaskLoss(task) for name, task in tasks.items()}
        self._graph: tuple[list[Tensor], dict[str, Tensor]] | None = None
        self._epoch_losses: list[tuple[int, Tensor]] = []

    @property
    def loss_functions(self) -> Mapping[str, TaskLoss | JointLoss]:
        """Task → its loss on a batch's outputs and targets; with several tasks also their sum, `joint`."""
        losses = self._task_losses
        return losses if len(losses) == 1 else {**losses, JOINT: JointLoss(losses)}

    def objective(self, outputs: Any, targets: Any) -> Tensor:
        """What is descended on, of a batch's outputs and targets: the tasks' losses, weighted."""
        return self.weighting({task: loss(outputs, targets) for task, loss in self._task_losses.items()})

    @property
    def task_nets(self) -> Mapping[str, nn.Module]:
        """Task → the part of `net` that its loss depends on; layers keep their names."""
        net = self.net
        return {task: net.for_task(task) if isinstance(net, MultiTaskNet) else net for task in self.tasks}

    @property
    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters that all tasks use: the encoder's, or all of a net without encoder and heads."""
        return list((self.net.encoder if isinstance(self.net, MultiTaskNet) else self.net).parameters())

    @override
    def forward(self, inputs: Any) -> Any:
        return self.net(inputs)

    def _key(self, split: str, task: str, what: str) -> str:
        return f"{split}/{what}" if len(self.tasks) == 1 else f"{split}/{task}/{what}"

    @override
    def on_fit_start(self) -> None:
        plain = self.trainer.accumulate_grad_batches == 1 and self.trainer.precision != "16-mixed"
        if self.aggregator is not None and not plain:
            raise ValueError(
                "`task.aggregator` takes each batch's unscaled gradients: it needs trainer.accumulate_grad_batches=1 "
                "and a precision other than 16-mixed."
            )

    @property
    def aggregator(self) -> Any:
        """TorchJD's, or None."""
        return next(iter(self._aggregators), None)

    @override
    def on_train_epoch_start(self) -> None:
        forget(self.aggregator)  # with each epoch, so that a resumed run is the same

    @override
    def training_step(self, batch: tuple[Any, Any], batch_idx: int) -> Tensor:
        # The last number sets the stream apart from the augmentation's.
        stream = seeding.generator(self.device, self.seed, self.current_epoch, batch_idx + 1, 1)
        inputs, targets = self.defense.batch(*batch, generator=stream)
        total = self.defense.loss(self, (inputs, targets), generator=stream)
        if total is None:
            outputs, losses = self._predict(inputs, targets)
            total = self.weighting(losses)
        else:
            if self.aggregator is not None:
                raise ValueError("`task.aggregator` needs each task's own loss, which this defence replaces.")
            outputs, losses = self._look(inputs, targets)
        self._log_training(total, losses, outputs, targets)
        return total

    def _predict(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Tensor]]:
        """Outputs and the tasks' losses; for an aggregator the graph between features and losses is kept."""
        net: Any = self.net
        if self.aggregator is None:
            outputs = net(inputs)
        else:
            features = net.features(inputs)
            outputs = net.predict(features, inputs.shape[-2:])
        losses = {task: loss(outputs, targets) for task, loss in self._task_losses.items()}
        self._graph = None if self.aggregator is None else (features, losses)
        return outputs, losses

    @torch.no_grad()
    def _look(self, inputs: Any, targets: Any) -> tuple[Any, dict[str, Tensor]]:
        """Outputs and losses for the logs alone: in eval mode, so that statistics of batches stay as they are."""
        training = [part for part in self.net.modules() if part.training]  # a linear probe's features are not
        self.net.eval()
        outputs = self.net(inputs)
        for part in training:
            part.training = True
        return outputs, {task: loss(outputs, targets) for task, loss in self._task_losses.items()}

    def _log_training(self, total: Tensor, losses: Mapping[str, Tensor], outputs: Any, targets: Any) -> None:
        first = next(iter(losses))
        size = len(of_task(targets, first))
        # Means over the epoch weight batches as the loss does; with several tasks, whose losses differ in it, by samples.
        weight = self.tasks[first].weight(of_task(targets, first)) if len(losses) == 1 else size
        settings: dict[str, Any] = {"on_step": False, "on_epoch": True, "batch_size": weight}
        settings["sync_dist"] = self._trainer is not None and self._trainer.world_size > 1
        self.log("train/loss", total, **settings)
        for task, metrics in self.train_metrics.items():
            assert isinstance(metrics, TaskMetrics)
            metrics.update(of_task(outputs, task), of_task(targets, task))
            self.log(self._key("train", task, "acc"), metrics["acc"], **settings)
        if len(losses) > 1:
            self._epoch_losses.append((size, torch.stack([losses[task].detach() for task in self.tasks])))
            for task, loss in losses.items():
                self.log(self._key("train", task, "loss"), loss, **settings)

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
    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if not isinstance(scheduler, ReduceLROnPlateau):  # see `on_train_epoch_end`
            super().lr_scheduler_step(scheduler, metric)

    @override
    def on_train_epoch_end(self) -> None:
        scheduler = None if self._trainer is None else self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau):
            # Lightning does it after the check point, so that a resumed run would lack a step.
            scheduler.step(self.trainer.callback_metrics["train/loss"].item())
        if not self._epoch_losses:
            return
        # Read here, once: a number read in each step would make a GPU wait each time.
        sizes = torch.tensor([size for size, _ in self._epoch_losses], dtype=torch.float64)
        losses = torch.stack([losses for _, losses in self._epoch_losses]).cpu().double()
        sums = torch.cat([sizes @ losses, sizes.sum()[None]]).float()
        gathered: Any = self.all_gather(sums.to(self.device))
        *totals, count = gathered.reshape(-1, len(sums)).sum(0).tolist()  # over all ranks: their weights stay equal
        means = [total / count for total in totals]
        self.weighting.epoch_ended(dict(zip(self.tasks, means, strict=True)))
        self._epoch_losses = []

    @override
    def validation_step(self, batch: tuple[Any, Any], batch_idx: int) -> None:
        inputs, targets = batch
        outputs = self.net(self.defense.at_test(inputs))
        for task, metrics in self.test_metrics.items():
            assert isinstance(metrics, TaskMetrics)
            metrics.update(of_task(outputs, task), of_task(targets, task))

    @override
    def on_validation_epoch_end(self) -> None:
        for task, metrics in self.test_metrics.items():
            assert isinstance(metrics, TaskMetrics)
            self.log_dict({self._key("test", task, name): value for name, value in metrics.compute().items()})
            metrics.reset()

    @override
    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        scheduler = {"scheduler": self.scheduler(optimizer)}
        if isinstance(scheduler["scheduler"], ReduceLROnPlateau):
            scheduler["monitor"] = "train/loss"
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def single_task(
    backbone: Backbone, data_tasks: Mapping[str, Task], *, predicts: str | None = None, **options: Any
) -> TaskModule:
    """The module for data with one classification: what `task=single` builds, the backbone itself as its net.

    Args:
        backbone: Called with the number of classes.
        data_tasks: What the data have targets for.
        predicts: The task in the classification's place that the data are for, see `DataModule.predicting`: what
            `task=next_token` builds.
        **options: See `TaskModule`.

    Raises:
        ValueError: if the data have several tasks, or one of another kind.
    """
    task = next(iter(data_tasks.values()))
    if len(data_tasks) > 1 or not (isinstance(task, Classification) or task.name == predicts):
        raise ValueError(
            f"task=single is for data with one classification; these have {', '.join(data_tasks)}. "
            f"Use task=multi, with task.tasks=[{next(iter(data_tasks))}] for one of them."
        )
    return TaskModule(backbone(task.channels), data_tasks, **options)


def multi_task(
    backbone: Backbone,
    data_tasks: Mapping[str, Task],
    *,
    tasks: Sequence[str] | None = None,
    head_width: Number = 16,
    skips: bool = False,
    **options: Any,
) -> TaskModule:
    """The module for the data's tasks, or some of them: what `task=multi` builds.

    Args:
        backbone: See `make_multi_task_net`.
        data_tasks: What the data have targets for.
        tasks: Which of them to train on; None takes all, one name is single-task training with the same recipe.
        head_width: See `make_multi_task_net`.
        skips: See `make_multi_task_net`.
        **options: See `TaskModule`.
    """
    chosen = choose_tasks(data_tasks, tasks, what="task.tasks")
    return TaskModule(make_multi_task_net(backbone, chosen, width=head_width, skips=skips), chosen, **options)
