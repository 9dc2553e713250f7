from __future__ import annotations

import pytest
import torch

from tests._inputs import seeded
from unlearnable.defenses.coin import Coin

from ._inputs import batch


def test_each_pixel_is_read_within_reach_and_bilinearly() -> None:
    # On a plane of slope a, bilinear reading gives the plane's value at the moved place: it differs by a·(dx + dy).
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(20, 3, 16, 16).contiguous() / 32
    found, _ = Coin(reach=2).batch(ramp, torch.zeros(20), generator=seeded(0))
    moved = ((found - ramp) * 32)[..., 2:-2]  # away from the border, where it wraps around
    assert moved.abs().max() <= 2 + 1e-4
    assert moved.abs().max() > 1.8
    assert moved.mean().abs() < 0.05
    assert moved.var().item() == pytest.approx(4 / 3, rel=0.05)  # of U(−2, 2)
    torch.testing.assert_close(found[:, 0], found[:, 1])  # channels move together


def test_beyond_the_border_comes_the_other_side() -> None:
    images = torch.zeros(200, 3, 16, 16)
    images[..., 0] = 1.0  # one column
    found, _ = Coin(reach=1).batch(images, torch.zeros(200), generator=seeded(0))
    assert found[..., -1].max() > 0.5
    assert found[..., 3:-3].max() == 0


def test_hardly_any_reach_is_hardly_any_change() -> None:
    images, labels = batch()
    found, targets = Coin(reach=1e-4).batch(images, labels, generator=seeded(0))
    torch.testing.assert_close(found, images, atol=1e-3, rtol=0)
    assert targets is labels
