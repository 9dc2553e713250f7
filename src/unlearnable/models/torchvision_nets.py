"""torchvision's networks with the stem that 32×32 images need, randomly initialised.

`cifar` stems do not shrink the image before the first stage: with the original stems (made for 224×224) a 32×32 image
is 8×8 at once, and ResNet-18 stays near 50 % on CIFAR-10 when trained briefly.
"""

from __future__ import annotations

from typing import Any

from torch import nn


def resnet18(num_classes: int, *, in_channels: int = 3, stem: str = "cifar", init: str = "torchvision") -> nn.Module:
    """ResNet-18 (He et al., 2016).

    Args:
        num_classes: Length of the output.
        in_channels: Channels of the input images.
        stem: `cifar` is one 3×3 convolution with stride 1 and no max-pooling; `imagenet` is the original.
        init: How weights are drawn: `torchvision`, a normal distribution by fan-out, or `torch`, as each PyTorch module
            does by itself: the norms of convolutions are then 2.4 times smaller.
    """
    from torchvision.models import resnet18 as make

    if init not in ("torch", "torchvision"):
        raise ValueError(f"`init` must be 'torch' or 'torchvision'; got {init!r}.")
    net = resnet_with_stem(make(num_classes=num_classes), in_channels, stem)
    if init == "torch":
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                module.reset_parameters()
    return net


def resnet50(num_classes: int, *, in_channels: int = 3, stem: str = "cifar") -> nn.Module:
    """ResNet-50 (He et al., 2016); see `resnet18` for the arguments."""
    from torchvision.models import resnet50 as make

    return resnet_with_stem(make(num_classes=num_classes), in_channels, stem)


def mobilenet_v2(num_classes: int, *, in_channels: int = 3, stem: str = "cifar") -> nn.Module:
    """MobileNetV2 (Sandler et al., 2018).

    Args:
        num_classes: Length of the output.
        in_channels: Channels of the input images.
        stem: `cifar` has stride 1 in the first convolution and in the second stage; `imagenet` is the original.
    """
    from torchvision.models import mobilenet_v2 as make

    check_stem(stem)
    net = make(num_classes=num_classes)
    first: nn.Conv2d = net.features[0][0]
    if in_channels != first.in_channels:
        net.features[0][0] = first = _like(first, in_channels=in_channels)
    if stem == "cifar":
        first.stride = (1, 1)
        net.features[2].conv[1][0].stride = (1, 1)
    return net


def densenet121(num_classes: int, *, in_channels: int = 3, stem: str = "cifar") -> nn.Module:
    """DenseNet-121 (Huang et al., 2017); see `resnet18` for the arguments."""
    from torchvision.models import densenet121 as make

    check_stem(stem)
    net = make(num_classes=num_classes)
    features = net.features
    if stem == "cifar":
        features.conv0 = _like(features.conv0, in_channels=in_channels, kernel_size=3, stride=1, padding=1)
        features.pool0 = nn.Identity()
    elif in_channels != 3:
        features.conv0 = _like(features.conv0, in_channels=in_channels)
    return net


def resnet_with_stem(net: nn.Module, in_channels: int, stem: str) -> nn.Module:
    """Exchanges the stem of a network whose parts have the names of torchvision's ResNet (`conv1`, `maxpool`)."""
    check_stem(stem)
    conv1: nn.Conv2d = net.conv1  # type: ignore[assignment]
    if stem == "cifar":
        net.conv1 = _like(conv1, in_channels=in_channels, kernel_size=3, stride=1, padding=1)
        net.maxpool = nn.Identity()
    elif in_channels != 3:
        net.conv1 = _like(conv1, in_channels=in_channels)
    return net


def check_stem(stem: str) -> None:
    """Refuses unknown stems."""
    if stem not in ("cifar", "imagenet"):
        raise ValueError(f"`stem` must be 'cifar' or 'imagenet'; got {stem!r}.")


def _like(conv: nn.Conv2d, **changes: Any) -> nn.Conv2d:
    """A convolution as `conv` but for `changes`, initialised as torchvision does."""
    arguments = {
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": conv.kernel_size,
        "stride": conv.stride,
        "padding": conv.padding,
        "bias": conv.bias is not None,
        **changes,
    }
    new = nn.Conv2d(**arguments)
    nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
    return new
