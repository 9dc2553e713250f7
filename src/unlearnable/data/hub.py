"""Reads image classification sets in the form the Hugging Face hub gives them: parquet files, a row an image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from unlearnable.data.hub_images import read_images
from unlearnable.data.samples import Samples, stratified
from unlearnable.data.targets import read_labels

_IMAGE_COLUMNS = ("img", "image")


def read_split(
    files: Sequence[Path],
    *,
    class_names: Sequence[str],
    label_columns: Sequence[str] = ("label",),
    shape: tuple[int, int, int] | None = None,
    subset: int | None = None,
    what: str = "dataset.subset",
) -> Samples:
    """Decodes one split, or a stratified part of it, in the files' order.

    Args:
        files: The split's parquet files, with a column `img` or `image`, see `read_images`, and a column of labels:
            whole numbers or names of classes.
        class_names: The classes' names, by index.
        label_columns: Names the label column may have; the first that is there counts.
        shape: The (channels, height, width) every image must have; None takes the first image's.
        subset: How many images; None takes all. Only these are decoded.
        what: The name of that option, for the message.

    Raises:
        ValueError: if a file is corrupt, has other columns or labels, or an image has another shape; the message names
            the file (and column and row).
    """
    tables = [_read_table(file, label_columns, class_names) for file in files]
    labels = torch.cat([table.labels for table in tables])
    rows = torch.arange(len(labels)) if subset is None else stratified(labels, subset, what=what)
    images: list[Tensor] = []
    start = 0
    for table in tables:  # `rows` ascend, so a file's are together
        own = rows[(rows >= start) & (rows < start + len(table.labels))] - start
        start += len(table.labels)
        decoded = read_images(table.images, own.tolist(), f"{table.file}, column {table.name!r}")
        for image, row in zip(decoded, own.tolist(), strict=True):
            expected = shape or tuple((images or decoded)[0].shape)
            if tuple(image.shape) != expected:
                raise ValueError(
                    f"{table.file}, row {row}: the image has shape {tuple(image.shape)}; expected {expected}."
                )
        images += decoded
    return Samples(torch.stack(images), labels[rows])


@dataclass(frozen=True)
class _Table:
    """A file's columns: images as they are stored, and checked labels."""

    file: Path
    name: str
    images: Any
    labels: Int64[Tensor, " n"]


def _read_table(file: Path, label_columns: Sequence[str], class_names: Sequence[str]) -> _Table:
    import pyarrow
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
        image = next((name for name in _IMAGE_COLUMNS if name in schema.names), None)
        label = next((name for name in label_columns if name in schema.names), None)
        if image is None or label is None:
            raise ValueError(
                f"{file} has the columns {schema.names}; it needs one of {list(_IMAGE_COLUMNS)} and one of "
                f"{list(label_columns)}."
            )
        table: Any = pq.read_table(file, columns=[image, label])
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as parquet ({str(error).splitlines()[0]}). It is corrupt or incomplete: fetch it again."
        ) from error
    labels = _labels(table[label], class_names, _stored_names(schema, label), f"{file}, column {label!r}")
    return _Table(file, image, table[image], labels)


def _labels(column: Any, names: Sequence[str], stored_names: Sequence[str], where: str) -> Int64[Tensor, " n"]:
    """Class indices in the order of `names`, of numbers or names; `stored_names` is what the file says of numbers."""
    import pyarrow.types as kinds

    if kinds.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    known = len(stored_names) == len(names)
    values = column.to_numpy() if kinds.is_integer(column.type) and not column.null_count else column.to_pylist()
    if kinds.is_string(column.type) or kinds.is_large_string(column.type):
        by_name = known and not set(values) <= set(names)
        return read_labels(values, stored_names if by_name else names, where=lambda row: f"{where}, row {row}")
    labels = read_labels(values, names, where=lambda row: f"{where}, row {row}")
    if known and set(stored_names) == set(names):  # numbered in another order, perhaps
        labels = torch.tensor([names.index(name) for name in stored_names])[labels]
    return labels


def _stored_names(schema: Any, column: str) -> list[str]:
    """The names of classes that `datasets` wrote to the file's metadata; none if it did not."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (TypeError, KeyError, ValueError):
        return []
    return [str(name) for name in names]
