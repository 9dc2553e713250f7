"""The networks that poisons are made on, and their augmentation."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from tests._inputs import seeded
from unlearnable.data.modality.crop_flip import crop_and_flip
from unlearnable.poisons.image.surrogate import train_checkpoints

from ._inputs import TinyNet, image_set, training_set


def test_crop_and_flip_gives_a_window_of_the_padded_image_and_its_gradient() -> None:
    images = torch.rand(30, 3, 6, 8, generator=seeded(0), requires_grad=True)
    seen = crop_and_flip(images, crop=2, flip=True, generator=seeded(1))
    padded = F.pad(images, (2, 2, 2, 2)).detach()
    for image, result in zip(padded, seen.detach(), strict=True):
        windows = [image[:, i : i + 6, j : j + 8] for i in range(5) for j in range(5)]
        assert any(torch.equal(result, w) or torch.equal(result, w.flip(2)) for w in windows)
    seen.sum().backward()
    # Each pixel of the source that is seen counts once.
    assert set(images.grad.unique().tolist()) <= {0.0, 1.0}  # type: ignore[union-attr]
    assert images.grad.sum() == (seen != 0).sum()  # type: ignore[union-attr]


def test_no_crop_does_not_shift_and_no_flip_does_not_mirror() -> None:
    images = torch.rand(30, 3, 6, 8, generator=seeded(0))
    assert torch.equal(crop_and_flip(images, crop=0, flip=False, generator=seeded(1)), images)
    for image, result in zip(images, crop_and_flip(images, crop=0, flip=True, generator=seeded(1)), strict=True):
        assert torch.equal(result, image) or torch.equal(result, image.flip(2))
    for image, result in zip(images, crop_and_flip(images, crop=1, flip=False, generator=seeded(1)), strict=True):
        padded = F.pad(image, (1, 1, 1, 1))
        assert any(torch.equal(result, padded[:, i : i + 6, j : j + 8]) for i in range(3) for j in range(3))


def test_a_surrogate_learns_its_data(loss_on: Any) -> None:
    samples = image_set()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        (net,) = train_checkpoints(TinyNet, training_set(samples), count=1, epochs=60, batch_size=20)
    assert loss_on(net, samples) < 0.3
    assert not any(parameter.requires_grad for parameter in net.parameters())
