"""Files in Taskonomy's layout: bit depths and units, formats, paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data._taskonomy import SIZE, make_tree, open_tree, put
from unlearnable.data.taskonomy import Taskonomy
from unlearnable.data.taskonomy_domains import DOMAINS


def test_depth_of_another_bit_depth_is_refused_unless_its_unit_is_given(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    for view in range(8):
        depth = np.full((SIZE, SIZE), 100, dtype=np.uint8)
        depth[0, :2] = 0, 255
        put(root, "depth_euclidean", "house", view, depth)
    for rule in ("skip", "mask", "fail"):
        with pytest.raises(ValueError, match=r"view_\d_.*numbers of type uint8.*have 16 bits.*dataset\.depth_unit"):
            open_tree(root, incomplete=rule).setup()
    with pytest.raises(
        ValueError, match=r"`dataset.depth_unit` names another house, of which there are no views; .* house"
    ):
        open_tree(root, depth_unit={"another house": 0.1}).setup()
    given = open_tree(root, depth_unit="2/100").train.targets["depth_euclidean"][0, 0]
    assert given[0, :2].isnan().all()  # 0, and the largest number of 8 bits
    assert float(given[1, 0]) == pytest.approx(2.0)


def test_depth_in_metres_needs_its_unit_too(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    for view in range(8):
        name = f"point_0_view_{view}_domain_depth_euclidean"
        (root / "depth_euclidean/house" / f"{name}.png").unlink()
        np.save(root / "depth_euclidean/house" / f"{name}.npy", np.full((SIZE, SIZE), 2.5, dtype=np.float32))
    with pytest.raises(ValueError, match="numbers of type float32"):
        open_tree(root).setup()
    assert float(open_tree(root, depth_unit=1).train.targets["depth_euclidean"][0, 0, 1, 1]) == 2.5


@pytest.mark.parametrize(
    ("domain", "values"),
    [
        ("keypoints2d", np.full((SIZE, SIZE), 100, dtype=np.uint8)),
        ("reshading", np.full((SIZE, SIZE), 100, dtype=np.uint16)),
        ("normal", np.full((SIZE, SIZE), 100, dtype=np.uint16)),
    ],
)
def test_other_domains_have_one_bit_depth(tmp_path: Path, domain: str, values: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"numbers of type {values.dtype}; this domain's have"):
        DOMAINS[domain].read(put(tmp_path, domain, "house", 0, values))


def test_labels_are_whole_numbers_of_any_bit_depth(tmp_path: Path) -> None:
    codes = np.full((SIZE, SIZE), 3, dtype=np.uint16)
    assert set(
        DOMAINS["segment_semantic"].read(put(tmp_path, "segment_semantic", "a", 0, codes)).unique().tolist()
    ) == {2}
    path = tmp_path / "codes.npy"
    np.save(path, codes.astype(np.float32))
    with pytest.raises(ValueError, match="labels are whole numbers"):
        DOMAINS["segment_semantic"].read(path)


def as_jpeg(root: Path, domain: str, suffix: str) -> None:
    for path in sorted((root / domain).rglob("*.png")):
        with Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(suffix), "jpeg", quality=95)
        path.unlink()


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_pictures_may_be_jpeg(tmp_path: Path, suffix: str) -> None:
    root = make_tree(tmp_path)
    png = open_tree(root).train
    as_jpeg(root, "rgb", suffix)
    jpeg = open_tree(root).train
    assert (jpeg.inputs.int() - png.inputs.int()).abs().max() <= 3
    assert torch.equal(jpeg.targets["class_scene"], png.targets["class_scene"])


def test_targets_may_not_be_jpeg(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    as_jpeg(root, "depth_euclidean", ".jpg")
    with pytest.raises(FileNotFoundError, match=r"'depth_euclidean', but there are no files.*JPEG only for rgb"):
        open_tree(root).setup()


def test_two_files_of_one_view_are_refused(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    first = sorted((root / "rgb/house").iterdir())[0]
    with Image.open(first) as image:
        image.save(first.with_suffix(".jpg"))
    with pytest.raises(ValueError, match=r"house/point_0_view_0 has two files of rgb, .*\.jpg and .*\.png"):
        open_tree(root).setup()


def test_pictures_of_a_palette_and_of_sixteen_bits_are_pictures(tmp_path: Path) -> None:
    root = make_tree(tmp_path, 4)
    palette = Image.new("P", (SIZE, SIZE), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(root / "rgb/house/point_0_view_0_domain_rgb.png")
    put(root, "rgb", "house", 1, np.full((SIZE, SIZE), 77 * 257, dtype=np.uint16))
    data = open_tree(root)
    colours = torch.cat([data.train.inputs, data.test.inputs])[:, :, 0, 0].tolist()
    assert [10, 20, 30] in colours
    assert [77, 77, 77] in colours


def test_paths_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path / "data", 2, "a"), make_tree(tmp_path / "data", 4, "b")
    (tmp_path / "my_split.csv").write_text("id,train,val,test\na,0,0,1\nb,1,0,0\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    data = Taskonomy("~/data", split="~/my_split.csv", tasks=["class_scene"])
    assert (len(data.train), len(data.test)) == (4, 2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("size", 16.5),
        ("tiles", "8"),
        ("test_share", "half"),
        ("depth_unit", "fine"),
        ("depth_unit", 0),
        ("subset", 0.5),
    ],
)
def test_numbers_are_checked_for_their_type(tmp_path: Path, option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"`dataset\.{option}` must be .*; got {value!r}"):
        open_tree(tmp_path, **{option: value})
