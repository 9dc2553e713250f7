from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unlearnable.data.modality.noise import describe
from unlearnable.data.modality.picture import preview


def test_norms_and_share_are_those_worked_by_hand() -> None:
    clean = torch.full((4, 3, 2, 2), 100, dtype=torch.uint8)
    poisoned = clean.clone()
    poisoned[1, :, 0, 0] = torch.tensor([103, 96, 100], dtype=torch.uint8)  # 3, −4, 0: length 5, one pixel
    poisoned[2, 0] = 112  # four pixels by 12: length 24
    found = describe(clean, poisoned, batch_size=3)
    assert (found.images, found.changed) == (4, 0.5)
    assert (round(found.linf_max * 255), found.linf_mean * 255) == (12, pytest.approx(8))
    assert (found.l2_max * 255, found.l2_mean * 255) == (pytest.approx(24), pytest.approx(14.5))
    assert (found.l0_max, found.l0_mean) == (4, 2.5)
    assert "50.0% of 4 images changed" in str(found)


def test_no_change_is_zero() -> None:
    clean = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    assert set(describe(clean, clean).as_dict().values()) == {2, 0.0}


def test_a_preview_shows_clean_noise_and_poisoned_images_of_each_class(tmp_path: Path) -> None:
    clean = torch.full((4, 3, 8, 8), 100, dtype=torch.uint8)
    poisoned, labels = clean.clone(), torch.tensor([0, 0, 2, 2])
    poisoned[1, :, 0, 0] = 110
    picture = preview(clean, poisoned, labels, path=tmp_path / "preview.png", tile=16)
    # Three rows and two classes of 8 pixels doubled, with 2 pixels of margin on each side.
    assert picture.shape == (3, 3 * 20, 2 * 20)
    noise = picture[0, 20:40, :20]
    assert noise[2, 2] == 255  # row 1 is shown, since row 0 is unchanged; its largest change is white
    assert noise[10, 10] == 128  # no change is grey
    assert picture[0, 42, 2] == 110
    stored = torch.from_numpy(np.array(Image.open(tmp_path / "preview.png"))).movedim(-1, 0)
    assert torch.equal(stored, picture)
