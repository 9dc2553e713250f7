"""Reads image classification sets in the form the Hugging Face hub gives them: parquet files `<split>-*.parquet`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from unlearnable.data.samples import Samples, stratified

_IMAGE_COLUMNS = ("img", "image")


def find_split(folder: Path, split: str) -> list[Path]:
    """The parquet files of one split in `folder` or one folder below it, in order; empty if there are none."""
    for pattern in (f"{split}-*.parquet", f"{split}.parquet", f"*/{split}-*.parquet", f"*/{split}.parquet"):
        if files := sorted(folder.glob(pattern)):
            return files
    return []


def read_split(
    files: Sequence[Path],
    *,
    label_columns: Sequence[str] = ("label",),
    shape: tuple[int, int, int] | None = None,
    subset: int | None = None,
    what: str = "dataset.subset",
) -> Samples:
    """Decodes one split, or a stratified part of it, in the files' order.

    Args:
        files: The split's parquet files, with a column `img` or `image` of {bytes, path} and a column of labels.
        label_columns: Names the label column may have; the first that is there counts.
        shape: The (channels, height, width) every image must have; None takes the first image's.
        subset: How many images; None takes all. Only these are decoded.
        what: The name of that option, for the message.

    Raises:
        ValueError: if a file is corrupt or an image has another shape; the message names the file (and row).
    """
    tables = [_read_table(file, label_columns) for file in files]
    labels = torch.from_numpy(np.concatenate([table[1] for table in tables]).astype(np.int64))
    origin = [(file, row) for file, table in zip(files, tables, strict=True) for row in range(len(table[1]))]
    encoded = [data for table in tables for data in table[0]]
    rows = torch.arange(len(labels)) if subset is None else stratified(labels, subset, what=what)
    with ThreadPoolExecutor() as pool:
        decoded = list(pool.map(lambda row: decode(encoded[row], "{}, row {}".format(*origin[row])), rows.tolist()))
    expected = shape or tuple(decoded[0].shape)
    for image, row in zip(decoded, rows.tolist(), strict=True):
        if tuple(image.shape) != expected:
            file, line = origin[row]
            raise ValueError(f"{file}, row {line}: the image has shape {tuple(image.shape)}; expected {expected}.")
    return Samples(torch.stack(decoded), labels[rows])


def _read_table(file: Path, label_columns: Sequence[str]) -> tuple[list[bytes], np.ndarray]:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(file).names
        image = next((name for name in _IMAGE_COLUMNS if name in names), None)
        label = next((name for name in label_columns if name in names), None)
        if image is None or label is None:
            raise ValueError(
                f"{file} has the columns {names}; it needs one of {list(_IMAGE_COLUMNS)} and one of {list(label_columns)}."
            )
        table: Any = pq.read_table(file, columns=[image, label])
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as parquet ({str(error).splitlines()[0]}). It is corrupt or incomplete: fetch it again."
        ) from error
    images = table[image].combine_chunks()
    return images.field("bytes").to_pylist(), table[label].to_numpy()


def decode(data: bytes, where: str) -> UInt8[Tensor, "3 h w"]:
    """Decodes one JPEG or PNG to RGB.

    Raises:
        ValueError: if it cannot be decoded; `where` says which it is.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    except (UnidentifiedImageError, OSError, TypeError) as error:
        raise ValueError(f"{where}: not a readable image ({error}).") from error
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
