"""Small batches, training sets and modules for the defences' tests."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests._inputs import seeded
from unlearnable.data.samples import Samples
from unlearnable.defenses import Defense
from unlearnable.models.module import TaskModule
from unlearnable.tasks import Classification, Task

CPU = torch.device("cpu")
CLASSES = 4
TASKS: dict[str, Task] = {"class": Classification("class", CLASSES)}


def levels(count: int = 24, size: int = 16) -> Tensor:
    """Random smooth images of 8 bits."""
    coarse = torch.rand(count, 3, 4, 4, generator=seeded(0))
    smooth = nn.functional.interpolate(coarse, size=size, mode="bilinear")
    return (smooth * 255).round().to(torch.uint8)


def batch(count: int = 24, size: int = 16) -> tuple[Tensor, Tensor]:
    return levels(count, size).float() / 255, torch.arange(count) % CLASSES


def training_set(count: int = 24, size: int = 16) -> Samples:
    return Samples(levels(count, size), torch.arange(count) % CLASSES, TASKS)


def purified(defense: Defense, train: Samples, folder: Path, seed: int = 0) -> Samples:
    folder.mkdir(exist_ok=True)
    return defense.purify(train, seed=seed, device=CPU, work_dir=folder)


class Net(nn.Module):
    """One convolution with BatchNorm, and a linear layer."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6 * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.bn(self.conv(images)))
        return self.fc(nn.functional.adaptive_avg_pool2d(maps, 4).flatten(1))


def module(**options: Any) -> TaskModule:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TaskModule(Net(), TASKS, optimizer=partial(torch.optim.SGD, lr=0.1), **options)
