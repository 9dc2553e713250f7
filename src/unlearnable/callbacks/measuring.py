"""Any measure at the ends of epochs, as a callback."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from unlearnable.callbacks.trajectory import whole_epoch
from unlearnable.logged import task_key
from unlearnable.measures.base import Context, Measure, Measured
from unlearnable.measures.history import History


class Measuring(Callback):
    """Measures at the end of training epochs and after the last, on the training device; logs `<measure>/<layer>`.

    The module must have `net` and `loss_functions` (task → loss of outputs and targets), the data module
    `probe(samples, split=…, batch_size=…)`. With several tasks the keys are `<measure>/<task>/<layer>`. Where a task's
    loss depends on a part of `net` only, the module may have `task_nets` (task → that part, under the same names).

    Args:
        measure: What is measured, on which probe, after which epochs.
        epochs: Length of the whole run; None takes the Trainer's. A run that was interrupted is shown in parts.
        folder: Where each epoch's result is kept, so that an interrupted run goes on where it stopped; what lies there
            is taken, not measured again. None keeps it in memory alone.
        weights: Gives the weights after an epoch of this run, see `Context`.
    """

    def __init__(
        self,
        measure: Measure,
        *,
        epochs: int | None = None,
        folder: Path | None = None,
        weights: Callable[[int], Mapping[str, Tensor]] | None = None,
    ) -> None:
        super().__init__()
        self.measure, self.epochs = measure, epochs
        self.history = History(folder)
        self.weights = weights or _no_weights

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for owner, attribute in ((pl_module, "net"), (pl_module, "loss_functions"), (trainer.datamodule, "probe")):  # type: ignore[attr-defined]
            if not hasattr(owner, attribute):
                raise TypeError(
                    f"{type(self).__name__} needs `{attribute}`, which {type(owner).__name__} does not have; "
                    "see its docstring for what module and data module provide."
                )

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        due = whole_epoch(trainer) and self.measure.due(epoch, self.epochs or trainer.max_epochs or 0)
        if due and self._measured(trainer, pl_module, epoch):
            pl_module.log_dict(self.logged(epoch), rank_zero_only=True)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run that another callback ended early has its last epoch measured too.
        epoch = trainer.current_epoch
        stopped = trainer.should_stop and whole_epoch(trainer) and 0 < epoch < (self.epochs or trainer.max_epochs or 0)
        there = max(self.measure.needs_weights(epoch, epoch)) <= epoch
        if stopped and there and epoch not in self.history.epochs and self._measured(trainer, pl_module, epoch):
            for logger in trainer.loggers:
                logger.log_metrics({**self.logged(epoch), "epoch": epoch - 1})

    def logged(self, epoch: int) -> dict[str, float]:
        """What is logged of an epoch: `<measure>/<layer>`, or `<measure>/<task>/<layer>` for several tasks."""
        measured = self.history.epochs[epoch]
        return {
            f"{task_key(self.measure.name, task, measured)}/{layer}": value
            for task, found in measured.items()
            for layer, value in zip(found.names, found.values.tolist(), strict=True)
        }

    def _measured(self, trainer: Trainer, module: LightningModule, epoch: int) -> bool:
        """Measures the epoch, unless it was measured before; False if there is nothing to measure."""
        if self.measure.rests(module.loss_functions):  # type: ignore[arg-type]
            return False
        if epoch not in self.history.epochs:
            start = time.monotonic()
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            running = running_losses(trainer.callback_metrics, module.loss_functions)  # type: ignore[arg-type]
            found = measure_module(self.measure, module, data, epoch, self.weights, running=running)
            self.history.keep(epoch, found, time.monotonic() - start, write=trainer.is_global_zero)
        return True


def measure_module(
    measure: Measure,
    module: Any,
    data: Any,
    epoch: int,
    weights: Callable[[int], Mapping[str, Tensor]],
    *,
    running: Mapping[str, float] | None = None,
    samples: int | None = None,
) -> Mapping[str, Measured]:
    """Measures a module as it stands on a probe of its data.

    Args:
        measure: What is measured.
        module: See `Measuring`.
        data: See `Measuring`.
        epoch: Epochs trained so far.
        weights: See `Context`.
        running: See `Context`.
        samples: Size of the probe; None takes the measure's own.
    """
    probe = data.probe(samples or measure.samples, split=measure.source, batch_size=measure.batch_size)
    context = Context(
        epoch,
        weights,
        running=running or {},
        parts=getattr(module, "task_nets", {}),
        shared=getattr(module, "shared_parameters", ()),
    )
    return measure.measure(module.net, module.loss_functions, probe, context)


def running_losses(metrics: Mapping[str, Any], tasks: Mapping[str, Any]) -> dict[str, float]:
    """Task → the training loss that the module logged for the epoch, of those whose loss it did log."""
    keys = {task: "train/loss" if len(tasks) == 1 else f"train/{task}/loss" for task in tasks}
    return {task: float(metrics[key]) for task, key in keys.items() if key in metrics}


def _no_weights(epoch: int) -> Mapping[str, Tensor]:
    raise KeyError(f"The weights after epoch {epoch} were not kept.")
