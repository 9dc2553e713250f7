from __future__ import annotations

import pytest
import torch

from tests._inputs import seeded
from unlearnable.defenses.cutout import Cutout


def test_a_square_of_half_the_side_is_blank_and_the_rest_as_it_was() -> None:
    images = torch.ones(500, 3, 32, 32)
    found, _ = Cutout(side=0.5).batch(images, torch.zeros(500), generator=seeded(0))
    assert set(found.unique().tolist()) == {0.0, 1.0}
    blank = found[:, 0] == 0
    assert torch.equal(found[:, 0], found[:, 1])
    rows, columns = blank.any(2), blank.any(1)
    assert torch.equal(blank, rows[:, :, None] & columns[:, None, :])  # a rectangle
    assert rows.sum(1).max() == columns.sum(1).max() == 16  # 16 pixels where the border cuts nothing off
    assert rows.sum(1).min() == columns.sum(1).min() == 8  # half of it where the centre is in a corner
    # The expected side: centres y = 0 … 31 leave 16 − (8 − y)₊ − (y − 24)₊ pixels, (32·16 − 36 − 28) / 32 on average.
    assert blank.float().sum((1, 2)).mean().item() == pytest.approx(14.0**2, rel=0.05)


def test_places_differ_from_image_to_image() -> None:
    found, _ = Cutout().batch(torch.ones(50, 3, 32, 32), torch.zeros(50), generator=seeded(0))
    assert len({image.numpy().tobytes() for image in found}) > 40


@pytest.mark.parametrize("side", [0, 1.5, "half"])
def test_sides_that_are_no_share_are_refused(side: object) -> None:
    with pytest.raises(ValueError, match=r"`defense.side` must be a share of the image's height"):
        Cutout(side=side)  # type: ignore[arg-type]
