"""Sums of two images, and of their classes."""

from __future__ import annotations

import torch
from torch import Generator
from typing_extensions import override

from unlearnable.data.samples import Inputs, Targets
from unlearnable.defenses.image import images_of
from unlearnable.defenses.mixing import Mixing


class MixUp(Mixing):
    """λ x + (1 − λ) x′, with the classes' shares λ and 1 − λ.

    From `mixup <https://arxiv.org/abs/1710.09412>`_ (Zhang et al., ICLR 2018).

    Args:
        alpha: See `Mixing`.
    """

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        images = images_of(inputs)
        share, partner = self.draw(len(images), generator)
        return torch.lerp(images[partner], images, share), self.mix_targets(targets, share, partner)
