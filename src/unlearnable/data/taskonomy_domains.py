"""Taskonomy's domains: how each is stored, in which units, what marks a missing value, how it is resized and cut.

Units and codes follow the data set's own description (Zamir et al., CVPR 2018; Omnidata, Eftekhar et al., ICCV 2021):
depth in 1/512 m with 65535 for no value; normals and curvatures 8-bit, centred at 127.5 and 127; responses of edges and
key points as 16-bit fractions of 1; semantic classes 0 (uncertain), 1 (background) and 16 of COCO's; classes as a
vector of scores in an `.npy` file. Normals are in the camera's axes: x right, y down, z into the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor
from torch.nn import functional as F

from unlearnable.tasks.base import Task

#: Metres a step of 16-bit depth.
DEPTH_UNIT = 1 / 512
NO_DEPTH = 65535
#: Codes of `segment_semantic` from 1 on; 0 is "uncertain" and takes part in neither loss nor metric.
SEMANTIC_CLASSES = (
    "background",
    "bottle",
    "chair",
    "couch",
    "plant",
    "bed",
    "dining table",
    "toilet",
    "tv",
    "microwave",
    "oven",
    "toaster",
    "sink",
    "refrigerator",
    "book",
    "clock",
    "vase",
)


@dataclass(frozen=True)
class Domain:
    """How a domain is read.

    Attributes:
        kind: Kind of task, see `unlearnable.tasks.base.KINDS`.
        channels: Length of the prediction; 0 where the file says (the number of scores in a class file).
        decode: Stored array → values: `[h, w]` integers with −1, or `[c, h, w]` floats with NaN, where there is none.
        suffix: Of its files.
        geometric: Whether it comes from the mesh, so that it has no value where the view's depth has none.
    """

    kind: str
    channels: int
    decode: Callable[[np.ndarray], np.ndarray]
    suffix: str = ".png"
    geometric: bool = False

    def task(self, name: str, channels: int | None = None) -> Task:
        """The task of predicting it."""
        return Task(name, self.kind, channels or self.channels)


def _scores(stored: np.ndarray) -> np.ndarray:
    if stored.ndim != 1 or not np.isfinite(stored).all():
        raise ValueError(f"a class file holds one vector of finite scores; this one has shape {stored.shape}")
    return np.asarray(stored.argmax(), dtype=np.int64)


def _semantic(stored: np.ndarray) -> np.ndarray:
    labels = _grey(stored).astype(np.int64) - 1
    if labels.max() >= len(SEMANTIC_CLASSES):
        raise ValueError(f"semantic codes go from 0 to {len(SEMANTIC_CLASSES)}; this file has {labels.max() + 1}")
    return labels


def _segments(stored: np.ndarray) -> np.ndarray:
    return _grey(stored).astype(np.int64)


def _depth(stored: np.ndarray) -> np.ndarray:
    raw = _grey(stored)
    missing = (raw == 0) | (raw == NO_DEPTH)
    return np.where(missing, np.nan, raw * DEPTH_UNIT)[None].astype(np.float32)


def _normal(stored: np.ndarray) -> np.ndarray:
    raw = _colour(stored)
    vectors = raw / 127.5 - 1
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    # Grey (127 or 128 in each channel) marks the holes of the mesh; it has no direction.
    missing = (np.abs(raw - 127.5) <= 1.5).all(-1, keepdims=True) | (length < 0.5)
    return np.moveaxis(np.where(missing, np.nan, vectors / np.maximum(length, 1e-6)), -1, 0).astype(np.float32)


def _curvature(stored: np.ndarray) -> np.ndarray:
    raw = _colour(stored)[..., :2]
    missing = (raw == 0).all(-1, keepdims=True)
    return np.moveaxis(np.where(missing, np.nan, raw / 127 - 1), -1, 0).astype(np.float32)


def _reshading(stored: np.ndarray) -> np.ndarray:
    raw = stored[..., 0] if stored.ndim == 3 else stored
    return (raw / 255)[None].astype(np.float32)


def _response(ceiling: float) -> Callable[[np.ndarray], np.ndarray]:
    """A 16-bit response as a fraction of `ceiling`, cut off there."""
    return lambda stored: np.minimum(_grey(stored) / (65535 * ceiling), 1)[None].astype(np.float32)


def _grey(stored: np.ndarray) -> np.ndarray:
    if stored.ndim == 3:  # some exports repeat the one channel
        stored = stored[..., 0]
    if stored.ndim != 2:
        raise ValueError(f"one channel is expected; this file has shape {stored.shape}")
    return stored.astype(np.float64)


def _colour(stored: np.ndarray) -> np.ndarray:
    if stored.ndim != 3 or stored.shape[-1] < 3:
        raise ValueError(f"three channels are expected; this file has shape {stored.shape}")
    return stored[..., :3].astype(np.float64)


# The ceilings of 2-D key points (0.025), texture edges (0.25) and occlusion edges (0.04) are those that MultiMAE's
# Taskonomy configuration gives: beyond lie a few pixels only, and the rest would be squeezed to nothing.
DOMAINS: Mapping[str, Domain] = MappingProxyType(
    {
        "class_scene": Domain("class", 0, _scores, ".npy"),
        "class_object": Domain("class", 0, _scores, ".npy"),
        "segment_semantic": Domain("segmentation", len(SEMANTIC_CLASSES), _semantic),
        "segment_unsup2d": Domain("grouping", 8, _segments),
        "segment_unsup25d": Domain("grouping", 8, _segments),
        "depth_zbuffer": Domain("depth", 1, _depth),
        "depth_euclidean": Domain("depth", 1, _depth),
        "normal": Domain("normal", 3, _normal, geometric=True),
        "keypoints2d": Domain("heatmap", 1, _response(0.025)),
        "keypoints3d": Domain("heatmap", 1, _response(1.0), geometric=True),
        "edge_texture": Domain("heatmap", 1, _response(0.25)),
        "edge_occlusion": Domain("heatmap", 1, _response(0.04), geometric=True),
        "reshading": Domain("map", 1, _reshading, geometric=True),
        "principal_curvature": Domain("map", 2, _curvature, geometric=True),
    }
)


def read_array(path: Path) -> np.ndarray:
    """The stored array of a `.png` or `.npy` file.

    Raises:
        ValueError: if the file cannot be decoded.
    """
    from PIL import Image

    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        with Image.open(path) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def masked(values: Tensor, missing: Tensor) -> Tensor:
    """`values` with no value where `missing` `[h, w]` is true."""
    filler = float("nan") if values.is_floating_point() else -1
    return values.masked_fill(missing, filler)


def resize(values: Tensor, kind: str, size: int) -> Tensor:
    """Resizes `[h, w]` labels or `[c, h, w]` values to `size` × `size`, by the rule of the kind.

    Labels and depth take the nearest pixel, since a mean of classes, or of the distances of two surfaces, is neither;
    other values are means over the area, of the pixels that have one (at least half must); normals become unit vectors
    again.
    """
    if values.shape[-2:] == (size, size) or kind == "class":
        return values
    if kind in ("segmentation", "grouping", "depth"):
        return nearest(values, size)
    missing = values.isnan()
    share = _area((~missing).float(), size)
    mean = _area(values.nan_to_num(0.0), size) / share
    mean[share < 0.5] = float("nan")
    return F.normalize(mean, dim=0) if kind == "normal" else mean


def nearest(values: Shaped[Tensor, "*c h w"], size: int) -> Shaped[Tensor, "*c s s"]:
    """The pixel at the centre of each of `size` × `size` areas."""
    height, width = values.shape[-2:]
    rows = ((torch.arange(size) + 0.5) * height / size).long()
    columns = ((torch.arange(size) + 0.5) * width / size).long()
    return values[..., rows[:, None], columns]


def _area(values: Float[Tensor, "c h w"], size: int) -> Float[Tensor, "c s s"]:
    return F.interpolate(values[None], size=(size, size), mode="area")[0]


def resize_rgb(image: np.ndarray, size: int | None) -> Tensor:
    """An 8-bit image `[h, w, 3]` as `[3, s, s]`, by area; of its own size for None."""
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    if image.dtype != np.uint8 or image.shape[-1] < 3:
        raise ValueError(f"an 8-bit colour image is expected; this file has {image.dtype} of shape {image.shape}")
    pixels = torch.from_numpy(np.ascontiguousarray(np.moveaxis(image[..., :3], -1, 0)))
    if size is None or pixels.shape[-2:] == (size, size):
        return pixels
    return _area(pixels.float(), size).round().to(torch.uint8)


def tiles(values: Shaped[Tensor, "*c h w"], side: int) -> Shaped[Tensor, "t *c s s"]:
    """Cuts the last two axes into tiles of `side` × `side`, row by row; what does not fill a tile is left out."""
    height, width = values.shape[-2:]
    rows, columns = height // side, width // side
    cut = values[..., : rows * side, : columns * side]
    cut = cut.reshape(*cut.shape[:-2], rows, side, columns, side)
    return cut.movedim((-4, -2), (0, 1)).flatten(0, 1).contiguous()


def as_class(values: Tensor, count: int) -> Int64[Tensor, " t"]:
    """One class for each of `count` tiles."""
    return values.reshape(1).expand(count).clone()
