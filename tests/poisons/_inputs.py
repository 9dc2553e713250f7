"""Small images, surrogates and one instance of every method, for the poisons' tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unlearnable import poisons

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


METHODS: dict[str, Callable[[], Any]] = {
    "em": lambda: poisons.EM(surrogate=TinyNet, radius=RADIUS, surrogate_steps=3, noise_steps=3, max_rounds=2),
    "em_classwise": lambda: poisons.EM(
        surrogate=TinyNet, radius=RADIUS, surrogate_steps=3, noise_steps=3, max_rounds=2, classwise=True
    ),
    "em_l2": lambda: poisons.EM(
        surrogate=TinyNet, radius=0.7, norm="l2", surrogate_steps=3, noise_steps=3, max_rounds=2
    ),
    "rem": lambda: poisons.REM(surrogate=TinyNet, radius=RADIUS, iterations=3, noise_steps=2, samples=2),
    "tap": lambda: poisons.TAP(surrogate=TinyNet, radius=RADIUS, steps=3, epochs=1),
    "tap_untargeted": lambda: poisons.TAP(surrogate=TinyNet, radius=RADIUS, steps=3, epochs=1, targeted=False),
    "tap_l2": lambda: poisons.TAP(surrogate=TinyNet, radius=0.5, norm="l2", steps=3, epochs=1),
    "tap_l0": lambda: poisons.TAP(surrogate=TinyNet, radius=5, norm="l0", steps=3, epochs=1),
    "ops": lambda: poisons.OPS(radius=1),
    "ops_3": lambda: poisons.OPS(radius=3, spread="std"),
    "lsp": lambda: poisons.LSP(radius=0.8),
    "lsp_linf": lambda: poisons.LSP(radius=RADIUS, norm="linf"),
    "ar": lambda: poisons.AR(radius=0.8),
    "ar_linf": lambda: poisons.AR(radius=RADIUS, norm="linf"),
    "dc": lambda: poisons.DC(surrogate=TinyNet, radius=RADIUS, trials=1, width=4),
    "hypo": lambda: poisons.Hypo(surrogate=TinyNet, radius=RADIUS, steps=3, epochs=1),
    "ntga": lambda: poisons.NTGA(radius=RADIUS, steps=2, batch_size=20, validation_size=30),
    "random": lambda: poisons.RandomNoise(radius=RADIUS),
    "random_samplewise": lambda: poisons.RandomNoise(radius=RADIUS, classwise=False),
    "random_l2": lambda: poisons.RandomNoise(radius=0.8, norm="l2", classwise=False),
    "random_l0": lambda: poisons.RandomNoise(radius=4, norm="l0"),
}

CLASSWISE = ("em_classwise", "ops", "ops_3", "random", "random_l0")
"""Methods that give all images of a class one pattern."""
