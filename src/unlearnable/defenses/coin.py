"""Random corruption by interpolation."""

from __future__ import annotations

import math

import torch
from torch import Generator
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.samples import Inputs, Targets
from unlearnable.defenses.base import Defense
from unlearnable.defenses.image import images_of
from unlearnable.options import Number, number


class Coin(Defense):
    """Reads each pixel a little beside its place: offsets from U(−reach, reach), bilinear, wrapped around the border.

    From `COIN <https://arxiv.org/abs/2311.18403>`_ (2023). Each image of each batch has its own offsets, which its
    channels share. Targets on the pixels stay where they are.

    Args:
        reach: Most that a pixel moves in each direction, in pixels; the paper's is 2.
    """

    def __init__(self, *, reach: Number = 2.0) -> None:
        self.reach = number("defense.reach", reach, above=0, what="a distance in pixels")

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        images = images_of(inputs)
        count, _, height, width = images.shape
        margin = math.ceil(self.reach)
        if margin > min(height, width):
            raise ValueError(f"`defense.reach` must be at most the images' {min(height, width)} pixels.")
        padded = F.pad(images, (margin,) * 4, mode="circular")
        shape = (count, height, width)
        places = []
        for axis, length in ((2, width), (1, height)):  # grid_sample takes columns first
            offset = torch.rand(shape, generator=generator, device=images.device).mul_(2).sub_(1).mul_(self.reach)
            index = torch.arange(length, device=images.device).view(*(-1 if one == axis else 1 for one in range(3)))
            places.append((index + margin + offset) * (2 / (length + 2 * margin - 1)) - 1)
        return F.grid_sample(padded, torch.stack(places, -1), mode="bilinear", align_corners=True), targets
