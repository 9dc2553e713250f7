"""Ray casting of a room into a picture and its Taskonomy domains, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8, UInt16

from unlearnable.data.rooms_furniture import Part, Rng
from unlearnable.data.rooms_scene import SCENES, Scene, camera, make_scene
from unlearnable.data.taskonomy_domains import DEPTH_UNIT, NO_DEPTH

SUPERSAMPLING = 2  # rays a pixel, each way, for the picture; the domains take one through the pixel's centre


class Mesh:
    """A room's triangles with their materials, ready to be hit by rays.

    Args:
        parts: The solids.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        import trimesh
        from trimesh.ray.ray_pyembree import RayMeshIntersector

        offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
        vertices = np.concatenate([part.vertices for part in parts])
        faces = np.concatenate([part.faces + start for part, start in zip(parts, offsets[:-1], strict=True)])
        owner = np.repeat(np.arange(len(parts)), [len(part.faces) for part in parts])
        mesh = trimesh.Trimesh(vertices, faces, process=False, validate=False)
        self._rays: Any = RayMeshIntersector(mesh)
        self.corner = vertices[faces[:, 0]]
        edges = vertices[faces[:, 1]] - self.corner, vertices[faces[:, 2]] - self.corner
        normal = np.cross(*edges)
        self.normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        self.code = np.array([part.code for part in parts])[owner]
        self.colour = np.stack([part.colour for part in parts])[owner]
        self.texture = np.array([part.texture for part in parts])[owner]
        self.period = np.array([part.period for part in parts])[owner]

    def hit(
        self, origins: Float[np.ndarray, "r 3"], directions: Float[np.ndarray, "r 3"]
    ) -> tuple[Int[np.ndarray, " r"], Float[np.ndarray, " r"]]:
        """The first triangle on each ray, −1 for none, and its distance in units of the direction's length."""
        face = np.asarray(self._rays.intersects_first(origins, directions))
        normal = self.normal[face]
        slope = np.einsum("ij,ij->i", normal, directions)
        height = np.einsum("ij,ij->i", normal, self.corner[face] - origins)
        distance = np.divide(height, slope, out=np.full(len(face), np.inf), where=np.abs(slope) > 1e-9)
        return face, np.where(face >= 0, distance, np.inf)


