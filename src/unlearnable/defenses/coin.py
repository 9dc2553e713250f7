"""Random corruption by interpolation."""

from __future__ import annotations

import math

import torch
from torch import Generator
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.samples import Inputs, Targets
from unlearnable.defenses.image import ImageDefense, images_of
from unlearnable.options import Number, number


class Coin(ImageDefense):
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
        # grid_sample takes places as (column, row) with −1 and 1 at the outermost pixels.
        pixel = torch.tensor([2 / (width + 2 * margin - 1), 2 / (height + 2 * margin - 1)], device=images.device)
        columns, rows = torch.meshgrid(
            torch.arange(width, device=images.device), torch.arange(height, device=images.device), indexing="xy"
        )
        lowest = (torch.stack([columns, rows], -1) + margin - self.reach) * pixel - 1
        draws = torch.rand((count, height, width, 2), generator=generator, device=images.device)
        places = torch.addcmul(lowest, draws, 2 * self.reach * pixel)
        return F.grid_sample(padded, places, mode="bilinear", align_corners=True), targets
