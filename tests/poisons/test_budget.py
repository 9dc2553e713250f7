"""Projection, steps and rounding, against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from unlearnable.poisons.image.budget import project, round_to_grid, steepest_step

from ._asserts import norms


def noise(scale: float, seed: int = 0) -> torch.Tensor:
    return torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * scale


def test_linf_projection_clips() -> None:
    assert_close(project(torch.tensor([[[[-0.5, 0.02, 0.3]]]]), 0.1, "linf"), torch.tensor([[[[-0.1, 0.02, 0.1]]]]))


def test_l2_projection_shortens_long_noise_and_keeps_short_noise() -> None:
    # (3, 4) has length 5; (0.3, 0.4) has 0.5.
    both = torch.tensor([[[[3.0, 4.0]]], [[[0.3, 0.4]]]])
    assert_close(project(both, 1.0, "l2"), torch.tensor([[[[0.6, 0.8]]], [[[0.3, 0.4]]]]))


def test_l0_projection_keeps_the_pixel_that_changes_most_over_its_channels() -> None:
    # Two channels, three pixels; squared lengths 0.5, 0.36, 0.17.
    change = torch.tensor([[[[0.5, 0.6, 0.1]], [[0.5, 0.0, 0.4]]]])
    assert_close(project(change, 1, "l0"), torch.tensor([[[[0.5, 0.0, 0.0]], [[0.5, 0.0, 0.0]]]]))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_no_step_of_its_length_lowers_a_linear_function_more(norm: str) -> None:
    gradient = noise(1.0)[:1]
    step = steepest_step(gradient, 0.1, norm)  # type: ignore[arg-type]
    length = step.abs().max() if norm == "linf" else step.norm()
    assert_close(length, torch.tensor(0.1))
    for seed in range(50):
        other = noise(1.0, seed + 1)[:1]
        other *= 0.1 / (other.abs().max() if norm == "linf" else other.norm())
        assert (gradient * step).sum() <= (gradient * other).sum()


@pytest.mark.parametrize(
    ("radius", "norm"),
    [(7.65 / 255, "linf"), (8 / 255, "linf"), (0.03137255, "linf"), (0.05, "l2"), (1.0, "l2"), (5, "l0")],
)
@pytest.mark.parametrize("scale", [0.001, 0.02, 1.0])
def test_rounded_images_stay_within_the_budget(radius: float, norm: str, scale: float) -> None:
    images = torch.randint(0, 256, (20, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    rounded = round_to_grid(images, project(noise(scale), radius, norm), radius, norm)  # type: ignore[arg-type]
    assert norms(images, rounded)[norm].max() <= radius + 1e-6


def test_eight_levels_written_in_decimals_are_eight_levels() -> None:
    images = torch.full((1, 1, 1, 2), 100, dtype=torch.uint8)
    rounded = round_to_grid(images, torch.tensor([[[[0.03137255, -0.03137255]]]]), 0.03137255, "linf")
    assert rounded.tolist() == [[[[108, 92]]]]


def test_l2_noise_below_half_a_level_keeps_its_budget_though_every_pixel_rounds_up() -> None:
    # 192 values of 0.6 levels have length 8.3 levels, but rounded to 1 each 13.9: too long.
    images = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    radius = 0.6 / 255 * 192**0.5
    rounded = round_to_grid(images, torch.full((1, 3, 8, 8), 0.6 / 255), radius, "l2")
    assert norms(images, rounded)["l2"].item() <= radius + 1e-9


def test_rounding_goes_to_the_nearest_level_where_the_budget_allows() -> None:
    images = torch.randint(40, 200, (20, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    change = project(noise(0.01), 8 / 255, "linf")
    rounded = round_to_grid(images, change, 8 / 255, "linf")
    assert (rounded.float() - images.float() - change * 255).abs().max() <= 0.5 + 1e-4
