"""The auto-encoder that writes DeepConfuse's noise."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class UNet(nn.Module):
    """A U-Net with three halvings and an output in [−1, 1] (Ronneberger et al., 2015).

    The module names and, at width 64, the shapes are those of DeepConfuse's published weights, so that these load.

    Args:
        channels: Channels of the images and of the noise.
        width: Channels of the first stage; each further one has twice as many.
    """

    def __init__(self, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.dconv_down1 = _double_convolution(channels, width)
        self.dconv_down2 = _double_convolution(width, 2 * width)
        self.dconv_down3 = _double_convolution(2 * width, 4 * width)
        self.dconv_down4 = _double_convolution(4 * width, 8 * width)
        self.dconv_up3 = _double_convolution((8 + 4) * width, 4 * width)
        self.dconv_up2 = _double_convolution((4 + 2) * width, 2 * width)
        self.dconv_up1 = _double_convolution((2 + 1) * width, width)
        self.conv_last = nn.Sequential(nn.Conv2d(width, channels, 1), nn.BatchNorm2d(channels))

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Maps images, whose sides are divisible by 8, to noise in [−1, 1]."""
        first = self.dconv_down1(images)
        second = self.dconv_down2(F.avg_pool2d(first, 2))
        third = self.dconv_down3(F.avg_pool2d(second, 2))
        out = self.dconv_down4(F.avg_pool2d(third, 2))
        out = self.dconv_up3(torch.cat([_twice(out), third], dim=1))
        out = self.dconv_up2(torch.cat([_twice(out), second], dim=1))
        out = self.dconv_up1(torch.cat([_twice(out), first], dim=1))
        return torch.tanh(self.conv_last(out))


def _double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _twice(images: Tensor) -> Tensor:
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=True)
