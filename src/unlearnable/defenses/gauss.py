"""A Gaussian blur that does blur."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from unlearnable.defenses.image import Squeeze
from unlearnable.options import Number, number, whole


class Gauss(Squeeze):
    """Blurs each image with a Gaussian; pixels beyond the border are mirrored.

    The blur of `APBench <https://arxiv.org/abs/2308.03258>`_ is 3×3 with a standard deviation of 0.1 pixels, of which
    nothing remains in 8 bits: its neighbours' weights are exp(−50).

    Args:
        kernel_size: Its width in pixels, odd.
        sigma: Its standard deviation in pixels.
        test: See `Squeeze`.
    """

    def __init__(self, *, kernel_size: Number = 3, sigma: Number = 1.0, test: bool = False) -> None:
        super().__init__(test=test)
        self.kernel_size = whole("defense.kernel_size", kernel_size, at_least=3, what="an odd width in pixels")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"`defense.kernel_size` must be an odd width in pixels; got {kernel_size}.")
        self.sigma = number("defense.sigma", sigma, at_least=0.25, what="a standard deviation in pixels")

    @override
    def squeeze(self, images: Tensor) -> Tensor:
        from torchvision.transforms.v2.functional import gaussian_blur

        return gaussian_blur(images, [self.kernel_size] * 2, [self.sigma] * 2)
