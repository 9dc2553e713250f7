"""HYPO's claims: the clean network's loss falls, in steps of a fifth of the radius from the clean image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from unlearnable.poisons import hypo
from unlearnable.poisons.hypo import Hypo

from ._inputs import RADIUS, TinyNet, image_set


def test_the_clean_network_s_loss_falls(factory: Any, kept_nets: list[nn.Module], loss_on: Any) -> None:
    clean = image_set()
    poisoned = Hypo(surrogate=factory, radius=RADIUS, steps=20, epochs=10).apply(clean, seed=0)
    assert loss_on(kept_nets[-1], poisoned) < 0.8 * loss_on(kept_nets[-1], clean)


def test_steps_are_a_fifth_of_the_radius_and_start_at_the_clean_image(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    def recorded(images: torch.Tensor, noise: torch.Tensor, objective: Any, **options: Any) -> torch.Tensor:
        assert (noise == 0).all()
        given.append(options)
        return noise

    monkeypatch.setattr(hypo, "descend", recorded)
    Hypo(surrogate=TinyNet, radius=0.1, epochs=1).apply(image_set(8), seed=0)
    assert given[0]["steps"] == 100
    assert given[0]["step_size"] == pytest.approx(0.02)
