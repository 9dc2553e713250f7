"""The reader on the layout of the full data: all domains and their official file names, buildings, lists of splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from unlearnable.data.samples import Samples
from unlearnable.data.taskonomy import PAPER_TASKS, Taskonomy
from unlearnable.data.taskonomy_domains import DOMAINS

SIDE = 16
#: Building → its part of the official full list; the list has one more that is not on disk.
BUILDINGS = {"ackermanville": "train", "adairsville": "train", "airport": "val", "wiconisco": "test", "unlisted": ""}
#: Points and views of each building: as text `point_10` comes before `point_2`.
VIEWS = ((2, 0), (2, 1), (10, 0), (1003, 12))
#: Folder → the domain in the names of its files, where they differ.
NAMED = {"segment_semantic": "segmentsemantic", "class_scene": "class_places", "point_info": "fixatedpose"}


def flat(level: float, kind: type = np.uint8, channels: int = 0) -> np.ndarray:
    return np.full((SIDE, SIDE, channels) if channels else (SIDE, SIDE), level, dtype=kind)


def stored(code: int) -> dict[str, np.ndarray]:
    """What the files of a view hold, in the official types: all of them tell the view's number."""
    picture, normal, curvature = flat(0, channels=3), flat(128, channels=3), flat(127, channels=3)
    picture[..., 0], normal[..., 2], curvature[..., 0] = code, 0, 127 + code
    return {
        "rgb": picture,
        "depth_zbuffer": flat(512 * code, np.uint16),
        "depth_euclidean": flat(512 * code + 256, np.uint16),
        "normal": normal,
        "reshading": flat(code, channels=3),
        "principal_curvature": curvature,
        "keypoints2d": flat(20 * code, np.uint16),
        "keypoints3d": flat(20 * code, np.uint16),
        "edge_texture": flat(20 * code, np.uint16),
        "edge_occlusion": flat(20 * code, np.uint16),
        "segment_unsup2d": flat(code),
        "segment_unsup25d": flat(code),
        "segment_semantic": flat(1 + code % 17),
        "class_scene": np.eye(365, dtype=np.float32)[code],
        "class_object": np.eye(1000, dtype=np.float32)[2 * code],
        "fragments": flat(code),  # not read
        "mask_valid": flat(255),
    }


def expected(code: int) -> dict[str, float]:
    """The value of every pixel (first channel), or the class, by the data set's description."""
    return {
        "depth_zbuffer": code,  # 1/512 m a step
        "depth_euclidean": code + 0.5,
        "normal": 0.5 / 127.5 / np.sqrt(1 + 2 * (0.5 / 127.5) ** 2),  # 128 is half a step off the middle
        "reshading": code / 255,
        "principal_curvature": code / 127,
        "keypoints2d": 20 * code / 65535 / 0.025,
        "keypoints3d": 20 * code / 65535,
        "edge_texture": 20 * code / 65535 / 0.25,
        "edge_occlusion": 20 * code / 65535 / 0.04,
        "segment_unsup2d": code,
        "segment_unsup25d": code,
        "segment_semantic": code % 17,
        "class_scene": code,
        "class_object": 2 * code,
    }


@pytest.fixture(scope="module", params=["", "taskonomy/"], ids=["original", "starter set"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All buildings and views with every domain; views are numbered building by building."""
    folder = tmp_path_factory.mktemp("full")
    code = 0
    for building in BUILDINGS:
        for point, view in VIEWS:
            code += 1
            for domain, values in stored(code).items():
                place = folder / domain / f"{request.param}{building}"
                place.mkdir(parents=True, exist_ok=True)
                path = place / f"point_{point}_view_{view}_domain_{NAMED.get(domain, domain)}"
                if values.ndim == 1:
                    np.save(path.with_suffix(".npy"), values)
                else:
                    Image.fromarray(values).save(path.with_suffix(".png"), compress_level=1)
            pose = folder / "point_info" / f"{request.param}{building}"
            pose.mkdir(parents=True, exist_ok=True)
            (pose / f"point_{point}_view_{view}_domain_fixatedpose.json").write_text("{}")
    (folder / "splits_taskonomy").mkdir()
    parts = ("train", "val", "test")
    lines = [f"{name},{','.join(str(int(part == own)) for part in parts)}" for name, own in BUILDINGS.items() if own]
    text = "\n".join(["id,train,val,test", *lines, "yscloskey,1,0,0"]) + "\n"
    (folder / "splits_taskonomy" / "train_val_test_full.csv").write_text(text)
    return folder


def codes(samples: Samples) -> list[int]:
    assert isinstance(samples.inputs, torch.Tensor)
    return samples.inputs[:, 0, 0, 0].tolist()


def test_every_domain_of_a_view_is_that_views_own_in_its_unit(root: Path) -> None:
    data = Taskonomy(root, split="full", tasks=list(DOMAINS))
    assert list(data.tasks) == list(DOMAINS)
    for samples in (data.train, data.test):
        for row, code in enumerate(codes(samples)):
            for domain, value in expected(code).items():
                target = samples.targets[domain][row]
                if target.ndim == 3:
                    assert target.shape == (DOMAINS[domain].channels, SIDE, SIDE)
                    target = target[0]
                assert torch.allclose(target.double(), torch.tensor(value, dtype=torch.float64), rtol=1e-5), domain
    assert (data.tasks["class_scene"].channels, data.tasks["class_object"].channels) == (365, 1000)


@pytest.mark.parametrize(("part", "building"), [("test", 3), ("val", 2)])
def test_the_official_list_parts_the_buildings(root: Path, part: str, building: int) -> None:
    data = Taskonomy(root, split="full", test_part=part, tasks=["class_scene"])
    assert sorted(codes(data.train)) == list(range(1, 9))  # two buildings of four views; the unlisted one is in neither
    assert sorted(codes(data.test)) == list(range(4 * building + 1, 4 * building + 5))
    assert data.report.missing_buildings == ["yscloskey"]
    assert not data.report.missing
    assert not data.report.corrupt


def test_views_are_in_the_order_of_their_numbers(root: Path) -> None:
    data = Taskonomy(root, split="full", tasks=["class_scene"])
    assert codes(data.train) == list(range(1, 9))


def test_the_papers_four_tasks_are_the_default(root: Path) -> None:
    data = Taskonomy(root, split="full")
    assert tuple(data.tasks) == PAPER_TASKS


def test_the_tiny_list_is_known_without_a_file_and_medium_is_asked_for(root: Path) -> None:
    with pytest.raises(ValueError, match="no whole view is of a train building; the data have"):
        Taskonomy(root, split="tiny", tasks=["class_scene"]).setup()  # of these only wiconisco, for validation
    with pytest.raises(FileNotFoundError, match=r"train_val_test_medium\.csv in .* or its splits_taskonomy"):
        Taskonomy(root, split="medium", tasks=["class_scene"]).setup()
