"""SEM's claim: REM with a drawn attack, within its ball."""

from __future__ import annotations

import pytest
import torch

from unlearnable.poisons.rem import REM

from ._inputs import RADIUS, TinyNet, image_set, training_set


def test_the_attack_is_drawn_evenly_from_its_ball() -> None:
    batch = training_set(image_set()).read(torch.arange(60))
    method = REM(surrogate=TinyNet, radius=RADIUS, attack="random")
    drawn = method._attack(TinyNet(4), torch.full_like(batch.images, 0.5), batch.labels, torch.Generator())
    half = RADIUS / 2
    assert drawn.abs().max() <= half + 1e-7
    assert abs(drawn.mean()) < 0.02 * half
    assert abs(drawn.std() - half / 3**0.5) < 0.02 * half


def test_another_attack_is_refused() -> None:
    with pytest.raises(ValueError, match="`attack` must be one of adversarial, random; got 'none'"):
        REM(surrogate=TinyNet, radius=RADIUS, attack="none")
