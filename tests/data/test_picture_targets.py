"""Targets that are computed from the picture, against their definitions on pictures whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unlearnable.data import picture_targets
from unlearnable.data.picture_targets import TARGETS, edge_texture, keypoints2d, read_targets, write_targets
from unlearnable.data.taskonomy_domains import DOMAINS

SIDE = 32


def grey(values: np.ndarray) -> np.ndarray:
    """One picture of these levels in all three channels, `[1, 3, h, w]`."""
    return np.repeat(values.astype(np.uint8)[None, None], 3, axis=1)


def halves(low: int, high: int) -> np.ndarray:
    """Dark on the left, light on the right from column 16 on."""
    return grey(np.where(np.arange(SIDE) < SIDE // 2, low, high)[None].repeat(SIDE, 0))


def photographs(count: int) -> np.ndarray:
    """Random blots of many sizes: no two pixels alike, as in photographs."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 200, (count, 3, 8, 8)))
    smooth = torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear").numpy()
    return (smooth + rng.uniform(0, 55, smooth.shape)).astype(np.uint8)


def test_the_edge_is_where_light_meets_dark_and_as_strong_as_their_difference() -> None:
    response = edge_texture(halves(50, 101))[0] / 65535
    # A step of 51/255 = 0.2 between columns 15 and 16 meets half of the sampled derivative of the normal density:
    # 0.2·Σ k·φ(k) = 0.2·(0.2420 + 2·0.0540 + 3·0.0044 + 4·0.0001).
    np.testing.assert_allclose(response[:, 15:17], 0.2 * 0.3638, rtol=1e-3)
    assert set(response.argmax(1)) <= {15, 16}
    assert response[:, :11].max() == response[:, 21:].max() == 0


def test_an_edge_lies_along_either_axis_alike() -> None:
    picture = halves(20, 90)
    assert np.array_equal(edge_texture(picture.transpose(0, 1, 3, 2))[0], edge_texture(picture)[0].T)


def test_colours_count_by_their_luminance() -> None:
    picture = halves(0, 0)
    picture[:, 0, :, SIDE // 2 :] = 100  # red alone: 0.299 of the edge in all three
    ratio = edge_texture(picture)[0, :, 15] / edge_texture(halves(0, 100))[0, :, 15]
    np.testing.assert_allclose(ratio, 0.299, rtol=1e-3)


def test_a_key_point_is_where_a_blot_is_and_not_along_an_edge() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    blot = 255 * np.exp(-((rows - 9) ** 2 + (columns - 20) ** 2) / (2 * 1.5**2))
    response = keypoints2d(grey(np.round(blot)))[0]
    assert np.unravel_index(response.argmax(), response.shape) == (9, 20)
    # A Gaussian of height h and σ₀ through one of σ: height h·σ₀²/(σ₀² + σ²), each second derivative −height/(σ₀² + σ²).
    height, variance = 1.5**2 / (1.5**2 + 1.2**2), 1.5**2 + 1.2**2
    assert response.max() / 65535 == pytest.approx(20 * (height / variance) ** 2, rel=0.02)
    assert keypoints2d(halves(0, 255)).max() < 0.001 * response.max()  # curved in one direction only


def test_the_corner_of_a_square_is_a_key_point() -> None:
    picture = np.zeros((SIDE, SIDE))
    picture[8:24, 8:24] = 200
    response = keypoints2d(grey(picture))[0]
    row, column = np.unravel_index(response[:16, :16].argmax(), (16, 16))
    assert abs(row - 8) <= 1
    assert abs(column - 8) <= 1
    assert response[14:18].max() < 0.02 * response.max()  # amid the sides


def test_segments_are_the_areas_of_one_colour() -> None:
    pytest.importorskip("skimage", reason="segments need scikit-image (pip install unlearnable[multitask])")
    areas = np.zeros((SIDE, SIDE), dtype=int)
    areas[:, 16:] = 1
    areas[20:, 16:] = 2
    colours = np.array([[200, 20, 20], [20, 200, 20], [20, 20, 200]], dtype=np.uint8)
    found = TARGETS["segment_unsup2d"](colours[areas].transpose(2, 0, 1)[None])[0]
    # Before, the picture is blurred: the seams may be segments of their own.
    inside = found[5, 5], found[5, 25], found[27, 25]
    assert len(set(inside)) == 3
    for area, number in enumerate(inside):
        assert (found[areas == area] == number).mean() > 0.8
    assert found.min() == 0


def test_no_segment_is_below_its_least_size_and_segments_are_the_same_again() -> None:
    pytest.importorskip("skimage", reason="segments need scikit-image (pip install unlearnable[multitask])")
    pictures = photographs(4)
    first = TARGETS["segment_unsup2d"](pictures)
    assert np.array_equal(first, TARGETS["segment_unsup2d"](pictures.copy()))
    for segments in first:
        assert np.bincount(segments.ravel()).min() >= SIDE * SIDE / 64
        assert segments.max() > 0


@pytest.mark.parametrize("domain", ["keypoints2d", "edge_texture"])
def test_targets_of_the_mirrored_picture_are_the_mirrored_targets(domain: str) -> None:
    pictures = photographs(3)
    mirrored = TARGETS[domain](pictures[..., ::-1])[..., ::-1].astype(int)
    assert np.abs(mirrored - TARGETS[domain](pictures)).max() <= 1  # a step of rounding
    task = DOMAINS[domain].task(domain, 1)
    values = torch.from_numpy(TARGETS[domain](pictures).astype(np.float32))[:, None]
    assert torch.equal(task.mirror(values), values.flip(-1))


def test_each_picture_has_its_targets_whatever_lies_beside_it() -> None:
    pictures = photographs(3)
    for domain in ("keypoints2d", "edge_texture"):
        assert np.array_equal(TARGETS[domain](pictures)[1:2], TARGETS[domain](pictures[1:2]))


def test_what_an_interrupted_call_wrote_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = torch.from_numpy(photographs(5))
    monkeypatch.setattr(picture_targets, "_ROWS", 2)
    calls = []

    def stops(part: np.ndarray) -> np.ndarray:
        calls.append(len(part))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return edge_texture(part)

    monkeypatch.setattr(picture_targets, "TARGETS", {"edge_texture": stops})
    with pytest.raises(KeyboardInterrupt):
        write_targets("edge_texture", pictures, tmp_path)
    write_targets("edge_texture", pictures, tmp_path)
    assert calls == [2, 2, 2, 1]  # the first two pictures once, the next two again
    assert np.array_equal(read_targets(tmp_path), edge_texture(pictures.numpy()))
