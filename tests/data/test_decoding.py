"""Image files at every bit depth and mode: what an 8-bit picture of them is, and what is none."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data._inputs import encoded, png, write_table
from unlearnable.data.cifar10 import Cifar10
from unlearnable.data.decoding import decode, stored_values
from unlearnable.data.imagenet100 import ImageNet100

LEVELS = np.array([[0, 77, 128], [200, 254, 255]], dtype=np.uint8)
SIXTEEN = LEVELS.astype(np.uint16) * 257  # 255 becomes 65535
RGB = np.stack([LEVELS, 255 - LEVELS, LEVELS // 2], axis=-1)


def pixels(data: bytes) -> np.ndarray:
    return decode(data, "x.png").permute(1, 2, 0).numpy()


def grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    "data",
    [encoded(LEVELS), encoded(SIXTEEN), png(SIXTEEN, 16, 0), encoded(SIXTEEN, "tiff"), encoded(LEVELS, "bmp")],
    ids=["8 bits", "16 bits", "16 bits by hand", "16-bit TIFF", "BMP"],
)
def test_grey_of_any_depth_keeps_its_brightness(data: bytes) -> None:
    assert np.array_equal(pixels(data), grey(LEVELS))


def test_sixteen_bits_are_rounded_to_the_nearest_level() -> None:
    values = np.array([[0, 128, 129, 32767, 32768, 65535]], dtype=np.uint16)
    assert pixels(encoded(values))[0, :, 0].tolist() == [
        0,
        0,
        1,
        127,
        128,
        255,
    ]  # v / 257: 0.498, 0.502, 127.498, 127.502


def test_few_bits_are_spread_over_all_levels() -> None:
    assert pixels(png(np.array([[0, 1, 1, 0]]), 1, 0))[0, :, 0].tolist() == [0, 255, 255, 0]
    assert pixels(png(np.array([[0, 1, 2, 3]]), 2, 0))[0, :, 0].tolist() == [0, 85, 170, 255]
    assert pixels(png(np.array([[0, 1, 8, 15]]), 4, 0))[0, :, 0].tolist() == [0, 17, 136, 255]


def test_sixteen_bit_colour_keeps_its_upper_eight() -> None:
    assert np.array_equal(pixels(png(RGB.astype(np.uint16) * 257, 16, 2)), RGB)


def test_palettes_are_colours() -> None:
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    buffer = io.BytesIO()
    image.save(buffer, "png")
    assert pixels(buffer.getvalue()).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_cmyk_photographs_are_rgb() -> None:
    colour = np.full((16, 16, 3), (200, 40, 90), dtype=np.uint8)
    found = pixels(encoded(colour, "jpeg", mode="CMYK")).astype(int)
    assert abs(found - colour).max() <= 12  # JPEG's own error


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_alpha_is_left_out(mode: str) -> None:
    image = Image.fromarray(grey(LEVELS)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "png")
    assert np.array_equal(pixels(buffer.getvalue()), grey(LEVELS))


def transparent(mode: str) -> bytes:
    buffer = io.BytesIO()
    if mode == "tRNS":
        Image.fromarray(LEVELS).save(buffer, "png", transparency=77)
    elif mode == "16-bit tRNS":
        Image.fromarray(SIXTEEN).save(buffer, "png", transparency=77 * 257)
    else:
        image = Image.fromarray(grey(LEVELS)).convert(mode)
        image.putalpha(Image.fromarray(LEVELS))
        image.save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "tRNS"])
def test_transparent_pixels_are_refused(mode: str) -> None:
    with pytest.raises(ValueError, match=r"x\.png: .*transparent pixels, which have no colour of their own"):
        pixels(transparent(mode))


@pytest.mark.parametrize(
    ("values", "mode"), [(LEVELS.astype(np.float32) / 255, "'F'"), (LEVELS.astype(np.int32) << 20, "'I'")]
)
def test_numbers_without_a_known_white_are_refused(values: np.ndarray, mode: str) -> None:
    with pytest.raises(ValueError, match=rf"x\.png: .*Pillow's mode {mode}, which has no defined white"):
        pixels(encoded(values, "tiff"))


@pytest.mark.parametrize("data", [b"", b"no image", encoded(RGB)[:60], encoded(RGB)[:30] + b"\0" * 40])
def test_what_is_no_image_is_named(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"x\.png: not a readable image"):
        pixels(data)


def test_sixteen_bit_grey_is_read_by_every_source(tmp_path: Path) -> None:
    values = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 64
    expected = np.rint(values / 257).astype(np.uint8)
    for split in ("train", "test"):
        write_table(tmp_path / "hub" / f"{split}.parquet", [{"bytes": encoded(values), "path": None}] * 2, [0, 1])
        for name in ("n01", "n02"):
            (tmp_path / "folders" / split / name).mkdir(parents=True)
            (tmp_path / "folders" / split / name / "0.png").write_bytes(encoded(np.full((40, 40), 77 * 257, np.uint16)))
    assert np.array_equal(Cifar10(tmp_path / "hub").train.inputs[0, 1].numpy(), expected)
    folders = ImageNet100(tmp_path / "folders", store_dir=tmp_path / "store", image_size=16)
    assert set(folders.train.inputs.unique().tolist()) == {77}


def test_stored_values_are_those_of_the_file() -> None:
    assert np.array_equal(stored_values(encoded(SIXTEEN), "x"), SIXTEEN)
    assert stored_values(encoded(SIXTEEN), "x").dtype == np.uint16
    assert np.array_equal(stored_values(encoded(RGB), "x"), RGB)
    codes = np.array([[0, 1, 2, 15]])
    assert stored_values(png(codes, 4, 0), "x", codes=True).tolist() == codes.tolist()
    assert stored_values(png(codes, 4, 0), "x").tolist() == [[0, 17, 34, 255]]
    assert stored_values(png(np.array([[0, 1]]), 1, 0), "x", codes=True).tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="16 bits in several channels"):
        stored_values(png(RGB.astype(np.uint16) * 257, 16, 2), "x")


def test_a_palettes_indices_are_codes_or_colours() -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    buffer = io.BytesIO()
    image.save(buffer, "png")
    assert stored_values(buffer.getvalue(), "x", codes=True).tolist() == [[0, 1, 2]]
    assert stored_values(buffer.getvalue(), "x").tolist() == [[[0, 0, 0], [255, 0, 0], [0, 255, 0]]]
