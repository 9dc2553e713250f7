"""Taskonomy's layout: units, masks, resizing, tiles, splits, and what happens with views that are not whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests._inputs import shared_data
from tests.data._taskonomy import SIZE, make_tree, open_tree, put
from unlearnable.data.taskonomy import Taskonomy
from unlearnable.data.taskonomy_arrays import read_array, tiles
from unlearnable.data.taskonomy_domains import DOMAINS
from unlearnable.data.taskonomy_files import View, by_view


def test_units_and_masks_of_the_real_sample() -> None:
    root = shared_data("taskonomy_sample")
    data = Taskonomy(root, tasks=["depth_zbuffer", "normal", "reshading", "edge_texture"], split="views")
    data.setup()
    view = next(iter((root / "rgb" / "taskonomy").iterdir())).name.split("_domain")[0]
    raw = np.asarray(Image.open(root / "depth_zbuffer" / "taskonomy" / f"{view}_domain_depth_zbuffer.png"))
    rgb = np.array(Image.open(root / "rgb" / "taskonomy" / f"{view}_domain_rgb.png"))
    pixels = torch.cat([data.train.inputs, data.test.inputs])
    row = int((pixels == torch.from_numpy(rgb).movedim(-1, 0)).flatten(1).all(1).nonzero())
    target = {name: torch.cat([data.train.targets[name], data.test.targets[name]])[row] for name in data.tasks}

    hole = torch.from_numpy(raw == 65535)
    assert hole.sum() == 20294
    assert torch.equal(target["depth_zbuffer"][0].isnan(), hole)
    # 3.07 m is the median of the room: 1573 steps of 1/512 m.
    assert target["depth_zbuffer"][0][~hole].median() == pytest.approx(
        float(np.median(raw[raw < 65535])) / 512, abs=2e-3
    )
    assert torch.equal(target["normal"].isnan().all(0), hole)
    torch.testing.assert_close(target["normal"].norm(dim=0)[~hole], torch.ones(int((~hole).sum())))
    assert torch.equal(target["reshading"][0].isnan(), hole)  # its own file has values there, of no surface
    assert not target["edge_texture"].isnan().any()  # comes from the picture, which has no holes
    assert 0 <= target["edge_texture"].min() <= target["edge_texture"].max() <= 1


def test_the_sample_makes_448_tiles_and_none_of_a_test_view_is_trained_on() -> None:
    data = Taskonomy(shared_data("taskonomy_sample"), tasks=["depth_zbuffer"], split="views", tiles=64)
    data.setup()
    assert len(data.train) + len(data.test) == 7 * 64
    assert len(data.train) % 64 == len(data.test) % 64 == 0
    whole = Taskonomy(shared_data("taskonomy_sample"), tasks=["depth_zbuffer"], split="views")
    whole.setup()
    # Any tile put back in its place is a part of the one view that it was cut from.
    for tiled, views in ((data.train, whole.train), (data.test, whole.test)):
        again = torch.cat([tiles(view, 64) for view in views.inputs])
        assert torch.equal(tiled.inputs, again)


def test_tiles_stay_on_their_views_side_of_the_split(tmp_path: Path) -> None:
    data = open_tree(make_tree(tmp_path), tiles=8)
    red = {
        part: set(images[:, 0, 0, 0].tolist())
        for part, images in (("train", data.train.inputs), ("test", data.test.inputs))
    }
    assert red["train"].isdisjoint(red["test"])
    assert red["train"] | red["test"] == set(range(8))
    assert (len(data.train), len(data.test)) == (24, 8)


def test_tiles_are_cut_row_by_row_and_remainders_left_out() -> None:
    cut = tiles(torch.arange(5 * 7).view(5, 7), 2)
    assert cut.shape == (6, 2, 2)
    assert cut[0].tolist() == [[0, 1], [7, 8]]
    assert cut[3].tolist() == [[14, 15], [21, 22]]


def test_depth_is_in_metres_with_its_unit(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    depth = open_tree(root).train.targets["depth_euclidean"][0, 0]
    assert depth[0, 0].isnan()
    assert (float(depth[1, 0]), float(depth[1, -1])) == (1.0, 2.0)
    other = open_tree(root, depth_unit={"house": 1 / 1024}).train.targets["depth_euclidean"][0, 0]
    assert float(other[1, 0]) == 0.5


def test_a_unit_is_a_buildings_in_both_layouts_by_its_name_or_its_path(tmp_path: Path) -> None:
    make_tree(tmp_path, 2, "hanson")
    make_tree(tmp_path, 2, "hm3d/00006-HkseAnWCgqk")
    for name in ("00006-HkseAnWCgqk", "hm3d/00006-hkseanwcgqk"):
        data = open_tree(tmp_path, depth_unit={name: 1 / 1024, "hanson": 1 / 256})
        depth = torch.cat([data.train.targets["depth_euclidean"], data.test.targets["depth_euclidean"]])
        assert depth[:, 0, 1, 0].unique().tolist() == [0.5, 2.0]


def test_labels_in_three_equal_channels_are_read_and_in_colours_refused() -> None:
    labels = np.array([[0, 1], [17, 3]], dtype=np.uint8)
    opaque = np.full((2, 2, 1), 255, dtype=np.uint8)
    for stored in (
        labels,
        labels[..., None].repeat(3, -1),
        np.concatenate([labels[..., None].repeat(3, -1), opaque], -1),
    ):
        assert DOMAINS["segment_unsup2d"].decode(stored).tolist() == labels.tolist()
    assert DOMAINS["segment_unsup2d"].decode(np.stack([labels, opaque[..., 0]], -1)).tolist() == labels.tolist()
    with pytest.raises(ValueError, match="this file has colours"):
        DOMAINS["segment_unsup2d"].decode(np.stack([labels, labels, labels + 1], -1))


def test_labels_and_depth_take_the_nearest_pixel() -> None:
    labels = torch.tensor([[1, 1, 5, 5], [1, 1, 5, 5], [2, 2, 7, 7], [2, 2, 7, 7]])
    assert DOMAINS["segment_semantic"].resize(labels, 2).tolist() == [[1, 5], [2, 7]]
    depth = torch.tensor([[[1.0, 1.0, 3.0, 3.0, 3.0, 3.0]] * 6])
    assert set(DOMAINS["depth_zbuffer"].resize(depth, 3).unique().tolist()) <= {1.0, 3.0}  # never the 2 between them


def test_other_maps_are_means_over_what_has_a_value() -> None:
    nan = float("nan")
    values = torch.tensor([[[1.0, 3.0, 5.0, nan], [nan, 3.0, nan, nan]]]).repeat(1, 2, 1)
    # First area: 1, 3, 3 (and their copies) → 7/3; second: one in four has a value: too few.
    small = DOMAINS["principal_curvature"].resize(values, 2)
    assert small[0, 0].tolist()[0] == pytest.approx(7 / 3)
    assert small[0, 0, 1].isnan()


def test_normals_are_unit_vectors_after_resizing() -> None:
    normals = torch.zeros(3, 2, 2)
    normals[0, :, 0], normals[2, :, 1] = 1.0, 1.0
    torch.testing.assert_close(DOMAINS["normal"].resize(normals, 1)[:, 0, 0], torch.tensor([0.5**0.5, 0.0, 0.5**0.5]))


def test_grey_is_no_normal_and_semantic_zero_no_class() -> None:
    grey = np.full((2, 2, 3), 128, dtype=np.uint8)
    assert np.isnan(DOMAINS["normal"].decode(grey)).all()
    assert DOMAINS["segment_semantic"].decode(np.array([[0, 1], [17, 3]], dtype=np.uint8)).tolist() == [
        [-1, 0],
        [16, 2],
    ]
    with pytest.raises(ValueError, match="semantic codes go from 0 to 17"):
        DOMAINS["segment_semantic"].decode(np.array([[18]], dtype=np.uint8))


def test_the_official_tiny_split_goes_by_building_in_both_layouts(tmp_path: Path) -> None:
    make_tree(tmp_path, 3, "hanson")
    make_tree(tmp_path, 3, "taskonomy/McDade")  # as the starter set has it; capitals do not count
    make_tree(tmp_path, 3, "elsewhere")
    data = open_tree(tmp_path, split="tiny")
    assert (len(data.train), len(data.test)) == (3, 3)
    assert "woodbine" in data.report.missing_buildings
    assert any("buildings without views" in line for line in data.report.lines())


def test_a_split_file_decides(tmp_path: Path) -> None:
    make_tree(tmp_path, 2, "a"), make_tree(tmp_path, 4, "b")
    (tmp_path / "train_val_test_medium.csv").write_text("id,train,val,test\na,0,0,1\nb,1,0,0\n")
    data = open_tree(tmp_path, split="medium")
    assert (len(data.train), len(data.test)) == (4, 2)


def test_incomplete_views_are_skipped_masked_or_refused_and_named(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    (root / "depth_euclidean/house/point_0_view_3_domain_depth_euclidean.png").unlink()
    (root / "depth_euclidean/house/point_0_view_4_domain_depth_euclidean.png").write_bytes(b"\x89PNG broken")

    skipped = open_tree(root)
    assert len(skipped.train) + len(skipped.test) == 6
    assert list(skipped.report.missing) == [View("house", 0, 3)]
    assert [path.name for path in skipped.report.corrupt] == ["point_0_view_4_domain_depth_euclidean.png"]
    assert "point_0_view_3 (depth_euclidean)" in skipped.report.lines()[0]

    masked = open_tree(root, incomplete="mask")
    assert len(masked.train) + len(masked.test) == 8
    empty = torch.cat([masked.train.targets["depth_euclidean"], masked.test.targets["depth_euclidean"]])
    assert empty.isnan().flatten(1).all(1).sum() == 2

    with pytest.raises(FileNotFoundError, match=r"point_0_view_3 \(depth_euclidean\).*incomplete=skip"):
        open_tree(root, incomplete="fail").setup()
    put(root, "depth_euclidean", "house", 3, np.full((SIZE, SIZE), 512, dtype=np.uint16))
    with pytest.raises(ValueError, match=r"point_0_view_4_domain_depth_euclidean\.png cannot be read"):
        open_tree(root, incomplete="fail").setup()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ["depth"]}, "names depth; known domains are class_scene"),
        ({"tasks": []}, "at least one domain"),
        ({"incomplete": "ignore"}, "one of skip, mask, fail"),
        ({"tiles": 4}, "at least 8"),
        ({"test_share": 1.0}, "a share, above 0 and below 1"),
        ({"crop": 4}, "would move images but not their targets"),
    ],
)
def test_bad_options_are_refused_at_once(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_tree(tmp_path, **options)


def test_a_folder_without_the_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must hold a folder `rgb`"):
        open_tree(tmp_path).setup()


def test_a_task_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has 'normal', but there are no files of it"):
        open_tree(make_tree(tmp_path), tasks=["normal"]).setup()


def test_one_class_only_is_refused(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    for view in range(8):
        put(root, "class_scene", "house", view, np.eye(3, dtype=np.float32)[1])
    with pytest.raises(ValueError, match="'class_scene' has one class only"):
        open_tree(root).setup()


def test_all_pixels_masked_is_refused(tmp_path: Path) -> None:
    root = make_tree(tmp_path)
    for view in range(8):
        put(root, "depth_euclidean", "house", view, np.full((SIZE, SIZE), 65535, dtype=np.uint16))
    with pytest.raises(ValueError, match="'depth_euclidean' has no value in the training set"):
        open_tree(root).setup()


def test_views_are_split_at_even_distances() -> None:
    views = [View("b", 0, number) for number in range(8)]
    train, test = by_view(views, 0.25)
    assert [view.view for view in test] == [2, 6]
    assert len(train) == 6
    with pytest.raises(ValueError, match="at least two whole views"):
        by_view(views[:1], 0.25)


def test_pickled_class_files_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "point_0_view_0_domain_class_scene.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="cannot be read"):
        read_array(path)
