"""Random noise: at the full budget of each norm, one a class or one an image."""

from __future__ import annotations

import pytest
import torch

from unlearnable.poisons.random import RandomNoise

from ._asserts import norms
from ._inputs import grey_set


def noise(**options: object) -> tuple[torch.Tensor, torch.Tensor]:
    grey = grey_set(200, 4, size=16)
    return grey.inputs, RandomNoise(**options).apply(grey, seed=0).inputs  # type: ignore[arg-type]


def test_every_entry_is_at_the_bound_with_either_sign() -> None:
    clean, poisoned = noise(radius="8/255", classwise=False)
    change = poisoned.int() - clean.int()
    assert set(change.unique().tolist()) == {-8, 8}
    # The mean of 153,600 fair signs has a standard deviation of 1/392.
    assert abs(float((change > 0).float().mean()) - 0.5) < 4 / 392


@pytest.mark.parametrize(("norm", "radius"), [("l2", 1.0), ("l0", 5)])
def test_other_norms_are_used_up_too(norm: str, radius: float) -> None:
    found = norms(*noise(radius=radius, norm=norm, classwise=False))[norm]
    assert found.max() <= radius + 1e-6
    assert found.min() > 0.97 * radius


def test_images_of_a_class_share_their_noise_or_have_their_own() -> None:
    assert len(noise(radius=0.1)[1].unique(dim=0)) == 4
    assert len(noise(radius=0.1, classwise=False)[1].unique(dim=0)) == 200
