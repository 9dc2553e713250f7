"""Heads over an encoder's feature map: one prediction an image, or one a pixel."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override


class ClassHead(nn.Module):
    """Global average pooling and one linear map: class scores."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(in_channels, channels)

    @override
    def forward(self, features: Float[Tensor, "n d i j"]) -> Float[Tensor, "n k"]:
        return self.fc(features.mean((2, 3)))


class DenseHead(nn.Module):
    """Sub-pixel convolutions (Shi et al., CVPR 2016) from the feature map to one prediction a pixel, without skips.

    Each stage convolves at the coarse resolution and rearranges four channels into 2×2 pixels: light on CPUs, and, unlike
    interpolation, deterministic on GPUs. As Taskonomy's decoders, it sees the encoder's last map only, so all that a
    task needs goes through the shared layers.

    Args:
        in_channels: Of the feature map.
        channels: Of the prediction.
        stages: Doublings of the resolution.
        width: Channels between the stages.
    """

    def __init__(self, in_channels: int, channels: int, *, stages: int, width: int) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        for _ in range(stages - 1):
            self.stages.append(_Doubling(in_channels, width))
            in_channels = width
        self.predict = nn.Conv2d(in_channels, channels * 4, 1)
        self.shuffle = nn.PixelShuffle(2)

    @override
    def forward(self, features: Float[Tensor, "n d i j"]) -> Float[Tensor, "n k h w"]:
        return self.shuffle(self.predict(self.stages(features)))


class _Doubling(nn.Module):
    """3×3 convolution, then twice the resolution."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * channels, 3, 1, 1, bias=False)
        self.shuffle = nn.PixelShuffle(2)
        self.bn = nn.BatchNorm2d(channels)

    @override
    def forward(self, x: Float[Tensor, "n d i j"]) -> Float[Tensor, "n e k l"]:
        return torch.relu(self.bn(self.shuffle(self.conv(x))))