def render_view(
    rng: Rng, scene: Scene, mesh: Mesh, size: int
) -> dict[str, UInt8[np.ndarray, "..."] | UInt16[np.ndarray, "..."] | Float[np.ndarray, " k"]]:
    """One view of a room: domain → what its file holds."""
    origin, axes, reach = camera(rng, scene)
    light = np.array([*(scene.size[:2] * rng.uniform(0.25, 0.75, 2)), scene.size[2] - 0.25])
    lamp = rng.uniform(0.55, 1.0), rng.uniform(0.25, 0.5), 1 + rng.uniform(-0.12, 0.12, 3)  # lamp, ambient, tint

    colours = _picture(mesh, origin, axes, reach, size * SUPERSAMPLING, light, lamp)
    blocks = colours.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean((1, 3))
    noisy = blocks + rng.normal(0, 0.01, blocks.shape)
    rgb = np.round(np.clip(noisy, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)

    directions = _directions(axes, reach, size)
    face, distance = mesh.hit(np.broadcast_to(origin, directions.shape), directions)
    normal = mesh.normal[face] @ axes.T
    facing = np.clip(-np.einsum("ij,ij->i", mesh.normal[face], directions), 0, 1)
    depth = distance.reshape(size, size)
    return {
        "rgb": rgb,
        "depth_euclidean": np.minimum(np.round(depth / DEPTH_UNIT), NO_DEPTH).astype(np.uint16),
        "normal": np.round((normal.reshape(size, size, 3) + 1) * 127.5).astype(np.uint8),
        "segment_semantic": mesh.code[face].reshape(size, size).astype(np.uint8),
        "reshading": _grey8(facing.reshape(size, size) / (1 + 0.05 * depth**2)),
        "edge_occlusion": _response16(_depth_jumps(depth)),
        "keypoints2d": _response16(_blobs(rgb)),
        "class_scene": np.eye(len(SCENES), dtype=np.float32)[scene.label],
    }


def write_room(folder: Path, number: int, views: int, size: int, seed: int) -> None:
    """Renders room `number` and writes its views in Taskonomy's layout, as building `room_<number>`.

    Everything is drawn from (seed, number); its type is `number` modulo the number of types.
    """
    from PIL import Image

    rng = np.random.default_rng([seed, number])
    scene = make_scene(rng, number % len(SCENES))
    mesh = Mesh(scene.parts)
    for view in range(views):
        for domain, values in render_view(rng, scene, mesh, size).items():
            place = folder / domain / f"room_{number:05d}"
            place.mkdir(parents=True, exist_ok=True)
            name = f"point_0_view_{view}_domain_{domain}"
            if values.ndim == 1:
                np.save(place / f"{name}.npy", values)
            else:
                Image.fromarray(values).save(place / f"{name}.png", compress_level=1)


def _directions(axes: np.ndarray, reach: float, size: int) -> Float[np.ndarray, "r 3"]:
    """Unit vectors through the pixels' centres, row by row."""
    grid = ((np.arange(size) + 0.5) / size * 2 - 1) * reach
    right, down = np.meshgrid(grid, grid)
    pixels: Any = np.stack([right.ravel(), down.ravel(), np.ones(size * size)], axis=1)
    directions: np.ndarray = pixels / np.linalg.norm(pixels, axis=1, keepdims=True) @ axes
    return directions


def _picture(
    mesh: Mesh,
    origin: np.ndarray,
    axes: np.ndarray,
    reach: float,
    size: int,
    light: np.ndarray,
    lamp: tuple[float, float, np.ndarray],
) -> Float[np.ndarray, "r 3"]:
    """Linear colours: texture × (ambient + one lamp with its shadows, Lambert's law)."""
    directions = _directions(axes, reach, size)
    face, distance = mesh.hit(np.broadcast_to(origin, directions.shape), directions)
    points = origin + distance[:, None] * directions
    normal = mesh.normal[face]
    to_light = light - points
    length = np.linalg.norm(to_light, axis=1)
    cosine = np.clip(np.einsum("ij,ij->i", normal, to_light) / length, 0, 1)
    lit = cosine > 0
    # Started a little off the surface, so that it does not shade itself; 1 is the lamp's place on the ray.
    _, blocked = mesh.hit((points + 1e-3 * normal)[lit], to_light[lit])
    lit[lit] = blocked > 0.999
    strength, ambient, tint = lamp
    shade = ambient + strength * cosine * lit * 4 / (1 + 0.5 * length**2)
    return _albedo(mesh, face, points) * shade[:, None] * tint


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


def _depth_jumps(depth: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Occlusion edges: the largest jump of the logarithm of distance to a neighbour, in Taskonomy's range."""
    jump = np.zeros_like(depth)
    for axis in (0, 1):
        step = np.abs(np.diff(np.log(depth), axis=axis))
        before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        before[axis], after[axis] = (0, 1), (1, 0)
        jump = np.maximum(jump, np.maximum(np.pad(step, before), np.pad(step, after)))
    # Slanted planes change by a few per cent a pixel: that is no edge.
    edges: np.ndarray = np.clip(jump - 0.08, 0, None) * 0.1
    return edges


def _blobs(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    """2-D key points: the positive part of the determinant of the luminance's Hessian, as in SURF, at σ = 1.2."""
    from scipy.ndimage import gaussian_filter

    grey = rgb.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    xx, yy, xy = (gaussian_filter(grey, 1.2, order=order, mode="nearest") for order in ((0, 2), (2, 0), (1, 1)))
    response: np.ndarray = np.clip(xx * yy - 0.81 * xy**2, 0, None) * 20
    return response


def _response16(values: Float[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    raw: np.ndarray = np.round(np.clip(values, 0, 1) * 65535).astype(np.uint16)
    return raw


def _grey8(values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.repeat(np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=-1)
