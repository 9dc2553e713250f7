"""A rectangle of another image, with its class at the rectangle's share."""

from __future__ import annotations

import math

import torch
from torch import Generator
from typing_extensions import override

from unlearnable.data.samples import Inputs, Targets
from unlearnable.defenses.image import images_of
from unlearnable.defenses.mixing import Mixing


class CutMix(Mixing):
    """Replaces a rectangle with the same one of another image; classes have the shares of the area.

    From `CutMix <https://arxiv.org/abs/1905.04899>`_ (Yun et al., ICCV 2019): the sides are √(1 − λ) of the image's, the
    centre lies anywhere, and λ is set to the area that is left once the rectangle is cut off at the border.

    Args:
        alpha: See `Mixing`.
    """

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        images = images_of(inputs)
        share, partner = self.draw(len(images), generator)
        centre = torch.rand(2, generator=generator, device=generator.device).tolist()
        window: list[slice] = []
        for length, place in zip(images.shape[-2:], centre, strict=True):
            half, middle = int(length * math.sqrt(1 - share)) // 2, int(place * length)
            window.append(slice(max(0, middle - half), min(length, middle + half)))
        mixed = images.clone()
        rows, columns = window
        mixed[..., rows, columns] = images[partner][..., rows, columns]
        height, width = ((one.stop - one.start) for one in window)
        share = 1 - height * width / (images.shape[-2] * images.shape[-1])
        return mixed, self.mix_targets(targets, share, partner)
