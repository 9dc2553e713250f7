"""Self-ensemble protection (SEP)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from unlearnable.options import Number, number, whole
from unlearnable.poisons.image.base import Perturb
from unlearnable.poisons.image.descent import descend
from unlearnable.poisons.image.trained import TrainedPoison
from unlearnable.poisons.image.training_set import Batch, TrainingSet


class SEP(TrainedPoison):
    """Self-ensemble protection: adversarial noise towards another class that a whole training would take for it.

    From `Self-Ensemble Protection: Training Checkpoints Are Good Data Protectors <https://arxiv.org/abs/2211.12005>`_
    (Chen et al., ICLR 2023): 30 steps of 1/255 by the sign of the mean gradient, over 30 check points of one training on
    the clean data, of the loss towards g(y) = y + ⌊K/2⌋ mod K. The paper's stronger form matches features; this is the
    one on the loss. A step costs as many passes as there are check points: `poison=tap poison.checkpoints=…` takes them
    in turn instead.

    Args:
        steps: Steps of descent.
        step_size: Length of a step; None means an eighth of the radius, 1/255 for 8/255, and more where steps are so
            few that the noise would not get to its bound.
        epochs: Epochs that the network is trained for.
        checkpoints: The network at the end of each of the last so many epochs.
        **options: See `TrainedPoison`.
    """

    def __init__(
        self,
        *,
        steps: int = 30,
        step_size: Number | None = None,
        epochs: int = 30,
        checkpoints: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(epochs=epochs, **options)
        self.steps = whole("steps", steps)
        self.step_size = (
            self.radius / min(8, max(1, self.steps / 2))
            if step_size is None
            else number("step_size", step_size, above=0)
        )
        self.checkpoints = self.epochs if checkpoints is None else whole("checkpoints", checkpoints)
        if self.checkpoints > self.epochs:
            raise ValueError(f"`checkpoints` must be at most `epochs` = {self.epochs}; got {self.checkpoints}.")

    def prepare(self, data: TrainingSet) -> Perturb:
        """Trains the network; each batch is then attacked by itself, on all check points."""
        nets = self.networks(data, self.checkpoints)

        def perturb(batch: Batch, generator: Generator) -> Tensor:  # noqa: ARG001
            goal = (batch.labels + data.num_classes // 2) % data.num_classes

            def objective(images: Tensor) -> Tensor:
                losses = [F.cross_entropy(net(images), goal, reduction="sum") for net in nets]
                return torch.stack(losses).mean()

            return descend(
                batch.images,
                torch.zeros_like(batch.images),
                objective,
                radius=self.radius,
                norm=self.norm,
                steps=self.steps,
                step_size=self.step_size,
            )

        return perturb
