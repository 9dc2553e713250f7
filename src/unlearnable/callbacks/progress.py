"""A line an epoch, for logs and terminals without a progress bar."""

from __future__ import annotations

import logging

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

log = logging.getLogger(__name__)


class EpochLines(Callback):
    """Writes one log line an epoch: `em · epoch 3/15 · train/loss 0.213 · …`.

    Args:
        title: What is being trained.
    """

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title = title

    @override
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            metrics = trainer.callback_metrics
            shown = [name for name in metrics if name.startswith(("train/", "test/", "ud/"))]
            values = " · ".join(f"{name} {metrics[name].item():.4g}" for name in shown)
            log.info("%s · epoch %d/%d · %s", self.title, trainer.current_epoch + 1, trainer.max_epochs, values)
