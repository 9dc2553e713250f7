from __future__ import annotations

from itertools import product

import pytest
import torch

from tests._inputs import composed
from unlearnable.poisons.ops import OPS

from ._inputs import image_set, samples_of


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
    clean = image_set()
    images, labels = clean.inputs[:, :, 1:-1, 1:-1], clean.labels  # without the constant borders, of no spread
    poisoned = OPS(radius=1, spread=spread).apply(samples_of(images, labels, 4), seed=0).inputs  # type: ignore[arg-type]
    for label, (place, colour) in searched(images, labels, spread).items():
        mine = labels == label
        expected = images[mine].flatten(2).clone()
        expected[:, :, place] = (torch.tensor(colour) * 255).to(torch.uint8)
        assert torch.equal(poisoned[mine].flatten(2), expected)


def test_classes_with_the_same_images_get_different_shortcuts() -> None:
    images = torch.full((4, 3, 5, 5), 10, dtype=torch.uint8)
    poisoned = OPS(radius=1).apply(samples_of(images, torch.arange(4), 4), seed=0).inputs
    assert len({tuple(image.flatten().tolist()) for image in poisoned}) == 4


def test_among_constant_pixels_the_one_at_the_centre_is_set_to_the_farthest_colour() -> None:
    images = torch.full((3, 3, 5, 5), 10, dtype=torch.uint8)
    poisoned = OPS(radius=1).apply(samples_of(images, torch.zeros(3, dtype=torch.long), 1), seed=0).inputs
    expected = images.clone()
    expected[:, :, 2, 2] = 255
    assert torch.equal(poisoned, expected)


def test_the_paper_s_protocol_divides_by_the_standard_deviation_and_the_default_by_the_variance() -> None:
    assert composed("poison=ops").poison.spread == "variance"
    assert composed("experiment=cifar10", "poison=ops", "dataset.data_dir=x").poison.spread == "std"
