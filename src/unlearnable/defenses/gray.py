"""Grey images, by Image Shortcut Squeezing."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from unlearnable.defenses.image import Squeeze


class Gray(Squeeze):
    """Each pixel's luma, 0.299 R + 0.587 G + 0.114 B, in all three channels.

    From `Image Shortcut Squeezing <https://arxiv.org/abs/2301.13838>`_ (ICML 2023).

    Args:
        test: See `Squeeze`.
    """

    @override
    def squeeze(self, images: Tensor) -> Tensor:
        from torchvision.transforms.v2.functional import rgb_to_grayscale

        return rgb_to_grayscale(images, num_output_channels=3)
