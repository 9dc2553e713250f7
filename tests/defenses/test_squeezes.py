"""Grey, JPEG, bit depth reduction, blur: each against its definition."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from unlearnable.defenses.bdr import BitDepthReduction
from unlearnable.defenses.gauss import Gauss
from unlearnable.defenses.gray import Gray
from unlearnable.defenses.image import Squeeze
from unlearnable.defenses.iss import ImageShortcutSqueezing
from unlearnable.defenses.jpeg import Jpeg

from ._inputs import levels, purified, training_set


def by_pillow(image: Tensor, quality: int) -> Tensor:
    """An image through Pillow's encoder, bytes and decoder."""
    stream = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1)


@pytest.mark.parametrize("quality", [10, 75])
def test_jpeg_is_what_pillows_bytes_decode_to(quality: int) -> None:
    images = levels(4, 32)
    expected = torch.stack([by_pillow(image, quality) for image in images])
    assert not torch.equal(expected, images)
    assert torch.equal(Jpeg(quality=quality).squeeze(images), expected)


def test_bit_depth_reduction_is_a_shift_down_and_up() -> None:
    images = levels()
    for bits in (1, 2, 8):
        shift = 8 - bits
        assert torch.equal(BitDepthReduction(bits=bits).squeeze(images), (images >> shift) << shift)


def test_grey_is_the_luma_of_pillow() -> None:
    images = levels()
    grey = Gray().squeeze(images)
    assert torch.equal(grey[:, 0], grey[:, 1])
    assert torch.equal(grey[:, 0], grey[:, 2])
    for image, found in zip(images, grey, strict=True):
        expected = np.array(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert (found[0].int() - torch.from_numpy(expected).int()).abs().max() <= 1


def test_the_blur_spreads_a_point_by_the_gaussian() -> None:
    images = torch.zeros(1, 3, 5, 5, dtype=torch.uint8)
    images[..., 2, 2] = 255
    weights = torch.tensor([-1.0, 0, 1]).square().mul(-0.5).exp()  # σ = 1
    kernel = torch.outer(weights, weights) / weights.sum() ** 2
    found = Gauss(kernel_size=3, sigma=1.0).squeeze(images)[0, 0, 1:4, 1:4]
    assert (found.float() - 255 * kernel).abs().max() <= 0.5 + 1e-3
    assert found[1, 1] < 60  # of 255: it is not the identity, as with σ = 0.1


def test_iss_is_grey_then_jpeg() -> None:
    images = levels(4, 32)
    assert torch.equal(ImageShortcutSqueezing().squeeze(images), Jpeg().squeeze(Gray().squeeze(images)))


@pytest.mark.parametrize("defense", [Gray(), Jpeg(), BitDepthReduction(), Gauss()])
def test_training_images_are_squeezed_and_test_images_only_if_asked_to(defense: Squeeze, tmp_path: Path) -> None:
    train = training_set()
    assert torch.equal(purified(defense, train, tmp_path).inputs, defense.squeeze(train.inputs))
    inputs = train.inputs.float() / 255
    assert defense.at_test(inputs) is inputs
    defense.test = True
    assert torch.equal(defense.at_test(inputs) * 255, defense.squeeze(train.inputs).float())


def test_iss_squeezes_test_images() -> None:
    defense = ImageShortcutSqueezing()
    assert torch.equal((defense.at_test(levels().float() / 255) * 255).round().byte(), defense.squeeze(levels()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jpeg(quality=0), "`defense.quality` must be a JPEG quality"),
        (lambda: Jpeg(quality=101), "`defense.quality` must be a JPEG quality"),
        (lambda: BitDepthReduction(bits=9), "`defense.bits` must be a number of bits from 1 to 8; got 9"),
        (lambda: Gauss(kernel_size=4), "`defense.kernel_size` must be an odd width"),
        (lambda: Gauss(sigma=0.1), "`defense.sigma` must be a standard deviation in pixels, at least 0.25"),
    ],
)
def test_bad_options_are_refused(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
