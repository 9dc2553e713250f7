"""Reads the files in which peers save noise, or whole poisoned sets, as one array; what it means is `meaning.py`'s."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from unlearnable.poisons.imports.unpickle import RefusedError, load_pickled_array

ARRAY_SUFFIXES = (".pt", ".pth", ".npy", ".pkl", ".pickle", ".safetensors")


def load_array(path: Path, image_shape: tuple[int, ...]) -> tuple[Tensor, Tensor | None]:
    """Returns the array in the file as `[rows, c, h, w]`, and the labels if it has them; never runs code of the file's.

    Args:
        path: The file; its suffix, one of `ARRAY_SUFFIXES`, tells the format.
        image_shape: Channels, height and width of the clean images; the array may have its channels last.

    Raises:
        ValueError: If the file would run code, is broken, or does not hold one array of numbers of that shape.
    """
    labels = None
    if path.suffix in (".pkl", ".pickle"):
        array = _from_numpy(load_pickled_array(path), path)
    elif path.suffix == ".npy":
        array = _from_numpy(_load_npy(path), path)
    elif path.suffix == ".safetensors":
        array, labels = _load_safetensors(path)
    else:
        array = _load_torch(path)
    return _channels_first(_of_numbers(array, path), image_shape, path), labels


def _load_npy(path: Path) -> np.ndarray:
    try:
        value = np.load(path, allow_pickle=False, mmap_mode="r")  # refuses a header that claims more than the file has
    except Exception as error:  # a broken header can raise nearly anything
        raise ValueError(f"{path} cannot be read as an array of numbers without pickles ({error}).") from error
    if not isinstance(value, np.ndarray):
        raise ValueError(f"{path} must hold one array; found an archive of {value.files}. Save the one that is meant.")
    return np.array(value)


def _from_numpy(array: np.ndarray, path: Path) -> Tensor:
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{path} must hold an array of numbers; found one of {array.dtype}.")
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)  # torch computes with signed integers alone
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("=")))


def _load_torch(path: Path) -> Tensor:
    _check_archive(path)
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
    if isinstance(value, dict):
        tensors = {str(name): item for name, item in value.items() if isinstance(item, Tensor)}
        if len(tensors) != 1:
            raise ValueError(f"{path} must hold one tensor; found a dictionary with the tensors {sorted(tensors)}.")
        value = next(iter(tensors.values()))
    if isinstance(value, (list, tuple)):
        raise ValueError(
            f"{path} must hold one tensor [rows, …]; found a {type(value).__name__} of {len(value)} values. "
            "If they are the rows, save torch.stack of them."
        )
    if not isinstance(value, Tensor):
        raise ValueError(f"{path} must hold one tensor; found {type(value).__name__}.")
    return value.detach()


def _check_archive(path: Path) -> None:
    """Refuses a zip archive, as torch writes them, that unpacks to more than it is, or has names beyond itself."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # none, or a broken one: torch says what is wrong
    if any(PurePosixPath(member.filename).is_absolute() or ".." in member.filename for member in members):
        raise RefusedError(f"{path} has members whose names lead out of it, and is not loaded.")
    if sum(member.file_size for member in members) > 2 * path.stat().st_size:
        raise RefusedError(
            f"{path} unpacks to more than twice its size, which torch's files do not, and is not loaded."
        )


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


def _of_numbers(array: Tensor, path: Path) -> Tensor:
    """The array, if it has values that can be counted with."""
    if array.is_complex() or array.dtype == torch.bool:
        raise ValueError(f"{path} must hold images or noise in real numbers; found {array.dtype}.")
    if array.numel() == 0:
        raise ValueError(f"{path} holds no values; its shape is {tuple(array.shape)}.")
    if array.dtype in (torch.uint16, torch.uint32, torch.uint64):
        array = array.to(torch.int64)
    if array.is_floating_point() and not torch.isfinite(array).all():
        raise ValueError(f"{path} holds values that are not finite.")
    return array


def _channels_first(array: Tensor, shape: tuple[int, ...], path: Path) -> Tensor:
    if shape[0] == 1 and tuple(array.shape[1:]) == shape[1:]:
        return array.unsqueeze(1)  # grey images without an axis for their one channel
    if tuple(array.shape[1:]) == shape:
        return array
    if tuple(array.shape[1:]) == (*shape[1:], shape[0]):
        return array.movedim(-1, 1)
    raise ValueError(
        f"{path} has shape {tuple(array.shape)}; expected [rows, {', '.join(map(str, shape))}] or "
        f"[rows, {', '.join(map(str, (*shape[1:], shape[0])))}]."
    )
