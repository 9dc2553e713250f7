from __future__ import annotations

from itertools import product

import pytest
import torch

from unlearnable.poisons import OPS

from ._inputs import image_set


def searched(images: torch.Tensor, labels: torch.Tensor, spread: str) -> dict[int, tuple[int, tuple[float, ...]]]:
    """The search as it is written down: every class, every pixel, every colour, one after the other."""
    taken: set[tuple[int, tuple[float, ...]]] = set()
    found = {}
    pixels = images.double().flatten(2) / 255
    for label in range(4):
        mine, best, score = pixels[labels == label], None, -1.0
        for place in range(pixels.shape[2]):
            for colour in product((0.0, 1.0), repeat=3):
                if (place, colour) in taken:
                    continue
                change = (mine[:, :, place] - torch.tensor(colour).double()).abs()
                if spread == "variance":
                    value = change.sum(1).mean() / change.sum(1).var(unbiased=False)
                else:
                    value = change.mean() / change.std(unbiased=False)
                if value > score:
                    best, score = (place, colour), float(value)
        assert best is not None
        taken.add(best)
        found[label] = best
    return found


@pytest.mark.parametrize("spread", ["variance", "std"])
def test_pixel_and_colour_are_those_of_an_exhaustive_search(spread: str) -> None:
    images, labels = image_set()
    images = images[:, :, 1:-1, 1:-1]  # without the constant borders, where the spread is zero
    poisoned = OPS(radius=1, spread=spread).apply(images, labels, num_classes=4, seed=0)  # type: ignore[arg-type]
    for label, (place, colour) in searched(images, labels, spread).items():
        mine = labels == label
        expected = images[mine].flatten(2).clone()
        expected[:, :, place] = (torch.tensor(colour) * 255).to(torch.uint8)
        assert torch.equal(poisoned[mine].flatten(2), expected)


def test_classes_with_the_same_images_get_different_shortcuts() -> None:
    images = torch.full((4, 3, 5, 5), 10, dtype=torch.uint8)
    poisoned = OPS(radius=1).apply(images, torch.arange(4), num_classes=4, seed=0)
    assert len({tuple(image.flatten().tolist()) for image in poisoned}) == 4


def test_among_constant_pixels_the_one_at_the_centre_is_set_to_the_farthest_colour() -> None:
    images = torch.full((3, 3, 5, 5), 10, dtype=torch.uint8)
    poisoned = OPS(radius=1).apply(images, torch.zeros(3, dtype=torch.long), num_classes=1, seed=0)
    expected = images.clone()
    expected[:, :, 2, 2] = 255
    assert torch.equal(poisoned, expected)
