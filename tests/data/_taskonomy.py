"""A small tree in Taskonomy's layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from unlearnable.data.taskonomy import Taskonomy

SIZE = 16


def put(root: Path, domain: str, building: str, view: int, values: np.ndarray) -> Path:
    place = root / domain / building
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"point_0_view_{view}_domain_{domain}"
    if values.ndim == 1:
        np.save(path.with_suffix(".npy"), values)
        return path.with_suffix(".npy")
    Image.fromarray(values).save(path.with_suffix(".png"))
    return path.with_suffix(".png")


def make_tree(root: Path, views: int = 8, building: str = "house") -> Path:
    """Views whose red channel is their number; depth falls from the left half (1 m) to the right (2 m)."""
    for view in range(views):
        rgb = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
        rgb[..., 0] = view
        put(root, "rgb", building, view, rgb)
        depth = np.full((SIZE, SIZE), 512, dtype=np.uint16)
        depth[:, SIZE // 2 :] = 1024
        depth[0, 0] = 65535
        put(root, "depth_euclidean", building, view, depth)
        put(root, "class_scene", building, view, np.eye(3, dtype=np.float32)[view % 3])
    return root


def open_tree(root: Path, **options: object) -> Taskonomy:
    return Taskonomy(root, **{"split": "views", "tasks": ["class_scene", "depth_euclidean"], **options})
