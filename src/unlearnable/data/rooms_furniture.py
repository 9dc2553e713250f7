"""Furniture-like solids, each a list of parts with its back at y = 0: what the rooms of `rooms` are furnished with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int

from unlearnable.data.taskonomy_domains import SEMANTIC_CLASSES

Rng = np.random.Generator

TEXTURES = ("plain", "stripes", "checks", "mottled")
CODES: Mapping[str, int] = MappingProxyType({name: code for code, name in enumerate(SEMANTIC_CLASSES, start=1)})

#: The corners of a unit cube, and its twelve triangles, two a side: x = 0, x = 1, y = 0, y = 1, z = 0, z = 1;
#: seen from outside they run counter-clockwise.
CORNERS = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float64)
CUBE = np.array(
    [
        *((0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1)),
        *((2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)),
    ]
)


@dataclass(frozen=True)
class Part:
    """A solid of one material.

    Attributes:
        vertices: `[v, 3]` in metres; x along the wall, y away from it, z up.
        faces: `[f, 3]`, outward.
        code: Semantic code.
        colour: RGB in [0, 1].
        texture: Index in `TEXTURES`.
        period: Of the texture, in metres.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    code: int
    colour: Float[np.ndarray, "3"]
    texture: int = 0
    period: float = 0.2


Make = Callable[[Rng], list[Part]]


def tint(rng: Rng, low: float, high: float, spread: float) -> np.ndarray:
    """A random colour of a brightness in [low, high]."""
    return np.clip(rng.uniform(low, high) + rng.uniform(-spread, spread, 3), 0.02, 0.98)


def pastel(rng: Rng) -> np.ndarray:
    """A light colour, as of walls and fronts."""
    return tint(rng, 0.6, 0.9, 0.12)


def _wood(rng: Rng) -> np.ndarray:
    return np.clip(np.array([0.55, 0.36, 0.2]) * rng.uniform(0.55, 1.5) + rng.uniform(-0.04, 0.04, 3), 0.02, 0.98)


def _white(rng: Rng) -> np.ndarray:
    return np.clip(rng.uniform(0.82, 0.97) + rng.uniform(-0.03, 0.03, 3), 0, 0.99)


def _box(
    rng: Rng, low: tuple[float, ...], high: tuple[float, ...], name: str, colour: np.ndarray, texture: int
) -> Part:
    corner, edge = np.array(low), np.array(high) - np.array(low)
    return Part(corner + CORNERS * edge, CUBE, CODES[name], colour, texture, rng.uniform(0.06, 0.25))


def _round(centre: tuple[float, float], radius: float, z: tuple[float, float], name: str, colour: np.ndarray) -> Part:
    """An upright prism of twelve sides, which at 64 pixels looks like a cylinder."""
    import trimesh

    mesh = trimesh.creation.cylinder(radius=radius, height=z[1] - z[0], sections=12)
    vertices = np.asarray(mesh.vertices) + np.array([*centre, (z[0] + z[1]) / 2])
    return Part(vertices, np.asarray(mesh.faces), CODES[name], colour, 0)


def _ball(centre: tuple[float, float, float], radius: float, name: str, colour: np.ndarray) -> Part:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=1, radius=radius)
    return Part(np.asarray(mesh.vertices) + centre, np.asarray(mesh.faces), CODES[name], colour, 3, radius / 2)


def _legs(rng: Rng, width: float, depth: float, height: float, name: str, colour: np.ndarray) -> list[Part]:
    t = 0.06
    return [
        _box(rng, (x, y, 0), (x + t, y + t, height), name, colour, 0)
        for x in (0.0, width - t)
        for y in (0.0, depth - t)
    ]


def _bed(rng: Rng) -> list[Part]:
    w, d, frame, cover = rng.uniform(1.2, 1.8), 2.0, _wood(rng), tint(rng, 0.3, 0.9, 0.3)
    return [
        _box(rng, (0, 0, 0), (w, 0.08, rng.uniform(0.8, 1.1)), "bed", frame, 1),
        _box(rng, (0, 0.08, 0), (w, d, 0.3), "bed", frame, 1),
        _box(rng, (0.03, 0.1, 0.3), (w - 0.03, d, 0.52), "bed", cover, int(rng.choice([0, 1, 2, 3]))),
        _box(rng, (0.15, 0.12, 0.52), (w / 2 - 0.05, 0.5, 0.64), "bed", _white(rng), 0),
        _box(rng, (w / 2 + 0.05, 0.12, 0.52), (w - 0.15, 0.5, 0.64), "bed", _white(rng), 0),
    ]


def _wardrobe(rng: Rng) -> list[Part]:
    return [_box(rng, (0, 0, 0), (rng.uniform(0.9, 1.6), 0.6, rng.uniform(1.8, 2.2)), "background", _wood(rng), 1)]


def _nightstand(rng: Rng) -> list[Part]:
    return [_box(rng, (0, 0, 0), (0.45, 0.4, 0.5), "background", _wood(rng), 1)]


