"""Ray casting of a room into a picture and its Taskonomy domains, and their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8, UInt16

from unlearnable.data.rooms_light import picture, random_light
from unlearnable.data.rooms_mesh import Mesh, directions_of
from unlearnable.data.rooms_parts import Rng
from unlearnable.data.rooms_scene import SCENES, Scene, camera, make_scene
from unlearnable.data.taskonomy_domains import DEPTH_UNIT, NO_DEPTH

SUPERSAMPLING = 2  # rays a pixel, each way, for the picture; the domains take one through the pixel's centre


def render_view(
    rng: Rng, scene: Scene, mesh: Mesh, size: int
) -> dict[str, UInt8[np.ndarray, "..."] | UInt16[np.ndarray, "..."] | Float[np.ndarray, " k"]]:
    """One view of a room: domain → what its file holds."""
    origin, axes, reach = camera(rng, scene)
    colours = picture(mesh, origin, axes, reach, size * SUPERSAMPLING, random_light(rng, scene.size))
    blocks = colours.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean((1, 3))
    # Exposed so that what is near stays below white and its shading shows.
    film = 0.65 * blocks + rng.normal(0, 0.005, blocks.shape)
    rgb = np.round(np.clip(film, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)

    directions = directions_of(axes, reach, size)
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
    """2-D key points: the positive part of the determinant of the luminance's Hessian, as in SURF, at σ = 1.6."""
    from scipy.ndimage import gaussian_filter

    grey = rgb.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    xx, yy, xy = (gaussian_filter(grey, 1.6, order=order, mode="nearest") for order in ((0, 2), (2, 0), (1, 1)))
    response: np.ndarray = np.clip(xx * yy - 0.81 * xy**2, 0, None) * 63
    return response


def _response16(values: Float[np.ndarray, "h w"]) -> UInt16[np.ndarray, "h w"]:
    raw: np.ndarray = np.round(np.clip(values, 0, 1) * 65535).astype(np.uint16)
    return raw


def _grey8(values: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.repeat(np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=-1)
