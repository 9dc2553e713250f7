"""The light in a room, and the picture that it makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from unlearnable.data.rooms_mesh import Mesh, directions_of
from unlearnable.data.rooms_parts import Rng


@dataclass(frozen=True)
class Light:
    """A lamp with its shadows, a warm flash at the camera, and cool light from all sides.

    Attributes:
        lamp: Place of the lamp, in metres.
        strength: Of the lamp.
        flash: Strength of the one at the camera: it shades by distance and by the surface's angle to the view.
        ambient: Strength of the light from all sides.
        colour: Of all of it.
    """

    lamp: Float[np.ndarray, "3"]
    strength: float
    flash: float
    ambient: float
    colour: Float[np.ndarray, "3"]


#: The flash is warm and the light from all sides cool, so that hue tells distance whatever a surface's brightness. From
#: above there is more of the latter than from below, and its hue differs between two sides of the room.
_WARM, _COOL = np.array([1.15, 1.0, 0.7]), np.array([0.65, 0.95, 1.3])
_UP, _SIDE = 0.7, np.array([-0.4, 0.4, -0.4])


def random_light(rng: Rng, size: Float[np.ndarray, "3"]) -> Light:
    """Light in a room of this size."""
    place = np.array([*(size[:2] * rng.uniform(0.2, 0.8, 2)), size[2] - 0.25])
    tint = 1 + rng.uniform(-0.05, 0.05, 3)
    return Light(place, rng.uniform(0.1, 0.3), rng.uniform(0.45, 0.55), rng.uniform(0.2, 0.25), tint)


def picture(
    mesh: Mesh, origin: Float[np.ndarray, "3"], axes: Float[np.ndarray, "3 3"], reach: float, size: int, light: Light
) -> Float[np.ndarray, "r 3"]:
    """Linear colours of the pixels, row by row: texture × light, by Lambert's law."""
    directions = directions_of(axes, reach, size)
    face, distance = mesh.hit(np.broadcast_to(origin, directions.shape), directions)
    points = origin + distance[:, None] * directions
    normal = mesh.normal[face]
    to_light = light.lamp - points
    length = np.linalg.norm(to_light, axis=1)
    cosine = np.clip(np.einsum("ij,ij->i", normal, to_light) / length, 0, 1)
    lit = cosine > 0
    # Started a little off the surface, so that it does not shade itself; 1 is the lamp's place on the ray.
    _, blocked = mesh.hit((points + 1e-3 * normal)[lit], to_light[lit])
    lit[lit] = blocked > 0.999
    facing = np.clip(-np.einsum("ij,ij->i", normal, directions), 0, 1)
    lamp = light.strength * cosine * lit * 4 / (1 + 0.5 * length**2)
    flash = light.flash * facing * 4 / (1 + distance**2)
    ambient = light.ambient * _COOL * (1 + _UP * normal[:, 2:] + _SIDE * normal[:, :1])
    return _albedo(mesh, face, points) * (ambient + lamp[:, None] + flash[:, None] * _WARM) * light.colour


def _albedo(mesh: Mesh, face: np.ndarray, points: np.ndarray) -> Float[np.ndarray, "r 3"]:
    """Colour of the material times its texture, which is laid along the two axes nearest to the surface."""
    across = np.abs(mesh.normal[face]).argmax(1)
    rows = np.arange(len(face))
    u = points[rows, np.where(across == 0, 1, 0)] / mesh.period[face]
    v = points[rows, np.where(across == 2, 1, 2)] / mesh.period[face]
    stripes = np.floor(u) % 2
    patterns = np.stack(
        [
            np.zeros_like(u),
            stripes,
            (stripes + np.floor(v)) % 2,
            0.5 + 0.25 * (np.sin(5.1 * u + 2 * np.sin(3.3 * v)) + np.sin(4.7 * v + 2 * np.sin(2.9 * u))),
        ]
    )
    pattern = patterns[mesh.texture[face], rows]
    albedo: np.ndarray = mesh.colour[face] * (1 - 0.35 * pattern)[:, None]
    return albedo
