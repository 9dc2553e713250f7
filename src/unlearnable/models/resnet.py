"""torchvision's residual networks with the stem that 32×32 images need."""

from __future__ import annotations

from typing import Literal

from torch import nn

Stem = Literal["cifar", "imagenet"]


def resnet18(num_classes: int, *, in_channels: int = 3, stem: Stem = "cifar") -> nn.Module:
    """ResNet-18 (He et al., 2016), randomly initialised.

    Args:
        num_classes: Length of the output.
        in_channels: Channels of the input images.
        stem: `cifar` is one 3×3 convolution with stride 1 and no max-pooling, as in every paper that reports about
            95 % on CIFAR-10; torchvision's own `imagenet` stem shrinks a 32×32 image to 8×8 at once and stays near
            50 % when trained briefly.
    """
    from torchvision.models import resnet18 as torchvision_resnet18

    return _with_stem(torchvision_resnet18(num_classes=num_classes), in_channels, stem)


def _with_stem(net: nn.Module, in_channels: int, stem: Stem) -> nn.Module:
    if stem not in ("cifar", "imagenet"):
        raise ValueError(f"`stem` must be 'cifar' or 'imagenet'; got {stem!r}.")
    if stem == "cifar":
        net.conv1 = nn.Conv2d(in_channels, 64, 3, 1, 1, bias=False)
        net.maxpool = nn.Identity()
    elif in_channels != 3:
        net.conv1 = nn.Conv2d(in_channels, 64, 7, 2, 3, bias=False)
    if isinstance(net.conv1, nn.Conv2d):
        # torchvision's own initialisation of convolutions, for the one that was replaced.
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    return net
