"""β, learnable layers and UD every epoch, as a callback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from unlearnable.callbacks.sal import SharpnessAwareLearnability, task_key
from unlearnable.distances.count import learnability_threshold, learnable_layers


class UnlearnableDistance(Callback):
    """Logs `ud/beta`, `ud/learnable_layers` and `ud/value` (the epoch's UD) from what the SAL callback measures.

    Against a clean reference each epoch is logged as it ends. A clean run is its own reference: its β is known only
    at its end, and all of its epochs are logged then, on their own places of the `epoch` axis.

    Args:
        clean: Task → SAL of the clean run, `[epochs measured, layers]`; None for a clean run.
        epochs: Length of the whole run, for the clean run's β: a run that was interrupted is shown in parts.
    """

    def __init__(self, *, clean: Mapping[str, np.ndarray] | None = None, epochs: int | None = None) -> None:
        super().__init__()
        self.clean, self.epochs = clean, epochs

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._sal(trainer)

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        sal = self._sal(trainer)
        epoch = trainer.current_epoch + 1
        if self.clean is not None and epoch in sal.history:
            place = sorted(sal.history).index(epoch)
            pl_module.log_dict(self._values(sal, self.clean, place, epoch), rank_zero_only=True)

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        sal = self._sal(trainer)
        whole = self.epochs is None or trainer.current_epoch >= self.epochs
        if self.clean is None and sal.history and whole and trainer.is_global_zero:
            epochs = sorted(sal.history)
            tasks = sal.history[epochs[0]]
            own = {task: np.stack([sal.history[epoch][task].values for epoch in epochs]) for task in tasks}
            for place, epoch in enumerate(epochs):
                values = self._values(sal, own, place, epoch)
                for logger in trainer.loggers:
                    logger.log_metrics({**values, "epoch": epoch - 1})

    def _values(
        self, sal: SharpnessAwareLearnability, clean: Mapping[str, np.ndarray], place: int, epoch: int
    ) -> dict[str, float]:
        values: dict[str, float] = {}
        for task, measured in sal.history[epoch].items():
            key = task_key("ud", task, clean)
            beta = learnability_threshold(clean[task])
            count = float(learnable_layers(measured.values[None], beta)[0])
            reference = float(learnable_layers(clean[task][place][None], beta)[0])
            values[f"{key}/beta"] = beta
            values[f"{key}/learnable_layers"] = count
            values[f"{key}/value"] = count / reference if reference else float("nan")
        return values

    def _sal(self, trainer: Trainer) -> SharpnessAwareLearnability:
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        for callback in callbacks:
            if isinstance(callback, SharpnessAwareLearnability):
                return callback
        raise ValueError(f"{type(self).__name__} needs a SharpnessAwareLearnability callback before it; there is none.")
