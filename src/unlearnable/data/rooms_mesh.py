"""A room's triangles, and rays that meet them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from unlearnable.data.rooms_parts import Part


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


def directions_of(axes: np.ndarray, reach: float, size: int) -> Float[np.ndarray, "r 3"]:
    """Unit vectors through the pixels' centres, row by row."""
    grid = ((np.arange(size) + 0.5) / size * 2 - 1) * reach
    right, down = np.meshgrid(grid, grid)
    pixels: Any = np.stack([right.ravel(), down.ravel(), np.ones(size * size)], axis=1)
    directions: np.ndarray = pixels / np.linalg.norm(pixels, axis=1, keepdims=True) @ axes
    return directions
