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
from torch import Tensor

from unlearnable.data.taskonomy_arrays import mean_direction, mean_of_known, nearest, read_array
from unlearnable.tasks import Classification, Depth, Grouping, Heatmap, Normals, Segmentation, Task, ValueMap

#: Metres a step of 16-bit depth.
DEPTH_UNIT = 1 / 512
#: 16-bit depth where there is none.
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


class StoredTypeError(ValueError):
    """A file's numbers are not of its domain's type, so that their meaning is not known."""


@dataclass(frozen=True)
class Domain:
    """How a domain is read.

    Attributes:
        task: Kind of task.
        channels: Length of the prediction; 0 where the file says (the number of scores in a class file).
        decode: Stored array → values: `[h, w]` integers with −1, or `[c, h, w]` floats with NaN, where there is none;
            depth in steps; `[k]` scores of classes.
        bits: Of a stored number; 0 takes any.
        unit: Metres a step of depth; 0 for other domains.
        resize: To a side in pixels, by the rule of its values.
        geometric: Whether it comes from the mesh, so that it has no value where the view's depth has none.
    """

    task: type[Task]
    channels: int
    decode: Callable[[np.ndarray], np.ndarray]
    bits: int = 8
    unit: float = 0.0
    resize: Callable[[Tensor, int], Tensor] = mean_of_known
    geometric: bool = False

    def read(self, path: Path, *, unit: float | None = None) -> Tensor:
        """The values of a file.

        Args:
            path: A `.png` or `.npy` file.
            unit: Metres a step of depth; None takes `self.unit`, which goes with files of 16 bits alone.

        Raises:
            StoredTypeError: if its numbers are not of the domain's type.
            ValueError: if it cannot be decoded, or its values are not as expected.
        """
        stored = read_array(path, codes=self._integers)
        kind, bits = stored.dtype.kind, 8 * stored.dtype.itemsize
        if self.bits and not (self.unit and unit) and (kind != "u" or bits != self.bits):
            raise StoredTypeError(
                f"{path} stores numbers of type {stored.dtype}; this domain's have {self.bits} bits, without a sign."
                + (
                    " If its depth has another unit, give it: dataset.depth_unit, in metres a step."
                    if self.unit
                    else ""
                )
            )
        if self._integers and kind not in "ui":
            raise StoredTypeError(f"{path} stores numbers of type {stored.dtype}; labels are whole numbers.")
        values = torch.from_numpy(self.decode(stored))
        return values * (unit or self.unit) if self.unit else values

    def blank(self, count: int, height: int, width: int) -> Tensor:
        """Targets of `count` pictures without any value."""
        if not self.task.dense:
            return torch.full((count,), -1)
        if self._integers:
            return torch.full((count, height, width), -1)
        return torch.full((count, self.channels, height, width), float("nan"))

    @property
    def _integers(self) -> bool:
        """Whether it stores a label a pixel."""
        return issubclass(self.task, Segmentation | Grouping)


def _scores(stored: np.ndarray) -> np.ndarray:
    if stored.ndim != 1 or not np.isfinite(stored).all():
        raise ValueError(f"a class file holds one vector of finite scores; this one has shape {stored.shape}")
    return stored.astype(np.float64)


def _semantic(stored: np.ndarray) -> np.ndarray:
    labels = _grey(stored).astype(np.int64) - 1
    if labels.max() >= len(SEMANTIC_CLASSES):
        raise ValueError(f"semantic codes go from 0 to {len(SEMANTIC_CLASSES)}; this file has {labels.max() + 1}")
    return labels


def _segments(stored: np.ndarray) -> np.ndarray:
    return _grey(stored).astype(np.int64)


def _depth(stored: np.ndarray) -> np.ndarray:
    steps = _grey(stored)
    # The largest number that the file can hold marks a hole of the mesh: `NO_DEPTH` in Taskonomy's own files.
    missing = (steps <= 0) | ~np.isfinite(steps)
    if stored.dtype.kind == "u":
        missing |= steps == np.iinfo(stored.dtype).max
    return np.where(missing, np.nan, steps)[None].astype(np.float32)


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
    return (_grey(stored) / 255)[None].astype(np.float32)


def _response(ceiling: float) -> Callable[[np.ndarray], np.ndarray]:
    """A 16-bit response as a fraction of `ceiling`, cut off there."""
    return lambda stored: np.minimum(_grey(stored) / (65535 * ceiling), 1)[None].astype(np.float32)


def _grey(stored: np.ndarray) -> np.ndarray:
    if stored.ndim == 3:  # some exports repeat the one channel
        colours = stored[..., : 3 if stored.shape[-1] > 2 else 1]  # without the opacity
        if (colours != colours[..., :1]).any():
            raise ValueError("one channel is expected; this file has colours, which do not say the values")
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
        "class_scene": Domain(Classification, 0, _scores, bits=0),
        "class_object": Domain(Classification, 0, _scores, bits=0),
        "segment_semantic": Domain(Segmentation, len(SEMANTIC_CLASSES), _semantic, bits=0, resize=nearest),
        "segment_unsup2d": Domain(Grouping, 8, _segments, bits=0, resize=nearest),
        "segment_unsup25d": Domain(Grouping, 8, _segments, bits=0, resize=nearest),
        "depth_zbuffer": Domain(Depth, 1, _depth, bits=16, unit=DEPTH_UNIT, resize=nearest),
        "depth_euclidean": Domain(Depth, 1, _depth, bits=16, unit=DEPTH_UNIT, resize=nearest),
        "normal": Domain(Normals, 3, _normal, resize=mean_direction, geometric=True),
        "keypoints2d": Domain(Heatmap, 1, _response(0.025), bits=16),
        "keypoints3d": Domain(Heatmap, 1, _response(1.0), bits=16, geometric=True),
        "edge_texture": Domain(Heatmap, 1, _response(0.25), bits=16),
        "edge_occlusion": Domain(Heatmap, 1, _response(0.04), bits=16, geometric=True),
        "reshading": Domain(ValueMap, 1, _reshading, geometric=True),
        "principal_curvature": Domain(ValueMap, 2, _curvature, geometric=True),
    }
)
