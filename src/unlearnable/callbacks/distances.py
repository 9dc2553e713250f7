"""β, learnable layers, UD and the geometric distance every epoch, as a callback."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from typing_extensions import override

from unlearnable.distances import UndefinedDistanceError, geometric_distance, learnability_threshold, per_epoch
from unlearnable.logged import BETA, EPOCH, GEOMETRIC, LEARNABLE_LAYERS, UD, VALUE, task_key
from unlearnable.measures.history import History


class DistanceLog(Callback):
    """Logs `ud/beta`, `ud/learnable_layers`, `ud/value` (the epoch's UD) and `ud/geometric` from what SAL's callback measures.

    Layers that are not finite in one of the two runs are left out of both, as in the result.

    It goes after that callback. Against a clean reference each epoch is logged as it ends. A clean run is its own
    reference: its β is known only at its end, and all of its epochs are logged then, each at its own place on the `epoch`
    axis.

    Args:
        history: SAL's, which its callback fills.
        clean: Epoch → task → SAL of the clean run's layers; None for a clean run.
        epochs: Length of the whole run, for the clean run's β: a run that was interrupted is shown in parts.
    """

    def __init__(
        self,
        history: History,
        *,
        clean: Mapping[int, Mapping[str, np.ndarray]] | None = None,
        epochs: int | None = None,
    ) -> None:
        super().__init__()
        self.history, self.clean, self.epochs = history, clean, epochs

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if self.clean is not None and epoch in self.history.epochs and epoch in self.clean:
            pl_module.log_dict(epoch_figures(self._measured(epoch), self.clean, epoch), rank_zero_only=True)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        whole = trainer.should_stop or self.epochs is None or trainer.current_epoch >= self.epochs
        if self.clean is None and self.history.epochs and whole and trainer.is_global_zero:
            own = {epoch: self._measured(epoch) for epoch in sorted(self.history.epochs)}
            log_afterwards(trainer.loggers, own, own)

    def _measured(self, epoch: int) -> dict[str, np.ndarray]:
        return {task: one.values for task, one in self.history.epochs[epoch].items()}


def log_afterwards(
    loggers: Sequence[Logger],
    own: Mapping[int, Mapping[str, np.ndarray]],
    clean: Mapping[int, Mapping[str, np.ndarray]],
) -> None:
    """Logs the figures of all epochs that both runs have, each at its own place on the `epoch` axis.

    Args:
        loggers: Lightning's loggers.
        own: Epoch → task → SAL of the layers.
        clean: The same of the clean run.
    """
    for epoch in sorted({*own} & {*clean}):
        for logger in loggers:
            logger.log_metrics({**epoch_figures(own[epoch], clean, epoch), EPOCH: epoch - 1})
    for logger in loggers:
        logger.save()


def epoch_figures(
    sal: Mapping[str, np.ndarray], clean: Mapping[int, Mapping[str, np.ndarray]], epoch: int
) -> dict[str, float]:
    """What is logged of an epoch, task by task; NaN for what is undefined: the result says why.

    Args:
        sal: Task → SAL of the layers, `[L]`.
        clean: Epoch → task → the same of the clean run, of all epochs for β.
        epoch: The epoch, counted from 1.
    """
    values: dict[str, float] = {}
    for task, own in sal.items():
        reference = clean[epoch][task]
        beta = count = value = geometric = math.nan
        with suppress(UndefinedDistanceError):
            geometric = geometric_distance(own[None], reference[None])
        with suppress(UndefinedDistanceError):
            beta = learnability_threshold(np.stack([clean[place][task] for place in sorted(clean)]))
            count, _, value = per_epoch(own, reference, beta)
        figures = {BETA: beta, LEARNABLE_LAYERS: float(count), VALUE: value, GEOMETRIC: geometric}
        values |= {f"{task_key(UD, task, sal)}/{name}": figure for name, figure in figures.items()}
    return values
