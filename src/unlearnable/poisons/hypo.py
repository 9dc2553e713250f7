"""Hypocritical noise (HYPO)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from unlearnable.options import Number, number, switch, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.descent import descend
from unlearnable.poisons.image.surrogate import NetFactory, train_surrogate
from unlearnable.poisons.image.training_set import Batch, TrainingSet


class Hypo(ImagePoison):
    """Hypocritical noise: makes the images look easier to a naturally trained network than they are.

    From `Better Safe Than Sorry: Preventing Delusive Adversaries with Adversarial Training
    <https://arxiv.org/abs/2102.04716>`_ (Tao et al., NeurIPS 2021), the paper's perturbation P2 (its P5 is random noise
    per class): on a network θ trained on the clean data, PGD from the clean image minimises L(f_θ(x + δ), y), 100 steps
    of a fifth of the radius as in the public code, which works within ℓ2 0.5 on a VGG-16. APBench takes steps of a tenth
    within ℓ∞ 8/255. Of all methods here it is the mildest: in APBench's table a network trained on it keeps 70 %.

    Args:
        surrogate: Builds the network θ; called as `surrogate(num_classes=k)`.
        radius: See `ImagePoison`.
        norm: See `ImagePoison`.
        fraction: See `ImagePoison`.
        steps: PGD steps.
        step_size: Length of a step; None means a fifth of the radius.
        epochs: Epochs that θ is trained for.
        lr: Peak learning rate of θ.
        crop: Padding of the random crop that θ is trained with, in pixels; 0 for none.
        flip: Whether θ is trained with mirrored images too.
        batch_size: See `ImagePoison`.
    """

    def __init__(
        self,
        *,
        surrogate: NetFactory,
        radius: Number,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        steps: int = 100,
        step_size: Number | None = None,
        epochs: int = 40,
        lr: Number = 0.1,
        crop: int = 0,
        flip: bool = False,
        batch_size: int = 256,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        self.surrogate = surrogate
        self.steps = whole("steps", steps)
        self.step_size = self.radius / 5 if step_size is None else number("step_size", step_size, above=0)
        self.epochs = whole("epochs", epochs)
        self.lr = number("lr", lr, above=0)
        self.crop = whole("crop", crop, at_least=0)
        self.flip = switch("flip", flip)

    def prepare(self, data: TrainingSet) -> Perturb:
        """Trains the network; the noise of each batch is then made independently."""
        net = train_surrogate(self.surrogate, data, epochs=self.epochs, lr=self.lr, crop=self.crop, flip=self.flip)

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
