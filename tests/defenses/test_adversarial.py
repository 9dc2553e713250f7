from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests._inputs import seeded
from unlearnable.defenses.adversarial import Adversarial

from ._inputs import batch, module


class Linear(nn.Module):
    """Scores w·x and −w·x: the worst point of a box is known."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        score = images.flatten(1) @ self.weights
        return torch.stack([score, -score], 1)


def test_attacks_stay_in_the_ball_and_in_the_pixels_range_and_raise_the_loss() -> None:
    one: Any = module().eval()
    images, labels = batch()
    images[0], images[1] = 0.0, 1.0
    found = Adversarial(radius="8/255", steps=10, step_size="2/255").attacked(one, images, labels, seeded(0))
    assert (found - images).abs().max() <= 8 / 255 + 1e-6
    assert 0 <= found.min() <= found.max() <= 1
    assert F.cross_entropy(one.net(found), labels) > F.cross_entropy(one.net(images), labels)
    assert not found.requires_grad
    assert all(parameter.grad is None for parameter in one.parameters())


def test_against_a_linear_model_it_finds_the_worst_corner() -> None:
    weights = torch.randn(3 * 4 * 4, generator=seeded(1))
    one: Any = module()
    one.net = Linear(weights)
    images, labels = torch.full((6, 3, 4, 4), 0.5), torch.tensor([0, 1, 0, 1, 0, 1])
    found = Adversarial(radius=0.1, steps=10, step_size=0.025).attacked(one, images, labels, seeded(0))
    towards = torch.where(labels == 0, -1.0, 1.0)[:, None] * weights.sign()
    torch.testing.assert_close(found.flatten(1), images.flatten(1) + 0.1 * towards)


def test_it_descends_on_the_loss_of_the_attacked_images() -> None:
    one: Any = module()
    one.net.bn = nn.Identity()
    images, labels = batch()
    defense = Adversarial(steps=3)
    found = defense.loss(one, (images, labels), generator=seeded(4))
    attacked = defense.attacked(one, images, labels, seeded(4))
    torch.testing.assert_close(found, F.cross_entropy(one.net(attacked), labels))
    found.backward()
    assert one.net.fc.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("change", [{"radius": 0}, {"radius": 2}, {"steps": 0}, {"step_size": "no"}])
def test_bad_options_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`defense.{next(iter(change))}`"):
        Adversarial(**change)
