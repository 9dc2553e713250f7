"""Furnished rooms and viewpoints in them: what `rooms` is rendered from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from unlearnable.data.rooms_furniture import ANYWHERE, CORNERS, CUBE, FURNITURE, Part, Rng, pastel, tint

#: Types of rooms: the classes of `class_scene`.
SCENES = tuple(FURNITURE)


@dataclass
class Scene:
    """A furnished room.

    Attributes:
        label: Index in `SCENES`.
        size: Width, depth and height in metres; x and y start at 0.
        parts: Its solids; the first is the shell, whose faces look inwards.
        footprints: Ground areas that are taken, as (x0, y0, x1, y1).
    """

    label: int
    size: Float[np.ndarray, "3"]
    parts: list[Part] = field(default_factory=list)
    footprints: list[tuple[float, float, float, float]] = field(default_factory=list)


def make_scene(rng: Rng, label: int) -> Scene:
    """A random room of the type `SCENES[label]`, with its furniture and some that any room may have."""
    size = np.array([*rng.uniform(2.9, 4.3, 2), rng.uniform(2.4, 3.0)])
    scene = Scene(label, size, _shell(rng, size))
    for make, along_wall in FURNITURE[SCENES[label]]:
        _place(rng, scene, make(rng), along_wall=along_wall)
    for make, along_wall in ANYWHERE:
        if rng.random() < 0.35:
            _place(rng, scene, make(rng), along_wall=along_wall)
    return scene


def camera(rng: Rng, scene: Scene) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3 3"], float]:
    """A viewpoint inside: position, axes (rows: right, down, forward) and the tangent of half the field of view."""
    width, depth, _ = scene.size
    furniture = np.array(scene.footprints).reshape(-1, 4)
    middle = np.array([width / 2, depth / 2])
    best, position = -1.0, middle
    for _ in range(24):
        candidate = np.array([rng.uniform(0.25, width - 0.25), rng.uniform(0.25, depth - 0.25)])
        inside = (
            (candidate[0] > furniture[:, 0] - 0.2)
            & (candidate[0] < furniture[:, 2] + 0.2)
            & (candidate[1] > furniture[:, 1] - 0.2)
            & (candidate[1] < furniture[:, 3] + 0.2)
        )
        distance = float(np.linalg.norm(candidate - middle)) + rng.uniform(0, 1.0)
        if not inside.any() and distance > best:
            best, position = distance, candidate
    height = rng.uniform(1.3, 1.8)
    target = np.array([*(middle + rng.normal(0, 0.5, 2)), rng.uniform(0.4, 1.0)])
    origin = np.array([*position, height])
    forward = _unit(target - origin)
    right = _unit(np.cross(forward, (0.0, 0.0, 1.0)))
    down = np.cross(forward, right)
    return origin, np.stack([right, down, forward]), float(np.tan(np.radians(rng.uniform(60, 80)) / 2))


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


def _shell(rng: Rng, size: np.ndarray) -> list[Part]:
    """Floor, ceiling and walls, each with a material of its own."""
    inward = CUBE[:, ::-1]
    # Of `CUBE`: x = 0, x = 1, y = 0, y = 1, z = 0, z = 1; two triangles each.
    sides = {"walls": range(8), "floor": range(8, 10), "ceiling": range(10, 12)}
    wall = pastel(rng)
    looks = {
        "walls": (wall, rng.choice([0, 0, 1, 3])),
        "floor": (tint(rng, 0.25, 0.75, 0.25), rng.choice([1, 2, 3])),
        "ceiling": (np.clip(wall + 0.1, 0, 0.98), 0),
    }
    return [
        Part(CORNERS * size, inward[list(rows)], 1, looks[side][0], int(looks[side][1]), rng.uniform(0.15, 0.6))
        for side, rows in sides.items()
    ]


def _place(rng: Rng, scene: Scene, parts: list[Part], *, along_wall: bool) -> None:
    """Puts a piece of furniture where it overlaps nothing; leaves it out after twenty failed tries."""
    points = np.concatenate([part.vertices[:, :2] for part in parts])
    low, high = points.min(0), points.max(0)
    width, depth = high - low
    for _ in range(20):
        quarters = int(rng.integers(4))
        w, d = (width, depth) if quarters % 2 == 0 else (depth, width)
        room = scene.size[:2] - (w, d)
        if (room < 0.1).any():
            continue
        x, y = rng.uniform(0.02, 0.98, 2) * room
        if along_wall:
            # A piece's back is at y = 0: turned by q quarters it stands at the wall that then is behind it.
            x, y = ((x, 0.01), (room[0] - 0.01, y), (x, room[1] - 0.01), (0.01, y))[quarters]
        place = (float(x), float(y), float(x + w), float(y + d))
        if any(_overlap(place, other) for other in scene.footprints):
            continue
        scene.footprints.append(place)
        scene.parts += [_stood(part, low, high, quarters, x, y) for part in parts]
        return


def _stood(part: Part, low: np.ndarray, high: np.ndarray, quarters: int, x: float, y: float) -> Part:
    """The part of a piece with corners `low` and `high`, turned by quarters, its new corner at (x, y)."""
    u, v = (part.vertices[:, :2] - low).T
    w, d = high - low
    # Counter-clockwise, seen from above, so that faces keep looking outwards.
    new_x, new_y = ((u, v), (d - v, u), (w - u, d - v), (v, w - u))[quarters]
    vertices = np.stack([new_x + x, new_y + y, part.vertices[:, 2]], axis=1)
    return replace(part, vertices=vertices)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    gap = 0.05
    return bool(a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap)
