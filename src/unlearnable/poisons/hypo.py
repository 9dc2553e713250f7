"""Hypocritical noise (HYPO)."""

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


class Hypo(TrainedPoison):
    """Hypocritical noise: makes the images look easier to a naturally trained network than they are.

    From `Better Safe Than Sorry: Preventing Delusive Adversaries with Adversarial Training
    <https://arxiv.org/abs/2102.04716>`_ (Tao et al., NeurIPS 2021), the paper's perturbation P2 (its P5 is random noise
    per class): on a network θ trained on the clean data, PGD from the clean image minimises L(f_θ(x + δ), y), 100 steps
    of a fifth of the radius as in the public code, which works within ℓ2 0.5 on a VGG-16. APBench takes steps of a tenth
    within ℓ∞ 8/255. Of all methods here it is the mildest: in APBench's table a network trained on it keeps 70 %.

    Args:
        steps: PGD steps.
        step_size: Length of a step; None means a fifth of the radius.
        epochs: Epochs that θ is trained for.
        **options: See `TrainedPoison`.
    """

    def __init__(
        self,
        *,
        steps: int = 100,
        step_size: Number | None = None,
        epochs: int = 40,
        **options: Any,
    ) -> None:
        super().__init__(epochs=epochs, **options)
        self.steps = whole("steps", steps)
        self.step_size = self.radius / 5 if step_size is None else number("step_size", step_size, above=0)

    def prepare(self, data: TrainingSet) -> Perturb:
        """Trains the network; the noise of each batch is then made independently."""
        (net,) = self.networks(data)

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
