"""A residual network small enough to train on a laptop's CPU in seconds."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unlearnable.options import Number, whole


class _Block(nn.Module):
    """Basic residual block (He et al., 2016): two 3×3 convolutions and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = (
            nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
            if stride != 1 or in_channels != out_channels
            else nn.Identity()
        )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu(out + self.downsample(x))


class TinyResNet(nn.Module):
    """A three-stage ResNet with one basic block a stage and the CIFAR stem (3×3, no max-pooling).

    Its ten convolution and linear layers carry torchvision's names (`layer2.0.conv1`, `fc`).

    Args:
        num_classes: Length of the output.
        in_channels: Channels of the input images.
        width: Channels of the first stage; the others have twice and four times as many.
        stem_stride: Stride of the first convolution; 2 quarters the cost on 32×32 images.
    """

    def __init__(self, num_classes: int, *, in_channels: int = 3, width: Number = 16, stem_stride: Number = 1) -> None:
        super().__init__()
        width, stem_stride = whole("width", width), whole("stem_stride", stem_stride)
        self.conv1 = nn.Conv2d(in_channels, width, 3, stem_stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(_Block(width, width, 1))
        self.layer2 = nn.Sequential(_Block(width, 2 * width, 2))
        self.layer3 = nn.Sequential(_Block(2 * width, 4 * width, 2))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, num_classes)

    def forward_features(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d i j"]:
        """The last feature map of a batch."""
        return self.forward_stages(x)[-1]

    def forward_stages(self, x: Float[Tensor, "n c h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """The feature map after each stage, the last one last."""
        x = torch.relu(self.bn1(self.conv1(x)))
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3):
            x = stage(x)
            maps.append(x)
        return maps

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Class scores of a batch."""
        return self.fc(torch.flatten(self.avgpool(self.forward_features(x)), 1))


def tiny_resnet(num_classes: int, *, in_channels: int = 3, width: Number = 16, stem_stride: Number = 1) -> TinyResNet:
    """Builds a `TinyResNet`; see there for the arguments."""
    return TinyResNet(num_classes, in_channels=in_channels, width=width, stem_stride=stem_stride)
