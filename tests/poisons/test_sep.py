"""SEP's claims: all check points' mean loss towards the class half-way round falls, by its public step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from unlearnable.poisons.sep import SEP

from ._inputs import RADIUS, TinyNet, image_set


def test_every_check_point_takes_the_images_more_for_the_target(factory: Any, kept_nets: list[nn.Module]) -> None:
    clean = image_set()
    method = SEP(surrogate=factory, radius=RADIUS, epochs=4, steps=10)
    poisoned = method.apply(clean, seed=0)
    goal = (clean.labels + 2) % 4
    net = kept_nets[-1].eval()
    before, after = (F.cross_entropy(net(images / 255), goal) for images in (clean.inputs, poisoned.inputs))
    assert after < before


def test_a_step_is_an_eighth_of_the_radius() -> None:
    assert SEP(surrogate=TinyNet, radius=8 / 255).step_size == pytest.approx(1 / 255)


def test_more_check_points_than_epochs_are_refused() -> None:
    with pytest.raises(ValueError, match="`checkpoints` must be at most `epochs` = 3; got 4"):
        SEP(surrogate=TinyNet, radius=RADIUS, epochs=3, checkpoints=4)


def test_with_one_check_point_the_earlier_epochs_do_not_count() -> None:
    clean = image_set()
    one, all_of_them = (SEP(surrogate=TinyNet, radius=RADIUS, epochs=3, checkpoints=n, steps=3) for n in (1, 3))
    assert not torch.equal(one.apply(clean, seed=0).inputs, all_of_them.apply(clean, seed=0).inputs)
