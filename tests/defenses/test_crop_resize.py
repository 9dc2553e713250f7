from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests._inputs import seeded
from unlearnable.defenses.crop_resize import CropResize, read_bilinear, read_nearest
from unlearnable.tasks import Classification, Depth, Segmentation

TASKS = {"class": Classification("class", 4), "depth": Depth("depth", 1), "parts": Segmentation("parts", 9)}


def cropped(images: Tensor, targets: dict[str, Tensor], **options: float) -> tuple[Tensor, dict[str, Tensor]]:
    defense = CropResize(**options)
    defense.setup(TASKS)
    return defense.batch(images, targets, generator=seeded(0))  # type: ignore[return-value]


def test_a_ramp_stays_a_ramp_over_the_part_that_was_cut_out() -> None:
    """Bilinear reading is exact on what is linear: from the values the crop can be told."""
    size = 32
    ramp = (torch.arange(size) + 0.5) / size
    images = torch.stack([ramp.expand(size, size), ramp[:, None].expand(size, size), torch.ones(size, size)])
    found, _ = cropped(images.expand(2000, -1, -1, -1), {"class": torch.zeros(2000, dtype=torch.int64)}, area=0.2)
    inner = found[:, :2, 4:-4, 4:-4]
    across, down = inner[:, 0].diff(dim=-1), inner[:, 1].diff(dim=-2)
    width, height = (step.flatten(1).median(1).values * size for step in (across, down))
    assert torch.allclose(across, (width / size)[:, None, None], atol=1e-5)
    assert torch.allclose(down, (height / size)[:, None, None], atol=1e-5)
    assert torch.allclose(found[:, 2], torch.ones(()))
    whole = (width < 0.999) & (height < 0.999)  # sides that were not cut to the image's
    area, ratio = (width * height)[whole], (width / height)[whole]
    assert 0.2 <= area.min() < 0.22
    assert area.max() < 1
    assert 3 / 4 - 1e-3 <= ratio.min() < 0.77
    assert 1.3 < ratio.max() <= 4 / 3 + 1e-3
    left = inner[:, 0].mean((1, 2)) - width / 2  # the middle is read at left + width / 2
    assert left.min() > -1e-3
    assert (left + width).max() < 1 + 1e-3


def test_targets_on_the_pixels_go_with_them_and_classes_stay() -> None:
    """Pictures of two halves: bilinear values pass 1/2 just where the nearest pixel becomes one of the other half."""
    half = (torch.arange(24) >= 12).long()
    parts = torch.stack([half.expand(24, 24), half[:, None].expand(24, 24)]).repeat(32, 1, 1)
    depth = (parts[:, None] + 1.0).masked_fill(parts[:, None] == 0, torch.nan)
    labels = torch.arange(64) % 4
    images = parts[:, None].float().expand(-1, 3, -1, -1)
    found, targets = cropped(images, {"class": labels, "depth": depth, "parts": parts})
    assert torch.equal(targets["class"], labels)
    assert targets["parts"].dtype == torch.int64
    assert torch.equal(targets["parts"], (found[:, 0] > 0.5).long())
    assert not torch.equal(targets["parts"], parts)
    assert torch.equal(targets["depth"].nan_to_num(-1.0), torch.where(targets["parts"] == 0, -1.0, 2.0)[:, None])
    defense = CropResize()
    defense.setup({"parts": TASKS["parts"]})  # one task's targets may be a tensor
    _, alone = defense.batch(images, parts, generator=seeded(0))
    assert torch.equal(alone, targets["parts"])  # type: ignore[arg-type]


def test_the_whole_image_is_left_as_it_is() -> None:
    images = torch.rand(5, 3, 12, 20, generator=seeded(1))
    places = [(torch.arange(length) + 0.5).expand(5, -1) for length in (12, 20)]
    assert torch.allclose(read_bilinear(images, places), images, atol=1e-5)
    assert torch.equal(read_nearest(images, places), images)
    assert torch.equal(read_nearest(images[:, 0], places), images[:, 0])


@pytest.mark.parametrize("area", [0, 1.5, "half"])
def test_areas_that_are_no_share_are_refused(area: object) -> None:
    with pytest.raises(ValueError, match=r"`defense.area` must be a share of the image's area"):
        CropResize(area=area)  # type: ignore[arg-type]
