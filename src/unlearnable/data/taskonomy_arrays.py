"""Arrays of Taskonomy's domains: read from files, resized, cut into tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from unlearnable.data.decoding import decode, stored_values


def read_array(path: Path, *, codes: bool = False) -> np.ndarray:
    """The stored array of a `.png` or `.npy` file; see `stored_values` for `codes`.

    Raises:
        ValueError: if the file cannot be decoded.
    """
    try:
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        return stored_values(path.read_bytes(), path.name, codes=codes)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def read_rgb(path: Path, size: int | None) -> UInt8[Tensor, "3 h w"]:
    """A picture, resized to `size` × `size` by area; of its own size for None.

    Raises:
        ValueError: if the file cannot be decoded.
    """
    try:
        pixels = decode(path.read_bytes(), path.name)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if size is None or pixels.shape[-2:] == (size, size):
        return pixels
    return _area(pixels.float(), size).round().to(torch.uint8)


def masked(values: Tensor, missing: Tensor) -> Tensor:
    """`values` with no value where `missing` `[h, w]` is true."""
    filler = float("nan") if values.is_floating_point() else -1
    return values.masked_fill(missing, filler)


def nearest(values: Shaped[Tensor, "*c h w"], size: int) -> Shaped[Tensor, "*c s s"]:
    """The pixel at the centre of each of `size` × `size` areas.

    For labels and depth, since a mean of classes, or of the distances of two surfaces, is neither.
    """
    height, width = values.shape[-2:]
    rows = ((torch.arange(size) + 0.5) * height / size).long()
    columns = ((torch.arange(size) + 0.5) * width / size).long()
    return values[..., rows[:, None], columns]


def mean_of_known(values: Float[Tensor, "c h w"], size: int) -> Float[Tensor, "c s s"]:
    """Means over `size` × `size` areas, of the pixels that have a value; at least half of an area's must."""
    missing = values.isnan()
    share = _area((~missing).float(), size)
    mean = _area(values.nan_to_num(0.0), size) / share
    mean[share < 0.5] = float("nan")
    return mean


def mean_direction(values: Float[Tensor, "c h w"], size: int) -> Float[Tensor, "c s s"]:
    """As `mean_of_known`, made unit vectors again."""
    return F.normalize(mean_of_known(values, size), dim=0)


def _area(values: Float[Tensor, "c h w"], size: int) -> Float[Tensor, "c s s"]:
    return F.interpolate(values[None], size=(size, size), mode="area")[0]


def tiles(values: Shaped[Tensor, "*c h w"], side: int) -> Shaped[Tensor, "t *c s s"]:
    """Cuts the last two axes into tiles of `side` × `side`, row by row; what does not fill a tile is left out."""
    height, width = values.shape[-2:]
    rows, columns = height // side, width // side
    cut = values[..., : rows * side, : columns * side]
    cut = cut.reshape(*cut.shape[:-2], rows, side, columns, side)
    return cut.movedim((-4, -2), (0, 1)).flatten(0, 1).contiguous()
