"""The network of D-VAE: an encoder, a decoder of images, and a decoder of noise that knows the class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor, nn
from typing_extensions import override


@dataclass(frozen=True)
class Disentangled:
    """What the network makes of a batch.

    Attributes:
        image: The reconstruction, in [0, 1].
        noise: The noise p of the image's class, to be added to the reconstruction.
        rate: The mean over images and places of the code's KL divergence from a standard normal distribution, in nats.
    """

    image: Float[Tensor, "n c h w"]
    noise: Float[Tensor, "n c h w"]
    rate: Float[Tensor, ""]


class DisentanglingVAE(nn.Module):
    """Convolutions to a code of a quarter of the resolution and back, by two decoders.

    The decoder of noise sees the code and a learnt embedding of the class, which has a vector a place: without places no
    pattern that is the same in all images of a class could be told from them.

    Args:
        classes: How many there are; images without a class (−1) share one of their own.
        size: Height and width of the images, multiples of four.
        width: Channels at half the resolution; at a quarter, and in the code, there are twice as many.

    Raises:
        ValueError: if a side is no multiple of four.
    """

    def __init__(self, classes: int, size: tuple[int, int], *, width: int = 32) -> None:
        super().__init__()
        if any(side % 4 for side in size):
            raise ValueError(f"D-VAE needs images whose sides are multiples of 4; these have {size[0]}×{size[1]}.")
        code = 2 * width
        self.encode = nn.Sequential(
            *_block(3, width, stride=2),
            *_block(width, code, stride=2),
            *_block(code, code),
            nn.Conv2d(code, 2 * code, 1),
        )
        self.embed = nn.Parameter(torch.randn(classes + 1, code, size[0] // 4, size[1] // 4))
        self.decode_image = _decoder(code, width)
        self.decode_noise = _decoder(2 * code, width)

    @override
    def forward(
        self, images: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"], draws: Generator | None = None
    ) -> Disentangled:
        """One pass; the code is drawn from `draws`, or is its mean without."""
        mean, log_variance = self.encode(images).chunk(2, 1)
        log_variance = log_variance.clamp(-20, 10)
        code = mean
        if draws is not None:
            noise = torch.randn(mean.shape, generator=draws, device=mean.device)
            code = mean + noise * (log_variance / 2).exp()
        rate = (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean() / 2
        with_class = torch.cat([code, self.embed[labels + 1]], 1)
        return Disentangled(self.decode_image(code).sigmoid(), self.decode_noise(with_class), rate)


def _block(in_channels: int, out_channels: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels), nn.ReLU()]


def _decoder(code: int, width: int) -> nn.Sequential:
    """From the code to three channels at four times its resolution, by sub-pixel convolutions."""
    return nn.Sequential(
        *_block(code, 8 * width),
        nn.PixelShuffle(2),
        *_block(2 * width, 4 * width),
        nn.PixelShuffle(2),
        *_block(width, width),
        nn.Conv2d(width, 3, 3, 1, 1),
    )
