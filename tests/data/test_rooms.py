"""The ray-cast rooms: geometry against closed forms, determinism, and the layout that the reader reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from unlearnable.data.rooms import Rooms
from unlearnable.data.rooms_furniture import CODES, CORNERS, CUBE, FURNITURE, Part
from unlearnable.data.rooms_render import Mesh, render_view
from unlearnable.data.rooms_scene import SCENES, camera, make_scene
from unlearnable.data.taskonomy_domains import DEPTH_UNIT, DOMAINS

pytest.importorskip("embreex", reason="ray casting needs embreex (pip install unlearnable[multitask])")


def test_rays_meet_a_box_where_arithmetic_says() -> None:
    mesh = Mesh([Part(CORNERS * 4.0, CUBE[:, ::-1], 1, np.ones(3)), Part(CORNERS + 1.0, CUBE, 6, np.ones(3))])
    origin = np.array([[0.5, 1.5, 1.5]] * 3)
    directions = np.array([[1.0, 0, 0], [0, 0, 1.0], [2.0, 0, 0]])
    face, distance = mesh.hit(origin, directions)
    # The box's near side is at x = 1, the ceiling at z = 4; a direction twice as long halves the distance.
    np.testing.assert_allclose(distance, [0.5, 2.5, 0.25], atol=1e-6)
    assert mesh.code[face].tolist() == [6, 1, 6]
    np.testing.assert_allclose(mesh.normal[face], [[-1, 0, 0], [0, 0, -1], [-1, 0, 0]], atol=1e-12)


def test_unit_cube_faces_look_outwards() -> None:
    a, b, c = (CORNERS[CUBE[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    centre = (a + b + c) / 3 - 0.5
    assert (np.einsum("ij,ij->i", normal, centre) > 0).all()


@pytest.mark.parametrize("label", range(len(SCENES)))
def test_domains_of_a_view_agree_with_each_other(label: int) -> None:
    rng = np.random.default_rng([7, label])
    scene = make_scene(rng, label)
    values = render_view(rng, scene, Mesh(scene.parts), 32)
    depth = DOMAINS["depth_euclidean"].decode(values["depth_euclidean"]) * DEPTH_UNIT
    assert not np.isnan(depth).any()  # a closed room
    assert 0 < depth.min() < depth.max() <= np.linalg.norm(scene.size)
    normal = DOMAINS["normal"].decode(values["normal"])
    np.testing.assert_allclose(np.linalg.norm(normal, axis=0), 1, atol=1e-5)
    assert normal[2].mean() < 0  # z goes into the picture, surfaces look out of it
    assert normal[1, -1].mean() < 0  # y goes down: the floor at the bottom looks up
    codes = set(np.unique(values["segment_semantic"]).tolist())
    assert codes <= set(CODES.values())
    assert DOMAINS["class_scene"].decode(values["class_scene"]).argmax() == label


def test_furniture_does_not_overlap_and_the_camera_is_in_the_room() -> None:
    for number in range(12):
        rng = np.random.default_rng(number)
        scene = make_scene(rng, number % len(SCENES))
        assert len(scene.footprints) >= 1
        for place, (x0, y0, x1, y1) in enumerate(scene.footprints):
            assert 0 <= x0 < x1 <= scene.size[0]
            assert 0 <= y0 < y1 <= scene.size[1]
            for u0, v0, u1, v1 in scene.footprints[:place]:
                assert x1 <= u0 or u1 <= x0 or y1 <= v0 or v1 <= y0
        origin, axes, _ = camera(rng, scene)
        assert ((origin > 0) & (origin < scene.size)).all()
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)


def test_every_piece_of_furniture_has_its_scenes_semantic_classes() -> None:
    telling = {"bedroom": "bed", "living room": "couch", "dining room": "dining table", "bathroom": "toilet"}
    rng = np.random.default_rng(0)
    for scene, code in telling.items():
        codes = {part.code for make, _ in FURNITURE[scene] for part in make(rng)}
        assert CODES[code] in codes


def small(store: Path, **options: object) -> Rooms:
    return Rooms(store, **{"frames": 24, "views": 2, "frame_size": 16, "test_share": 0.5, **options})


def test_frames_are_rendered_once_and_the_same_again(tmp_path: Path) -> None:
    first = small(tmp_path / "a", tasks=["class_scene", "normal"])
    again = small(tmp_path / "b", tasks=["class_scene", "normal"])
    assert first.train.fingerprint == again.train.fingerprint
    other = small(tmp_path / "a", tasks=["class_scene", "normal"], generation_seed=1)
    assert other.train.fingerprint != first.train.fingerprint
    assert len(list((tmp_path / "a" / "rooms").iterdir())) == 2


def test_both_sides_of_the_split_have_each_type_equally_often(tmp_path: Path) -> None:
    data = small(
        tmp_path,
        tasks=["class_scene", "depth_euclidean", "segment_semantic", "keypoints2d", "edge_occlusion", "reshading"],
    )
    assert data.train.labels.bincount().tolist() == data.test.labels.bincount().tolist() == [2] * 6
    assert data.tasks["class_scene"].channels == len(SCENES)
    heat = data.train.targets["keypoints2d"]
    assert 0 <= heat.min() < heat.max() <= 1
    assert torch.isfinite(data.train.targets["reshading"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 10}, "at least 12 rooms"),
        ({"views": 0}, "`dataset.views` must be a whole number, at least 1"),
        ({"frame_size": 8}, "at least 16"),
        ({"tasks": ["keypoints3d", "sofa"]}, "names sofa"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(tmp_path, **options)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_the_fewest_rooms_have_both_splits(tmp_path: Path, share: float) -> None:
    data = Rooms(tmp_path, frames=12, views=1, frame_size=16, test_share=share)
    assert (len(data.train), len(data.test)) == (6, 6)
