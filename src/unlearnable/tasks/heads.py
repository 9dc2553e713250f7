"""Heads over an encoder's feature map: one prediction an image, or one a pixel."""

from __future__ import annotations

from collections.abc import Sequence

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
    def forward(self, features: Float[Tensor, "n d i j"], finer: Sequence[Tensor] = ()) -> Float[Tensor, "n k"]:
        return self.fc(features.mean((2, 3)))


class DenseHead(nn.Module):
    """Sub-pixel convolutions (Shi et al., CVPR 2016) from the feature map to one prediction a pixel.

    Each stage convolves at the coarse resolution and rearranges four channels into 2×2 pixels: light on CPUs, and, unlike
    interpolation, deterministic on GPUs. As Taskonomy's decoders, it sees the encoder's last map only, so all that a
    task needs goes through the shared layers, unless there are skips: then each stage adds the encoder's map of its
    resolution, taken to its channels by a 1×1 convolution (as in feature pyramids, Lin et al., CVPR 2017).

    Args:
        in_channels: Of the feature map.
        channels: Of the prediction.
        stages: Doublings of the resolution.
        width: Channels between the stages.
        skips: Channels of the encoder's map at each stage's output, coarse to fine; 0 where it has none.
    """

    def __init__(self, in_channels: int, channels: int, *, stages: int, width: int, skips: Sequence[int] = ()) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for stage in range(stages - 1):
            self.stages.append(_Doubling(in_channels, width, skips[stage] if stage < len(skips) else 0))
            in_channels = width
        self.predict = nn.Conv2d(in_channels, channels * 4, 1)
        self.shuffle = nn.PixelShuffle(2)

    @override
    def forward(
        self, features: Float[Tensor, "n d i j"], finer: Sequence[Tensor | None] = ()
    ) -> Float[Tensor, "n k h w"]:
        x = features
        for place, stage in enumerate(self.stages):
            x = stage(x, finer[place] if place < len(finer) else None)
        return self.shuffle(self.predict(x))


class _Doubling(nn.Module):
    """3×3 convolution, then twice the resolution, where a skip is added."""

    def __init__(self, in_channels: int, channels: int, skip: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * channels, 3, 1, 1, bias=False)
        self.shuffle = nn.PixelShuffle(2)
        self.bn = nn.BatchNorm2d(channels)
        self.skip = nn.Conv2d(skip, channels, 1) if skip else None

    @override
    def forward(self, x: Float[Tensor, "n d i j"], finer: Float[Tensor, "n s k l"] | None) -> Float[Tensor, "n e k l"]:
        x = self.bn(self.shuffle(self.conv(x)))
        if self.skip is not None:
            assert finer is not None
            # Where strides had rounded up, the doubled map is a row or a column larger.
            x = x[..., : finer.shape[-2], : finer.shape[-1]] + self.skip(finer)
        return torch.relu(x)
