"""Reads a pickled numpy array without running what else the file may ask for."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

# What numpy itself writes for an array, by pickle protocol and numpy version. None of these runs code of the file's.
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
    ("_codecs", "encode"),  # protocol 2 writes the bytes as text
}


class RefusedError(ValueError):
    """A file asks for more than plain numbers."""


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, file: Any, path: Path) -> None:
        super().__init__(file)
        self.path = path

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise RefusedError(
                f"{self.path} asks for {module}.{name}, which could run code; only plain numpy arrays are admitted. "
                "If you trust its source, convert it to .npy or .safetensors yourself."
            )
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedError(f"{self.path} refers to objects outside the file ({pid!r}); only numpy arrays are admitted.")


def load_pickled_array(path: Path) -> np.ndarray:
    """Returns the array that the file holds.

    Raises:
        RefusedError: If the file names anything but numpy's array constructors, before it is called.
        ValueError: If the file is no pickle, or holds no array of numbers.
    """
    with path.open("rb") as file:
        try:
            value = _ArrayUnpickler(file, path).load()
        except RefusedError:
            raise
        except Exception as error:  # a broken pickle can raise nearly anything
            raise ValueError(f"{path} cannot be read as a pickled numpy array ({error}).") from error
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        found = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
        raise ValueError(f"{path} must hold a numpy array of numbers; found {found}.")
    return value
