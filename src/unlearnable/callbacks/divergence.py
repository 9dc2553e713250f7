"""A loss that is no longer finite ends the training, without a look at every step: a GPU would have to wait for each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override


class DivergedError(RuntimeError):
    """The training loss is not finite."""


class DivergenceWarning(UserWarning):
    """The training loss is not finite, and training goes on all the same."""


class Divergence(Callback):
    """Notes on the device whether a training loss is not finite, and looks every so many steps and at an epoch's end.

    Args:
        title: What is being trained.
        stop: Whether it then ends the training, naming epoch and batch; else it warns, once.
        every_n_steps: How often it looks.
    """

    def __init__(self, title: str, *, stop: bool = True, every_n_steps: int = 50) -> None:
        super().__init__()
        self.title, self.stop, self.every_n_steps = title, stop, every_n_steps
        self._first: Tensor | None = None  # the epoch's first batch with such a loss; −1: none so far
        self._warned = False

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
        if not isinstance(loss, Tensor):
            return
        if batch_idx == 0 or self._first is None:
            self._first = torch.full((), -1, device=loss.device)
        bad = ~torch.isfinite(loss.detach()).all()
        self._first = torch.where(bad & (self._first < 0), torch.full_like(self._first, batch_idx), self._first)
        if (batch_idx + 1) % self.every_n_steps == 0 or trainer.is_last_batch:
            self._look(trainer, int(self._first))

    def _look(self, trainer: Trainer, first: int) -> None:
        # On all ranks alike: one that left alone would keep the others waiting.
        if not trainer.strategy.reduce_boolean_decision(first >= 0, all=False):
            return
        place = f"epoch {trainer.current_epoch + 1}" + (f", batch {first + 1}" if first >= 0 else " on another rank")
        found = f"{self.title} diverged: the training loss is not finite in {place}."
        if self.stop:
            raise DivergedError(
                f"{found} A lower model.optimizer.lr may help; trainer.stop_at_nan=false trains to the end."
            )
        if not self._warned:
            warnings.warn(found, DivergenceWarning, stacklevel=2)
        self._warned = True