def _couch(rng: Rng) -> list[Part]:
    w, colour, texture = rng.uniform(1.6, 2.3), tint(rng, 0.2, 0.7, 0.25), int(rng.choice([0, 0, 3]))
    return [
        _box(rng, (0, 0, 0), (w, 0.25, 0.85), "couch", colour, texture),
        _box(rng, (0, 0.25, 0), (w, 0.9, 0.42), "couch", colour, texture),
        _box(rng, (0, 0.25, 0.42), (0.2, 0.9, 0.62), "couch", colour, texture),
        _box(rng, (w - 0.2, 0.25, 0.42), (w, 0.9, 0.62), "couch", colour, texture),
    ]


def _television(rng: Rng) -> list[Part]:
    w = rng.uniform(0.9, 1.4)
    return [
        _box(rng, (0, 0, 0), (w + 0.2, 0.4, 0.5), "background", _wood(rng), 1),
        _box(rng, (0.1, 0.15, 0.55), (w + 0.1, 0.22, 0.55 + 0.56 * w), "tv", np.full(3, rng.uniform(0.02, 0.12)), 0),
    ]


def _low_table(rng: Rng) -> list[Part]:
    w, d, colour = rng.uniform(0.8, 1.1), rng.uniform(0.5, 0.7), _wood(rng)
    top = _box(rng, (0, 0, 0.36), (w, d, 0.42), "background", colour, 1)
    return [top, *_legs(rng, w, d, 0.36, "background", colour)]


def _dining_table(rng: Rng) -> list[Part]:
    w, d, colour = rng.uniform(1.2, 1.7), rng.uniform(0.8, 1.0), _wood(rng)
    parts = [_box(rng, (0.4, 0.4, 0.7), (0.4 + w, 0.4 + d, 0.76), "dining table", colour, 1)]
    parts += [_moved(leg, 0.4, 0.4) for leg in _legs(rng, w, d, 0.7, "dining table", colour)]
    seat = tint(rng, 0.2, 0.7, 0.25)
    for x in (0.4 + 0.15, 0.4 + w - 0.6):
        parts += [_about_face(part, x + 0.225, 0.22) for part in _chair_parts(rng, seat)]
        parts += [_moved(part, x, d + 0.55) for part in _chair_parts(rng, seat)]
    return parts


def _chair_parts(rng: Rng, colour: np.ndarray) -> list[Part]:
    """A chair whose back is at large y."""
    return [
        _box(rng, (0, 0, 0.42), (0.45, 0.45, 0.48), "chair", colour, 0),
        _box(rng, (0, 0.4, 0.48), (0.45, 0.45, 0.95), "chair", colour, 0),
        *_legs(rng, 0.45, 0.45, 0.42, "chair", colour * 0.7),
    ]


def _chair(rng: Rng) -> list[Part]:
    return _chair_parts(rng, tint(rng, 0.2, 0.7, 0.25))


def _desk(rng: Rng) -> list[Part]:
    w, colour = rng.uniform(1.2, 1.6), _wood(rng)
    seat = tint(rng, 0.1, 0.4, 0.15)
    return [
        _box(rng, (0, 0, 0.7), (w, 0.7, 0.75), "background", colour, 1),
        _box(rng, (0, 0.05, 0), (0.4, 0.65, 0.7), "background", colour, 1),
        _box(rng, (w - 0.05, 0, 0), (w, 0.7, 0.7), "background", colour, 1),
        _box(rng, (w / 2 - 0.1, 0.15, 0.85), (w / 2 + 0.45, 0.2, 1.2), "tv", np.full(3, rng.uniform(0.02, 0.12)), 0),
        _box(rng, (w / 2 + 0.1, 0.14, 0.75), (w / 2 + 0.25, 0.21, 0.85), "tv", np.full(3, 0.1), 0),
        *(_moved(part, w / 2 - 0.1, 0.75) for part in _chair_parts(rng, seat)),
    ]


def _bookshelf(rng: Rng) -> list[Part]:
    w, h, colour = rng.uniform(0.8, 1.2), rng.uniform(1.6, 2.1), _wood(rng)
    parts = [_box(rng, (0, 0, 0), (w, 0.08, h), "background", colour, 1)]
    levels = 5
    for level in range(levels):
        z = level * h / levels
        parts.append(_box(rng, (0, 0.08, z), (w, 0.32, z + 0.04), "background", colour, 1))
        filled = rng.uniform(0.5, 1) * (w - 0.1)
        parts.append(
            _box(rng, (0.05, 0.1, z + 0.04), (0.05 + filled, 0.28, z + 0.27), "book", tint(rng, 0.2, 0.8, 0.3), 1)
        )
    return parts


