"""The ray-cast rooms: geometry against closed forms, determinism, and the layout that the reader reads."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from unlearnable.data.rooms import Rooms
from unlearnable.data.rooms_furniture import FURNITURE
from unlearnable.data.rooms_light import Light, picture
from unlearnable.data.rooms_mesh import Mesh
from unlearnable.data.rooms_parts import CLASSES, CODES, CORNERS, CUBE, Part
from unlearnable.data.rooms_render import render_view
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


def nearest_hit(origin: np.ndarray, ray: np.ndarray, parts: list[Part]) -> tuple[float, np.ndarray, int]:
    """Distance, outward normal and code where a ray first meets a triangle: Möller and Trumbore's test of each one."""
    best: tuple[float, np.ndarray, int] = (np.inf, np.zeros(3), 0)
    for part in parts:
        a, b, c = (part.vertices[part.faces[:, corner]] for corner in range(3))
        ab, ac, across = b - a, c - a, np.cross(np.broadcast_to(ray, a.shape), c - a)
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1 / (ab * across).sum(1)
            u = ((origin - a) * across).sum(1) * inverse
            other = np.cross(origin - a, ab)
            v = other @ ray * inverse
            distance = (ac * other).sum(1) * inverse
        met = np.flatnonzero((u >= 0) & (v >= 0) & (u + v <= 1) & (distance > 1e-6))
        for face in met[distance[met] < best[0]]:
            normal = np.cross(ab[face], ac[face])
            best = min(best, (distance[face], normal / np.linalg.norm(normal), part.code), key=lambda hit: hit[0])
    return best


@pytest.mark.parametrize("label", range(len(SCENES)))
def test_domains_of_a_view_are_what_single_rays_meet(label: int) -> None:
    size = 12
    rng = np.random.default_rng([7, label])
    scene = make_scene(rng, label)
    origin, axes, reach = camera(copy.deepcopy(rng), scene)
    values = render_view(rng, scene, Mesh(scene.parts), size)
    depth = DOMAINS["depth_euclidean"].decode(values["depth_euclidean"])[0] * DEPTH_UNIT
    normal = DOMAINS["normal"].decode(values["normal"])
    assert not np.isnan(depth).any()  # a closed room
    np.testing.assert_allclose(np.linalg.norm(normal, axis=0), 1, atol=1e-5)
    right, down, forward = axes
    wrong = 0
    for row, column in np.ndindex(size, size):
        x, y = ((column + 0.5) / size * 2 - 1) * reach, ((row + 0.5) / size * 2 - 1) * reach
        ray = forward + x * right + y * down
        distance, outward, code = nearest_hit(origin, ray / np.linalg.norm(ray), scene.parts)
        assert outward @ ray < 0  # surfaces look at the camera
        same = abs(distance - depth[row, column]) < 0.6 * DEPTH_UNIT
        same &= np.abs(axes @ outward - normal[:, row, column]).max() < 0.01
        wrong += not (same and code == values["segment_semantic"][row, column])
    assert wrong <= 1  # a ray may just graze an edge
    assert DOMAINS["class_scene"].decode(values["class_scene"]).argmax() == label


def test_the_flash_shades_by_distance_and_angle() -> None:
    wall = Mesh([Part(CORNERS * 8.0, CUBE[:, ::-1], 1, np.full(3, 0.5))])
    dark = Light(np.full(3, 4.0), strength=0.0, flash=1.0, ambient=0.0, colour=np.ones(3))
    axes = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    near = picture(wall, np.array([7.0, 4.0, 4.0]), axes, 1e-3, 1, dark)
    far = picture(wall, np.array([5.0, 4.0, 4.0]), axes, 1e-3, 1, dark)
    np.testing.assert_allclose(near, 5 * far, rtol=1e-5)  # at 1 and 3 m: 1 / (1 + 1²) and 1 / (1 + 3²)
    aslant = np.array([[0.0, 0.0, -1.0], [1.0, 1.0, 0.0], [1.0, -1.0, 0.0]]) / np.array([[1], [2**0.5], [2**0.5]])
    half = picture(wall, np.array([8 - 0.5**0.5, 4.0, 4.0]), aslant, 1e-3, 1, dark)
    np.testing.assert_allclose(half, near * 0.5**0.5, rtol=1e-3)  # at 1 m, at 45°


@cache
def sample() -> dict[str, np.ndarray]:
    """Two views of each of 60 rooms."""
    views = []
    for number in range(60):
        rng = np.random.default_rng([3, number])
        scene = make_scene(rng, number % len(SCENES))
        mesh = Mesh(scene.parts)
        views += [render_view(rng, scene, mesh, 16) for _ in range(2)]
    return {domain: np.stack([view[domain] for view in views]).astype(float) for domain in views[0]}


def test_no_class_covers_the_pictures() -> None:
    codes = sample()["segment_semantic"].astype(int)
    shares = np.bincount(codes.ravel(), minlength=len(CLASSES) + 1) / codes.size
    assert shares[0] == 0
    assert shares.max() < 0.4
    assert (shares[1:] > 0).all()


def test_the_place_in_the_picture_says_little() -> None:
    depth = np.log(sample()["depth_euclidean"])
    # Of 120 views, the pixels' means vary by 1/120 of the variance even where the place says nothing.
    assert depth.mean(0).var() / depth.var() < 0.12
    normal = sample()["normal"] / 127.5 - 1
    mean = normal.mean(0)
    cosine = (normal * mean).sum(-1) / np.linalg.norm(normal, axis=-1) / np.linalg.norm(mean, axis=-1)
    assert np.degrees(np.arccos(cosine.clip(-1, 1))).mean() > 35


def test_cameras_differ_in_height_tilt_roll_and_field() -> None:
    found = []
    for number in range(60):
        rng = np.random.default_rng([5, number])
        origin, (right, _, forward), reach = camera(rng, make_scene(rng, number % len(SCENES)))
        found.append((origin[2], *np.degrees(np.arcsin([forward[2], right[2]])), np.degrees(2 * np.arctan(reach))))
    spread = np.ptp(np.percentile(found, [5, 95], axis=0), axis=0)
    assert (spread > (1.0, 30, 20, 20)).all()  # metres; degrees


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
    telling = {"bedroom": "bed", "living room": "couch", "dining room": "table", "bathroom": "toilet"}
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
