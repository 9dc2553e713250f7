"""Hypocritical noise (HYPO)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from unlearnable.poisons.checks import at_least_one, positive
from unlearnable.poisons.image.base import Perturb, ImagePoison
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.descent import descend
from unlearnable.poisons.image.surrogate import NetFactory, train_surrogate
from unlearnable.poisons.image.training_set import Batch, TrainingSet


class Hypo(ImagePoison):
    """Hypocritical noise: makes the images look easier to a naturally trained network than they are.

    From `Better Safe Than Sorry: Preventing Delusive Adversaries with Adversarial Training
    <https://arxiv.org/abs/2102.04716>`_ (Tao et al., NeurIPS 2021), the hypocritical perturbation P5 of its section 5:
    on a network θ trained on the clean data, PGD from the clean image minimises L(f_θ(x + δ), y), 100 steps of a tenth
    of the radius. Of all methods here it is the mildest: in APBench's table a network trained on it keeps 70 %.

    Args:
        surrogate: Builds the network θ; called as `surrogate(num_classes=k)`.
        radius: See `ImagePoison`.
        norm: See `ImagePoison`.
        fraction: See `ImagePoison`.
        steps: PGD steps.
        step_size: Length of a step; None means a tenth of the radius.
        epochs: Epochs that θ is trained for.
        lr: Peak learning rate of θ.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        surrogate: NetFactory,
        radius: float,
        norm: Norm = "linf",
        fraction: float | Sequence[int] = 1.0,
        steps: int = 100,
        step_size: float | None = None,
        epochs: int = 40,
        lr: float = 0.1,
        batch_size: int = 256,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        at_least_one(steps=steps, epochs=epochs)
        self.surrogate = surrogate
        self.steps = steps
        self.step_size = radius / 10 if step_size is None else step_size
        self.epochs = epochs
        self.lr = lr
        positive(lr=lr, step_size=self.step_size)

    def prepare(self, data: TrainingSet) -> Perturb:
        """Trains the network; the noise of each batch is then made by itself."""
        net = train_surrogate(self.surrogate, data, epochs=self.epochs, lr=self.lr)

        def perturb(batch: Batch, generator: Generator) -> Tensor:  # noqa: ARG001
            return descend(
                batch.images,
                torch.zeros_like(batch.images),
                lambda images: F.cross_entropy(net(images), batch.labels, reduction="sum"),
                radius=self.radius,
                norm=self.norm,
                steps=self.steps,
                step_size=self.step_size,
            )

        return perturb
