"""Fewer bits a channel, by Image Shortcut Squeezing."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from unlearnable.defenses.image import Squeeze
from unlearnable.options import Number, whole


class BitDepthReduction(Squeeze):
    """Keeps the upper bits of each 8-bit value; the others become zero.

    From `Image Shortcut Squeezing <https://arxiv.org/abs/2301.13838>`_ (ICML 2023).

    Args:
        bits: How many are kept, 1 to 8; the paper's is 2.
        test: See `Squeeze`.
    """

    def __init__(self, *, bits: Number = 2, test: bool = False) -> None:
        super().__init__(test=test)
        self.bits = whole("defense.bits", bits, what="a number of bits from 1 to 8")
        if self.bits > 8:
            raise ValueError(f"`defense.bits` must be a number of bits from 1 to 8; got {bits}.")

    @override
    def squeeze(self, images: Tensor) -> Tensor:
        from torchvision.transforms.v2.functional import posterize

        return posterize(images, self.bits)
