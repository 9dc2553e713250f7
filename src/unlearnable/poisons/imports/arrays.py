"""Reads noise, or whole poisoned sets, that peers save as one array."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unlearnable.poisons.imports.unpickle import RefusedError, load_pickled_array

ARRAY_SUFFIXES = (".pt", ".pth", ".npy", ".pkl", ".pickle", ".safetensors")


def load_array(path: Path) -> tuple[Tensor, Tensor | None]:
    """Returns the array in the file, and the labels if it has them; never runs code of the file's.

    Raises:
        ValueError: If the file would run code, is broken, or does not hold one array.
    """
    if path.suffix in (".pkl", ".pickle"):
        return torch.from_numpy(np.ascontiguousarray(load_pickled_array(path))), None
    if path.suffix == ".npy":
        try:
            return torch.from_numpy(np.load(path, allow_pickle=False).copy()), None
        except (ValueError, OSError, TypeError) as error:
            raise ValueError(f"{path} cannot be read as an array of numbers without pickles ({error}).") from error
    if path.suffix == ".safetensors":
        return _load_safetensors(path)
    return _load_torch(path), None


def _load_torch(path: Path) -> Tensor:
    try:
        value = torch.load(path, weights_only=True, map_location="cpu")
    except pickle.UnpicklingError as error:
        reason = next((line.strip() for line in str(error).splitlines() if "GLOBAL" in line), str(error).split("\n")[0])
        raise RefusedError(
            f"{path} holds more than tensors, which could run code, and is not loaded ({reason}). "
            "If you trust its source, save the tensor alone."
        ) from error
    except Exception as error:  # torch raises many kinds for broken files
        raise ValueError(f"{path} cannot be read as a tensor saved by torch ({error}).") from error
    tensors = [value] if isinstance(value, Tensor) else []
    if isinstance(value, dict):
        tensors = [item for item in value.values() if isinstance(item, Tensor)]
    if len(tensors) != 1:
        raise ValueError(f"{path} must hold one tensor; found {type(value).__name__} with {len(tensors)} tensors.")
    return tensors[0].detach()


def _load_safetensors(path: Path) -> tuple[Tensor, Tensor | None]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read as safetensors ({error}).") from error
    labels = tensors.pop("labels", None)
    if len(tensors) != 1:
        raise ValueError(
            f"{path} must hold one tensor beside `labels`, the images or the noise; found {sorted(tensors)}."
        )
    return next(iter(tensors.values())), labels


def as_poisoned(array: Tensor, images: Tensor, labels: Tensor, num_classes: int, path: Path) -> Tensor:
    """Turns a peer's array into poisoned images.

    What the array means follows from its type: unsigned bytes are images; signed integers are noise in grey levels;
    floats are noise on the [0, 1] scale, so in [−1, 1]. Rows are the images', or the classes'.

    Raises:
        ValueError: If shape or range fit none of these.
    """
    shape = tuple(images.shape[1:])
    array = _channels_first(array, shape, path)
    if array.dtype == torch.uint8:
        if len(array) != len(images):
            raise ValueError(f"{path} holds {len(array)} images; the clean training set has {len(images)}.")
        return array.clone()
    levels = _grey_levels(array, path)
    if len(levels) not in (len(images), num_classes):
        raise ValueError(
            f"{path} holds noise for {len(levels)} rows; expected one per image ({len(images)}) or per class "
            f"({num_classes}). A subset of the data set, or another one?"
        )
    poisoned = torch.empty(images.shape, dtype=torch.uint8)
    for rows in torch.arange(len(images)).split(1024):
        noise = levels[rows] if len(levels) == len(images) else levels[labels[rows]]
        poisoned[rows] = (images[rows].to(torch.int16) + noise).clamp(0, 255).to(torch.uint8)
    return poisoned


def _channels_first(array: Tensor, shape: tuple[int, ...], path: Path) -> Tensor:
    if tuple(array.shape[1:]) == shape:
        return array
    if tuple(array.shape[1:]) == (*shape[1:], shape[0]):
        return array.movedim(-1, 1)
    raise ValueError(
        f"{path} has shape {tuple(array.shape)}; expected [rows, {', '.join(map(str, shape))}] or "
        f"[rows, {', '.join(map(str, (*shape[1:], shape[0])))}]."
    )


def _grey_levels(array: Tensor, path: Path) -> Tensor:
    """Noise in whole grey levels, as 16-bit integers."""
    if not array.is_floating_point():
        low, high = int(array.min()), int(array.max())
        if low < -255 or high > 255:
            raise ValueError(f"{path} holds integer noise from {low} to {high}; grey levels lie in [−255, 255].")
        return array.to(torch.int16)
    if not torch.isfinite(array).all():
        raise ValueError(f"{path} holds noise that is not finite.")
    largest = float(array.abs().max())
    if largest > 1:
        raise ValueError(
            f"{path} holds noise up to {largest:g}; on the [0, 1] pixel scale it lies in [−1, 1]. "
            "If it is in grey levels, save it as integers, or divide by 255."
        )
    return (array.float() * 255).round().to(torch.int16)
