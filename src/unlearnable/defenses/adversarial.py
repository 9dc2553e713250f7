"""Adversarial training."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Targets
from unlearnable.defenses.image import ImageDefense, images_of
from unlearnable.options import Number, number, whole


class Adversarial(ImageDefense):
    """Trains on the images that projected gradient ascent on the loss finds in the ℓ∞ ball around each.

    From `Towards deep learning models resistant to adversarial attacks <https://arxiv.org/abs/1706.06083>`_ (Madry et
    al., ICLR 2018): a random start, steps by the gradient's sign, the network in train mode throughout.

    Args:
        radius: Of the ball, on the [0, 1] scale.
        steps: How many.
        step_size: Their length; 2/255 is a quarter of the usual radius of 8/255.
    """

    def __init__(self, *, radius: Number = 8 / 255, steps: Number = 10, step_size: Number = 2 / 255) -> None:
        self.radius = number("defense.radius", radius, above=0, at_most=1)
        self.steps = whole("defense.steps", steps)
        self.step_size = number("defense.step_size", step_size, above=0, at_most=1)

    def attacked(
        self, module: Any, images: Float[Tensor, "n c h w"], targets: Targets, generator: Generator
    ) -> Float[Tensor, "n c h w"]:
        """Images within the ball, and in [0, 1], of a larger loss.

        Args:
            module: Has `net` and `objective`.
            images: In [0, 1].
            targets: Theirs.
            generator: Of the start.
        """
        low, high = (images - self.radius).clamp_min(0), (images + self.radius).clamp_max(1)
        start = torch.rand(images.shape, generator=generator, device=images.device).mul_(2).sub_(1)
        found = (images + self.radius * start).clamp(low, high)
        for _ in range(self.steps):
            found.requires_grad_(True)
            (gradient,) = torch.autograd.grad(module.objective(module.net(found), targets), found)
            found = (found.detach() + self.step_size * gradient.sign()).clamp(low, high)
        return found

    @override
    def loss(self, module: LightningModule, batch: tuple[Any, Any], *, generator: Generator) -> Tensor:
        inputs, targets = batch
        found = self.attacked(module, images_of(inputs), targets, generator)
        return module.objective(module.net(found), targets)  # type: ignore[operator]
