"""A square of each image blanked out."""

from __future__ import annotations

import torch
from torch import Generator
from typing_extensions import override

from unlearnable.data.samples import Inputs, Targets
from unlearnable.defenses.image import ImageDefense, images_of
from unlearnable.options import Number, number


class Cutout(ImageDefense):
    """Sets a square at a random place to zero; what lies beyond the border is cut off.

    From `Cutout <https://arxiv.org/abs/1708.04552>`_ (DeVries and Taylor, 2017).

    Args:
        side: The square's side as a share of the image's height; 0.5 are the 16 pixels that are usual on CIFAR.
    """

    def __init__(self, *, side: Number = 0.5) -> None:
        self.side = number("defense.side", side, above=0, at_most=1, what="a share of the image's height")

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        images = images_of(inputs)
        side = max(1, round(self.side * images.shape[-2]))
        inside = []
        for length in images.shape[-2:]:
            centre = torch.randint(length, (len(images), 1), generator=generator, device=images.device)
            place = torch.arange(length, device=images.device) - centre + side // 2
            inside.append(((place >= 0) & (place < side)).to(images.dtype))
        blank = inside[0][:, None, :, None] * inside[1][:, None, None, :]
        return images * (1 - blank), targets