def _counter(rng: Rng) -> list[Part]:
    w, front, top = rng.uniform(1.6, 2.2), pastel(rng), tint(rng, 0.2, 0.5, 0.05)
    return [
        _box(rng, (0, 0, 0), (w, 0.6, 0.88), "background", front, 1),
        _box(rng, (0, 0, 0.88), (w, 0.62, 0.92), "background", top, 3),
        _box(rng, (0.25, 0.12, 0.92), (0.8, 0.52, 0.95), "sink", np.full(3, rng.uniform(0.6, 0.8)), 0),
        _box(rng, (0.5, 0.06, 0.92), (0.55, 0.11, 1.15), "sink", np.full(3, 0.75), 0),
        _box(rng, (0, 0, 1.45), (w, 0.35, 2.05), "background", front, 1),
    ]


def _refrigerator(rng: Rng) -> list[Part]:
    shade = np.full(3, rng.uniform(0.6, 0.95))
    return [
        _box(rng, (0, 0, 0), (0.7, 0.68, 1.1), "refrigerator", shade, 0),
        _box(rng, (0, 0, 1.13), (0.7, 0.68, rng.uniform(1.65, 1.85)), "refrigerator", shade, 0),
        _box(rng, (0.06, 0.68, 0.5), (0.1, 0.72, 1.0), "refrigerator", shade * 0.5, 0),
    ]


def _oven(rng: Rng) -> list[Part]:
    shade = np.full(3, rng.uniform(0.1, 0.85))
    return [
        _box(rng, (0, 0, 0), (0.6, 0.6, 0.9), "oven", shade, 0),
        _box(rng, (0.06, 0.6, 0.2), (0.54, 0.62, 0.65), "oven", np.full(3, 0.05), 0),
        *(_round((x, y), 0.09, (0.9, 0.93), "oven", np.full(3, 0.08)) for x in (0.15, 0.45) for y in (0.15, 0.45)),
    ]


def _toilet(rng: Rng) -> list[Part]:
    white = _white(rng)
    return [
        _box(rng, (0, 0, 0.35), (0.42, 0.2, 0.8), "toilet", white, 0),
        _round((0.21, 0.42), 0.22, (0.0, 0.42), "toilet", white),
    ]


def _basin(rng: Rng) -> list[Part]:
    white = _white(rng)
    return [
        _round((0.3, 0.28), 0.09, (0.0, 0.75), "sink", white),
        _box(rng, (0, 0, 0.75), (0.6, 0.5, 0.88), "sink", white, 0),
        _box(rng, (0.0, 0.0, 1.2), (0.6, 0.03, 1.8), "background", np.array([0.75, 0.82, 0.86]), 0),
    ]


def _bathtub(rng: Rng) -> list[Part]:
    w, white, t, h = rng.uniform(1.5, 1.8), _white(rng), 0.08, 0.55
    walls = [(0, 0, w, t), (0, 0.75 - t, w, 0.75), (0, t, t, 0.75 - t), (w - t, t, w, 0.75 - t)]
    sides = [_box(rng, (x0, y0, 0), (x1, y1, h), "background", white, 0) for x0, y0, x1, y1 in walls]
    return [*sides, _box(rng, (t, t, 0), (w - t, 0.75 - t, 0.2), "background", white, 0)]


def _plant(rng: Rng) -> list[Part]:
    green = np.array([0.12, rng.uniform(0.3, 0.55), 0.1])
    pot, leaves = rng.uniform(0.12, 0.2), rng.uniform(0.22, 0.4)
    c = (0.4, 0.4)
    return [
        _round(c, pot, (0, 0.3), "plant", tint(rng, 0.3, 0.7, 0.2)),
        _ball((*c, 0.3 + leaves), leaves, "plant", green),
        _ball((0.4 + leaves / 2, 0.4, 0.3 + 1.7 * leaves), leaves * 0.7, "plant", green * rng.uniform(0.8, 1.3)),
    ]


def _crate(rng: Rng) -> list[Part]:
    w, d, h = rng.uniform(0.3, 0.6, 3)
    return [_box(rng, (0, 0, 0), (w, d, h), "background", tint(rng, 0.2, 0.8, 0.3), int(rng.integers(4)))]


#: Type of room → its pieces and whether they stand along a wall.
FURNITURE: dict[str, tuple[tuple[Make, bool], ...]] = {
    "bedroom": ((_bed, True), (_nightstand, True), (_wardrobe, True)),
    "living room": ((_couch, True), (_television, True), (_low_table, False)),
    "dining room": ((_dining_table, False), (_wardrobe, True)),
    "office": ((_desk, True), (_bookshelf, True)),
    "kitchen": ((_counter, True), (_refrigerator, True), (_oven, True)),
    "bathroom": ((_bathtub, True), (_toilet, True), (_basin, True)),
}
ANYWHERE: tuple[tuple[Make, bool], ...] = ((_plant, True), (_crate, False), (_chair, False), (_bookshelf, True))


def _moved(part: Part, x: float, y: float) -> Part:
    return replace(part, vertices=part.vertices + np.array([x, y, 0]))


def _about_face(part: Part, x: float, y: float) -> Part:
    """A chair's part, turned by half a circle about the chair's centre, which goes to (x, y)."""
    vertices = (part.vertices - np.array([0.225, 0.225, 0])) * np.array([-1, -1, 1]) + np.array([x, y, 0])
    return replace(part, vertices=vertices)
