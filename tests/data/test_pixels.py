"""Images: crop and flip against the definition, targets that move with them, files and descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests._inputs import seeded
from unlearnable.data.modality.crop_flip import crop_and_flip
from unlearnable.data.modality.pixels import PREVIEW, Pixels
from unlearnable.data.samples import Samples
from unlearnable.tasks import Classification, Normals, Segmentation


def by_definition(images: Tensor, *, crop: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Image by image: shifts down, shifts right, then who is mirrored are drawn, in this order."""
    count, _, height, width = images.shape
    top, left = (
        torch.randint(0, 2 * crop + 1, (count,), generator=generator).tolist() if crop else [0] * count for _ in "ab"
    )
    mirrored = (torch.rand(count, generator=generator) < 0.5).tolist() if flip else [False] * count
    padded = F.pad(images, (crop,) * 4)
    windows = [padded[i, :, top[i] : top[i] + height, left[i] : left[i] + width] for i in range(count)]
    return torch.stack([window.flip(-1) if mirrored[i] else window for i, window in enumerate(windows)])


@pytest.mark.parametrize(("crop", "flip"), [(0, False), (0, True), (2, False), (2, True)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_crop_and_flip_are_the_windows_of_the_padded_images(crop: int, flip: bool, dtype: torch.dtype) -> None:
    images = torch.randint(1, 255, (64, 3, 5, 7), generator=seeded(1)).to(dtype)
    moved = crop_and_flip(images, crop=crop, flip=flip, generator=seeded(0))
    assert moved.dtype == dtype
    assert torch.equal(moved, by_definition(images, crop=crop, flip=flip, generator=seeded(0)))


def test_every_shift_occurs_and_about_half_are_mirrored() -> None:
    images = torch.zeros(2000, 1, 3, 3)
    images[:, :, 1, 0] = 1.0  # one pixel says where the window was cut
    moved = crop_and_flip(images, crop=1, flip=True, generator=seeded(0))
    places = moved.flatten(1).unique(dim=0, return_counts=True)
    # Of 9 shifts a third put the pixel out of sight, to the left; the rest stand at 6 places or at their mirrors.
    assert len(places[0]) == 1 + 6 + 6 - 2 * 3 // 2  # the middle column is its own mirror image
    assert 0.3 < float((moved.flatten(1).sum(1) == 0).float().mean()) < 0.37


def test_gradients_flow_back_to_where_each_pixel_came_from() -> None:
    images = torch.rand(6, 2, 4, 5, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: crop_and_flip(x, crop=2, flip=True, generator=seeded(0)), images)


def test_a_flip_moves_targets_by_the_rule_of_their_task() -> None:
    tasks = {"n": Normals("n", 3), "s": Segmentation("s", 4), "c": Classification("c", 2)}
    images = torch.arange(64, dtype=torch.uint8).view(32, 1, 1, 2)
    targets = {
        "n": torch.tensor([[[[0.6, 0.0]], [[0.0, 1.0]], [[-0.8, 0.0]]]] * 32),
        "s": torch.tensor([[[0, 3]]] * 32),
        "c": torch.arange(32) % 2,
    }
    moved_images, moved = Pixels(flip=True).augment(images, targets, tasks, generator=seeded(0))
    assert isinstance(moved_images, Tensor)
    assert not isinstance(moved, Tensor)
    mirrored = (moved_images != images).flatten(1).any(1)
    assert 8 < int(mirrored.sum()) < 24
    assert torch.equal(moved_images[mirrored], images[mirrored].flip(-1))
    assert torch.equal(moved["s"][mirrored], targets["s"][mirrored].flip(-1))
    normal = moved["n"][mirrored][0]
    assert normal[:, 0].tolist() == [[-0.0, -0.6000000238418579], [1.0, 0.0], [0.0, -0.800000011920929]]
    assert all(torch.equal(moved[name][~mirrored], targets[name][~mirrored]) for name in tasks)
    assert torch.equal(moved["c"], targets["c"])


def test_a_single_dense_target_moves_too() -> None:
    images = torch.arange(64, dtype=torch.uint8).view(32, 1, 1, 2)
    tasks = {"s": Segmentation("s", 64)}
    moved_images, moved = Pixels(flip=True).augment(images, images[:, 0].long(), tasks, generator=seeded(0))
    assert isinstance(moved_images, Tensor)
    assert torch.equal(moved_images[:, 0].long(), moved)


def test_a_crop_is_refused_where_targets_lie_on_the_pixels() -> None:
    tasks = {"c": Classification("c", 2), "s": Segmentation("s", 4)}
    Pixels(crop=4).check({"c": tasks["c"]})
    Pixels(flip=True).check(tasks)
    with pytest.raises(ValueError, match=r"`dataset\.crop` = 4 would move images but not their targets of s"):
        Pixels(crop=4).check(tasks)


def test_images_go_to_the_model_between_zero_and_one() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    assert Pixels().to_model(images).flatten().tolist() == [0.0, pytest.approx(0.2), 1.0]
    with pytest.raises(TypeError, match="Images are one tensor of 8 bits; got a mapping of ids"):
        Pixels().to_model({"ids": images})


def test_files_keep_images_and_their_shape(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (1500, 1, 3, 5), generator=seeded(0), dtype=torch.uint8)
    Pixels().write(tmp_path, images)
    again = Pixels().read(tmp_path)
    assert torch.equal(again, images)
    again[0] = 7  # a private map: the file stays as it is
    assert torch.equal(Pixels().read(tmp_path), images)


def test_a_change_is_described_and_drawn(tmp_path: Path) -> None:
    clean = Samples(torch.full((4, 3, 8, 8), 100, dtype=torch.uint8), torch.tensor([0, 0, 1, 1]))
    assert isinstance(clean.inputs, Tensor)
    changed = clean.inputs.clone()
    changed[1, :, 0, 0] = 110
    poisoned = clean.replace(inputs=changed)
    found = Pixels().describe(clean, poisoned)
    assert (found["changed"], found["l0_max"], found["linf_max"]) == (0.25, 1, pytest.approx(10 / 255))
    assert Pixels().preview(clean, poisoned, tmp_path) == tmp_path / PREVIEW
    assert [path.name for path in tmp_path.iterdir()] == [PREVIEW]


def test_images_reach_the_model_with_channels_last() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    made = Pixels().to_model(images)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, images / 255)
