"""REM's claims: the loss stays low under attack and augmentation; both noises start at random; the paper's counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests._inputs import composed, seeded
from unlearnable.data.modality.crop_flip import crop_and_flip
from unlearnable.data.samples import Samples
from unlearnable.poisons import rem
from unlearnable.poisons.rem import REM

from ._inputs import RADIUS, TinyNet, image_set, training_set


def test_the_loss_stays_low_under_attack_and_augmentation(factory: Any, kept_nets: list[nn.Module]) -> None:
    clean = image_set()
    method = REM(surrogate=factory, radius=RADIUS, iterations=20, noise_steps=5, samples=2, crop=2, flip=True)
    poisoned = method.apply(clean, seed=0)
    net = kept_nets[-1]

    def attacked(samples: Samples) -> float:
        seen = crop_and_flip(samples.inputs.float() / 255, crop=2, flip=True, generator=seeded(0))
        attack = method._attack(net, seen, samples.labels, seeded(1))
        return float(F.cross_entropy(net(seen + attack), samples.labels))

    assert attacked(poisoned) < 0.8 * attacked(clean)


def test_the_attack_raises_the_loss_within_its_radius() -> None:
    clean, net = image_set(), TinyNet(4).eval().requires_grad_(False)
    images = clean.inputs.float() / 255
    method = REM(surrogate=TinyNet, radius=RADIUS, adversarial_steps=5)
    attack = method._attack(net, images, clean.labels, seeded(0))
    assert attack.abs().max() <= RADIUS / 2 + 1e-6
    assert F.cross_entropy(net(images + attack), clean.labels) > F.cross_entropy(net(images), clean.labels)


def test_both_noises_start_at_random_in_their_balls(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[tuple[float, torch.Tensor]] = []
    original = rem.descend

    def recorded(images: torch.Tensor, noise: torch.Tensor, objective: Any, **options: Any) -> torch.Tensor:
        starts.append((options["radius"], noise))
        return original(images, noise, objective, **options)

    monkeypatch.setattr(rem, "descend", recorded)
    batch = training_set(image_set()).read(torch.arange(20))
    method = REM(surrogate=TinyNet, radius=RADIUS, noise_steps=1, samples=1)
    method._noise(TinyNet(4).eval().requires_grad_(False), batch, seeded(0))
    assert [radius for radius, _ in starts] == [RADIUS, RADIUS / 2]
    for radius, noise in starts:
        assert radius / 2 < noise.abs().max() <= radius + 1e-6
        assert noise.unique().numel() > 1000


def test_the_paper_s_protocol_holds_the_paper_s_counts() -> None:
    poison = composed("experiment=cifar10", "poison=rem", "dataset.data_dir=x").poison
    assert (poison.iterations, poison.noise_steps, poison.adversarial_steps, poison.samples) == (5000, 10, 10, 5)
    assert (poison.crop, poison.flip) == (4, True)
    # Steps of a fifth of the radius, as published, at these counts: see `_noise` and `_attack`.
    assert min(5, max(1, poison.noise_steps / 2)) == 5
