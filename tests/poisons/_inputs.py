"""Small images, networks and training sets for the poisons' tests."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from unlearnable.data.samples import Samples
from unlearnable.poisons.image.training_set import TrainingSet
from unlearnable.tasks import Classification

RADIUS = 16 / 255


class TinyNet(nn.Module):
    """One convolution and a linear layer over 4×4 places: gradients in microseconds."""

    def __init__(self, num_classes: int, width: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.fc = nn.Linear(16 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.relu(self.bn(self.conv(x)))).flatten(1))


class DropoutNet(TinyNet):
    """One that draws while it trains."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.relu = nn.Sequential(nn.ReLU(), nn.Dropout(0.2))


class DivergingNet(TinyNet):
    """One whose first step of training goes wrong."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self.conv.weight.register_hook(lambda gradient: gradient * torch.nan)


def samples_of(images: Tensor, labels: Tensor, classes: int) -> Samples:
    """Images with one class task."""
    return Samples(images, labels, {"class": Classification("class", classes)})


def image_set(count: int = 60, classes: int = 4, size: int = 16, seed: int = 0) -> Samples:
    """Blurred random images, one hue a class, with black and white borders so that clipping matters."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    hue = torch.rand(classes, 3, 1, 1, generator=generator)
    images = 0.6 * hue[labels] + 0.4 * torch.rand(count, 3, size, size, generator=generator)
    images[:, :, 0], images[:, :, -1] = 0.0, 1.0
    return samples_of((images * 255).round().to(torch.uint8), labels, classes)


def grey_set(count: int, classes: int, size: int = 32) -> Samples:
    """Grey images: no clipping hides the noise."""
    images = torch.full((count, 3, size, size), 128, dtype=torch.uint8)
    return samples_of(images, torch.arange(count) % classes, classes)


def real_digits() -> tuple[Samples, Samples]:
    """scikit-learn's digits as 3×16×16 images: 1,400 to train on, 397 to test on."""
    digits = load_digits()
    pixels = torch.from_numpy(digits.images / 16 * 255).round().to(torch.uint8)
    images = pixels[:, None].expand(-1, 3, -1, -1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    labels = torch.from_numpy(digits.target).long()
    return samples_of(images[:1400], labels[:1400], 10), samples_of(images[1400:], labels[1400:], 10)


def training_set(samples: Samples, seed: int = 0) -> TrainingSet:
    """A training set as poisons see it, on the CPU."""
    return TrainingSet(samples, seed, torch.device("cpu"))
