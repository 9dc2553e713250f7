"""Tells whether a peer's array holds poisoned images or noise, by comparing it with the clean images."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Int64, Shaped, UInt8
from torch import Tensor

log = logging.getLogger(__name__)

Kind = Literal["auto", "images", "noise"]

_LEVELS = 255
_PLAUSIBLE = 48.0
"""Mean change of a pixel, in grey levels, above which a reading is not plausible: six times the usual ℓ∞ budget."""
_OVERSHOOT = 64
"""Grey levels by which images may leave [0, 255]: some are saved before they are clipped."""
_FOLLOWS = 0.5
"""Correlation with the clean images above which small values are images on another scale rather than noise."""
_SAMPLE = 512


@dataclass(frozen=True)
class Interpretation:
    """One way to read an array.

    Attributes:
        kind: Whether its rows are the poisoned images, or what is added to the clean ones.
        unit: What a value of one stands for, in grey levels: 255 on the [0, 1] scale, else 1.
        change: By how much it changes a pixel, in the mean, in grey levels.
    """

    kind: Literal["images", "noise"]
    unit: int
    change: float


def as_poisoned(
    array: Shaped[Tensor, "rows c h w"],
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    num_classes: int,
    path: Path,
    kind: Kind = "auto",
) -> UInt8[Tensor, "n c h w"]:
    """Turns a peer's array into poisoned images.

    Its rows are the images', or for noise the classes'. It is read as that which changes the clean images less: images
    are close to them, noise is small. Values up to one are on the [0, 1] scale, others are grey levels.

    Args:
        array: The values, of any type.
        images: Clean images.
        labels: Their classes.
        num_classes: Number of classes.
        path: Where it comes from, for messages.
        kind: What it holds; `auto` tells it as above.

    Raises:
        ValueError: If the rows are of another number, or the values are neither images nor noise.
    """
    if len(array) not in (len(images), num_classes):
        raise ValueError(
            f"{path} holds {len(array)} rows; expected one per image ({len(images)}), or for noise one per class "
            f"({num_classes}). A subset of the data set, or another one?"
        )
    per_image = len(array) == len(images)
    if kind == "images" and not per_image:
        raise ValueError(f"{path} holds {len(array)} images; the clean training set has {len(images)}.")
    if not per_image and (labels < 0).any():
        raise ValueError(
            f"{path} holds noise of {num_classes} classes, and image {int((labels < 0).nonzero()[0])} of the training set "
            "has no class. Give one row an image."
        )
    reading = tell(array, images, labels, path, kind)
    poisoned = torch.empty_like(images)
    for rows in torch.arange(len(images)).split(1024):
        part = (array[rows if per_image else labels[rows]].float() * reading.unit).round()
        clean = images[rows] if reading.kind == "noise" else 0
        poisoned[rows] = (part + clean).clamp_(0, _LEVELS).to(torch.uint8)
    return poisoned


def tell(
    array: Shaped[Tensor, "rows c h w"],
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    path: Path,
    kind: Kind = "auto",
) -> Interpretation:
    """Tells how to read an array, on a sample of the images, and says so in the log; see `as_poisoned`.

    Raises:
        ValueError: If no reading is plausible, or the values do not fit the `kind` that was asked for.
    """
    low, high = float(array.min()), float(array.max())
    found = f"{path} holds {str(array.dtype).removeprefix('torch.')} values from {low:g} to {high:g}"
    if max(-low, high) > _LEVELS + _OVERSHOOT:
        raise ValueError(f"{found}; grey levels of images lie in [0, 255], those of noise in [−255, 255].")
    rows = torch.linspace(0, len(images) - 1, min(_SAMPLE, len(images))).long()
    clean = images[rows].float()
    sample = array[rows if len(array) == len(images) else labels[rows]].float()
    # Values up to one are on the [0, 1] scale, or a little over it; noise below one grey level does not occur.
    fraction = array.is_floating_point() and max(-low, high) <= 1 + _OVERSHOOT / _LEVELS
    noise = _as_noise(sample, _LEVELS if fraction else 1)
    pictures = _as_images(sample, clean, _LEVELS if fraction else 1, low) if len(array) == len(images) else None
    if kind != "auto":
        chosen = noise if kind == "noise" else pictures
        if chosen is None:
            raise ValueError(f"{found}, which `poison.kind=images` cannot be: they lie in [0, 1] or in [0, 255].")
    elif pictures is not None and pictures.change <= _PLAUSIBLE and pictures.change < noise.change:
        chosen = pictures
    elif noise.change <= _PLAUSIBLE and (follows := _correlation(sample, clean)) < _FOLLOWS:
        chosen = noise
    else:
        as_images = "they are not in the range of images"
        if pictures is not None:
            as_images = f"as images they are {pictures.change:.1f} grey levels a pixel away from the clean ones"
        scaled = ""
        if noise.change <= _PLAUSIBLE:
            scaled = f", but follows them (correlation {follows:.2f}): images on another scale, or normalised"
        raise ValueError(
            f"{found}, which are neither images nor noise for these data: {as_images}; as noise they change a pixel by "
            f"{noise.change:.1f}{scaled}. At most {_PLAUSIBLE:g} is plausible. Is row i made for row i of this data set "
            "and subset? `poison.kind=images` or `poison.kind=noise` overrules."
        )
    scale = "on the [0, 1] scale" if chosen.unit == _LEVELS else "in grey levels"
    log.info("%s: read as %s %s, %.1f levels a pixel of change", found, chosen.kind, scale, chosen.change)
    return chosen


def _as_noise(sample: Tensor, unit: int) -> Interpretation:
    return Interpretation("noise", unit, float(sample.abs().mean()) * unit)


def _as_images(sample: Tensor, clean: Tensor, unit: int, low: float) -> Interpretation | None:
    """The reading as images; None if the values go further below black than unclipped noise does."""
    if low * unit < -_OVERSHOOT:
        return None
    return Interpretation("images", unit, float((sample * unit - clean).abs().mean()))


def _correlation(sample: Tensor, clean: Tensor) -> float:
    """Pearson's, over all pixels; 0 where one of the two is constant."""
    first, second = sample - sample.mean(), clean - clean.mean()
    scale = float(first.norm() * second.norm())
    return float((first * second).sum()) / scale if scale > 0 else 0.0
