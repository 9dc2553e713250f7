"""Solids of one material, and the simple shapes and colours that furniture and rooms of `rooms` are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int

Rng = np.random.Generator

#: Textures and the length of their pattern in metres: nearly the same everywhere, so that it tells the distance.
TEXTURES: Mapping[str, float] = MappingProxyType({"plain": 1.0, "stripes": 0.2, "checks": 0.35, "mottled": 0.3})
#: Semantic classes, in the order of their codes, from 1 on. Taskonomy's would call 84 % of the pixels "background".
CLASSES = (
    *("wall", "floor", "ceiling", "window", "cabinet", "table", "chair", "couch", "plant"),
    *("bed", "toilet", "tv", "oven", "sink", "refrigerator", "shelf", "bathtub"),
)
CODES: Mapping[str, int] = MappingProxyType({name: code for code, name in enumerate(CLASSES, start=1)})

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
        texture: Place in `TEXTURES`.
        period: Of the texture, in metres.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    code: int
    colour: Float[np.ndarray, "3"]
    texture: int = 0
    period: float = 0.2


def tint(rng: Rng, low: float, high: float, spread: float) -> np.ndarray:
    """A random colour of a brightness in [low, high]."""
    return np.clip(rng.uniform(low, high) + rng.uniform(-spread, spread, 3), 0.02, 0.98)


def pastel(rng: Rng) -> np.ndarray:
    """A light colour, as of walls and fronts."""
    return tint(rng, 0.65, 0.88, 0.07)


def period_of(rng: Rng, texture: int) -> float:
    """The length of a texture's pattern, within 15 % of its usual one."""
    return list(TEXTURES.values())[texture] * rng.uniform(0.85, 1.15)


def wood(rng: Rng) -> np.ndarray:
    """A brown."""
    return np.clip(np.array([0.55, 0.36, 0.2]) * rng.uniform(0.55, 1.5) + rng.uniform(-0.04, 0.04, 3), 0.02, 0.98)


def white(rng: Rng) -> np.ndarray:
    """Nearly white, as of linen and enamel."""
    return np.clip(rng.uniform(0.82, 0.97) + rng.uniform(-0.03, 0.03, 3), 0, 0.99)


def box(rng: Rng, low: tuple[float, ...], high: tuple[float, ...], name: str, colour: np.ndarray, texture: int) -> Part:
    """A box between two corners, of the semantic class `name`."""
    corner, edge = np.array(low), np.array(high) - np.array(low)
    return Part(corner + CORNERS * edge, CUBE, CODES[name], colour, texture, period_of(rng, texture))


def rounded(centre: tuple[float, float], radius: float, z: tuple[float, float], name: str, colour: np.ndarray) -> Part:
    """An upright prism of twelve sides, which at 64 pixels looks like a cylinder."""
    import trimesh

    mesh = trimesh.creation.cylinder(radius=radius, height=z[1] - z[0], sections=12)
    vertices = np.asarray(mesh.vertices) + np.array([*centre, (z[0] + z[1]) / 2])
    return Part(vertices, np.asarray(mesh.faces), CODES[name], colour, 0)


def ball(centre: tuple[float, float, float], radius: float, name: str, colour: np.ndarray) -> Part:
    """A mottled ball of eighty triangles."""
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=1, radius=radius)
    return Part(np.asarray(mesh.vertices) + centre, np.asarray(mesh.faces), CODES[name], colour, 3, radius / 2)
