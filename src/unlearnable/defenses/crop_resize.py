"""Random crops, resized to the whole image, with the targets that lie on the pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor
from torch.nn import functional as F
from typing_extensions import override

from unlearnable.data.samples import Inputs, Targets
from unlearnable.defenses.image import ImageDefense, images_of
from unlearnable.options import Number, number
from unlearnable.tasks import Task

# Of a crop's width to its height, in units of the image's sides; torchvision's.
_RATIOS = 3 / 4, 4 / 3


class CropResize(ImageDefense):
    """Cuts a random rectangle out of each image and enlarges it to the whole, bilinear, with the targets on the pixels.

    The random resized crop of `Inception <https://arxiv.org/abs/1409.4842>`_ (Szegedy et al., CVPR 2015): the area's
    share is uniform in [area, 1], the logarithm of the sides' ratio in [log 3/4, log 4/3], the place within the image.
    Sides need not be whole pixels, and one that would be longer than the image's is as long as that.

    Targets on the pixels are read at the nearest one. They stay what they were: distances and directions are still
    those from the camera that took the whole image.

    Args:
        area: Least share of the image's area; 0.2 as in SupCon's code on CIFAR.
    """

    def __init__(self, *, area: Number = 0.2) -> None:
        self.area = number("defense.area", area, above=0, at_most=1, what="a share of the image's area")
        self.tasks: Mapping[str, Task] = {}

    @override
    def setup(self, tasks: Mapping[str, Task]) -> None:
        self.tasks = tasks

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        images = images_of(inputs)
        places = self.draw(len(images), images.shape[-2:], generator)

        def moved(name: str, target: Tensor) -> Tensor:
            return read_nearest(target, places) if name in self.tasks and self.tasks[name].dense else target

        if isinstance(targets, Tensor):
            targets = moved(next(iter(self.tasks), ""), targets)
        else:
            targets = {name: moved(name, target) for name, target in targets.items()}
        return read_bilinear(images, places), targets

    def draw(self, count: int, size: torch.Size, generator: Generator) -> list[Float[Tensor, "n _"]]:
        """Where each image's rows, and columns, are read: in pixels, from 0 at the outer edge to the side's length."""
        device = generator.device
        share, ratio, top, left = torch.rand((4, count, 1), generator=generator, device=device)
        share = self.area + share * (1 - self.area)
        ratio = (math.log(_RATIOS[0]) + ratio * math.log(_RATIOS[1] / _RATIOS[0])).exp()
        sides = ((share / ratio).sqrt().clamp_max(1), (share * ratio).sqrt().clamp_max(1))
        return [
            length * (start * (1 - side) + side * (torch.arange(length, device=device) + 0.5) / length)
            for length, start, side in zip(size, (top, left), sides, strict=True)
        ]


def read_bilinear(images: Float[Tensor, "n c h w"], places: list[Float[Tensor, "n _"]]) -> Float[Tensor, "n c h w"]:
    """Images at the places of each one's rows and columns; the outermost pixels go on beyond their centres."""
    # grid_sample takes places as (column, row) with −1 and 1 at the image's edges.
    rows, columns = (2 * place / length - 1 for place, length in zip(places, images.shape[-2:], strict=True))
    height, width = images.shape[-2:]
    grid = torch.stack([columns[:, None].expand(-1, height, -1), rows[:, :, None].expand(-1, -1, width)], -1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def read_nearest(values: Shaped[Tensor, "n *c h w"], places: list[Float[Tensor, "n _"]]) -> Shaped[Tensor, "n *c h w"]:
    """Values of any type at the pixels that the places lie in."""
    rows, columns = (
        place.long().clamp_max(length - 1) for place, length in zip(places, values.shape[-2:], strict=True)
    )
    every = torch.arange(len(values), device=values.device)[:, None, None]
    return values.movedim((-2, -1), (1, 2))[every, rows[:, :, None], columns[:, None]].movedim((1, 2), (-2, -1))
