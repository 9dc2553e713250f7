"""Furnished rooms and viewpoints in them: what `rooms` is rendered from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from unlearnable.data.rooms_furniture import ANYWHERE, FLOORS, FURNITURE
from unlearnable.data.rooms_parts import CODES, CORNERS, CUBE, Part, Rng, pastel, period_of, tint

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
        own: How many of them, from the first on, are of pieces that tell the room's type.
    """

    label: int
    size: Float[np.ndarray, "3"]
    parts: list[Part] = field(default_factory=list)
    footprints: list[tuple[float, float, float, float]] = field(default_factory=list)
    own: int = 0


def make_scene(rng: Rng, label: int) -> Scene:
    """A random room of the type `SCENES[label]`, with its furniture and some that any room may have."""
    size = np.array([*rng.uniform(2.8, 4.4, 2), rng.uniform(2.4, 3.0)])
    scene = Scene(label, size, _shell(rng, size, SCENES[label]))
    for make, along_wall in FURNITURE[SCENES[label]]:
        _place(rng, scene, make(rng), along_wall=along_wall)
    scene.own = len(scene.footprints)
    for make, along_wall, often in ANYWHERE:
        if rng.random() < often:
            _place(rng, scene, make(rng), along_wall=along_wall)
    return scene


def camera(rng: Rng, scene: Scene) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3 3"], float]:
    """A viewpoint inside: position, axes (rows: right, down, forward) and the tangent of half the field of view.

    Place, height, direction, roll and field of view vary widely, so that a pixel's place says little of what it shows.
    Most views look at a piece of furniture that tells the room's type.
    """
    width, depth, height = scene.size
    furniture = np.array(scene.footprints).reshape(-1, 4)
    target = rng.uniform((0, 0, 0), scene.size)
    if scene.own and rng.random() < 0.85:
        x0, y0, x1, y1 = furniture[rng.integers(scene.own)]
        target = np.array([rng.uniform(x0, x1), rng.uniform(y0, y1), rng.uniform(0, 1.2)])
    wanted, margin = rng.uniform(0.8, 3.0), 0.3
    best, origin = np.inf, scene.size / 2
    for _ in range(24):
        candidate = rng.uniform((margin, margin, 0.4), (width - margin, depth - margin, height - 0.3))
        x, y, _ = candidate
        inside = (
            (x > furniture[:, 0] - margin)
            & (x < furniture[:, 2] + margin)
            & (y > furniture[:, 1] - margin)
            & (y < furniture[:, 3] + margin)
        )
        steep = abs(target[2] - candidate[2]) > np.linalg.norm(target[:2] - candidate[:2])
        error = abs(float(np.linalg.norm(target - candidate)) - wanted) + 10 * steep
        if not inside.any() and error < best:
            best, origin = error, candidate
    forward = _unit(target - origin)
    right = _unit(np.cross(forward, (0.0, 0.0, 1.0)))
    down = np.cross(forward, right)
    roll = np.radians(rng.uniform(-15, 15))
    turned = np.cos(roll) * right + np.sin(roll) * down
    return (
        origin,
        np.stack([turned, np.cross(forward, turned), forward]),
        float(np.tan(np.radians(rng.uniform(50, 80)) / 2)),
    )


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / np.linalg.norm(vector)
    return unit


def _shell(rng: Rng, size: np.ndarray, scene: str) -> list[Part]:
    """Floor, ceiling and walls, each with a material of its own."""
    inward = CUBE[:, ::-1]
    # Of `CUBE`: x = 0, x = 1, y = 0, y = 1, z = 0, z = 1; two triangles each.
    sides = {"wall": range(8), "floor": range(8, 10), "ceiling": range(10, 12)}
    wall = pastel(rng)
    texture, colour = FLOORS[scene]
    floor = (np.clip(np.array(colour) * rng.uniform(0.8, 1.2), 0, 0.95), texture)
    if rng.random() < 0.3:
        floor = (tint(rng, 0.25, 0.75, 0.25), int(rng.integers(1, 4)))
    looks = {"wall": (wall, int(rng.choice([0, 1, 3]))), "floor": floor, "ceiling": (np.clip(wall + 0.1, 0, 0.98), 0)}
    return [
        Part(CORNERS * size, inward[list(rows)], CODES[side], *looks[side], period_of(rng, looks[side][1]))
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
