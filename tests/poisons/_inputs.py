"""Small images, surrogates and one instance of every method, for the poisons' tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn



RADIUS = 16 / 255


class TinyNet(nn.Module):
    """One convolution and a linear layer over 4×4 places: gradients in microseconds."""

    def __init__(self, num_classes: int, width: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.fc = nn.Linear(16 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(torch.relu(self.bn(self.conv(x)))).flatten(1))


def image_set(count: int = 60, classes: int = 4, size: int = 16, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Blurred random images, one hue a class, with black and white borders so that clipping matters."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    hue = torch.rand(classes, 3, 1, 1, generator=generator)
    images = 0.6 * hue[labels] + 0.4 * torch.rand(count, 3, size, size, generator=generator)
    images[:, :, 0], images[:, :, -1] = 0.0, 1.0
    return (images * 255).round().to(torch.uint8), labels


