"""Tensors in files that may be larger than the memory."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor


def mapped(path: Path, count: int, dtype: torch.dtype) -> Tensor:
    """A flat tensor that lies in a file; what is written to it is in the file. A new file, and what it lacks, is zeros.

    Its space is reserved: on a disk that is full, writing to a mapping whose file has holes kills the process.

    Args:
        path: The file; it may be there, with what was written to it.
        count: Elements.
        dtype: Their type.

    Raises:
        OSError: if there is no space for it.
    """
    size = count * dtype.itemsize
    if hasattr(os, "posix_fallocate") and size > 0:  # macOS has no such call
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    return torch.from_file(str(path), shared=True, size=count, dtype=dtype)
