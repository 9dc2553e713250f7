"""Reads image classification sets in the form the Hugging Face hub gives them: parquet files, a row an image."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from unlearnable.data.hub_images import read_images
from unlearnable.data.samples import Samples, stratified
from unlearnable.data.targets import check_named_alike, file_labels

#: A file that unpacks to more than so many times its size, and so many bytes, is made to fill the memory.
_MOST_PACKED, _UNSUSPECTED = 200, 10**9
#: Labels below this are class indices, however few samples there are.
_UNSUSPECTED_CLASSES = 1000
_IMAGE_COLUMNS = ("img", "image")


def read_split(
    files: Sequence[Path],
    *,
    class_names: Sequence[str] | None = None,
    label_columns: Sequence[str] = ("label",),
    shape: tuple[int, int, int] | None = None,
    subset: int | None = None,
    what: str = "dataset.subset",
) -> Samples:
    """Decodes one split, or a stratified part of it, in the files' order.

    Args:
        files: The split's parquet files, with a column `img` or `image`, see `read_images`, and a column of labels:
            whole numbers or names of classes.
        class_names: The classes' names, by index; None takes those of the metadata, else the labels' own, sorted.
        label_columns: Names the label column may have; the first that is there counts.
        shape: The (channels, height, width) every image must have; None takes the first image's.
        subset: How many images; None takes all. Only these are decoded.
        what: The name of that option, for the message.

    Raises:
        ValueError: if a file is corrupt, has other columns or labels, or an image has another shape; the message names
            the file (and column and row).
    """
    tables = [_read_table(file, label_columns) for file in files]
    where = ", ".join(str(table.file) for table in tables)
    names = class_names or tables[0].stored_names
    if not names:
        names = own_names([value for table in tables for value in table.labels], where=where)
        check_named_alike([(table.file, table.labels, table.stored_names) for table in tables], names)
    labels = torch.cat([_labels(table, names) for table in tables])
    if not len(labels):
        raise ValueError(f"{where}: there are no rows.")
    rows = torch.arange(len(labels)) if subset is None else stratified(labels, subset, what=what)
    images: list[Tensor] = []
    start = 0
    for table in tables:  # `rows` ascend, so a file's are together
        own = rows[(rows >= start) & (rows < start + len(table.labels))] - start
        start += len(table.labels)
        decoded = read_images(table.images, own.tolist(), f"{table.file}, column {table.image_name!r}")
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
    """A file's columns.

    Attributes:
        file: The file.
        image_name: The image column's name.
        images: Arrow's column of images.
        label_name: The label column's name.
        labels: What it holds, as Python's values.
        stored_names: The names of classes that `datasets` wrote to the file's metadata; none if it did not.
    """

    file: Path
    image_name: str
    images: Any
    label_name: str
    labels: Sequence[Any]
    stored_names: Sequence[str]


def _read_table(file: Path, label_columns: Sequence[str]) -> _Table:
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
        _check_size(file, pq.read_metadata(file))
        table: Any = pq.read_table(file, columns=[image, label])
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(
            f"{file} cannot be read as parquet ({str(error).splitlines()[0]}). It is corrupt or incomplete: "
            "fetch it again."
        ) from error
    return _Table(file, image, table[image], label, table[label].to_pylist(), stored_names(schema, label))


def _check_size(file: Path, metadata: Any) -> None:
    unpacked = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    if unpacked > max(_UNSUSPECTED, _MOST_PACKED * file.stat().st_size):
        raise ValueError(
            f"{file} unpacks to {unpacked / 1e9:.1f} GB, over {_MOST_PACKED} times its size: not a set of pictures."
        )


def _labels(table: _Table, names: Sequence[str]) -> Int64[Tensor, " n"]:
    """A file's class indices in the order of `names`."""

    def where(row: int) -> str:
        return f"{table.file}, column {table.label_name!r}, row {row}"

    return file_labels(table.labels, names, stored=table.stored_names, where=where)


def own_names(values: Sequence[Any], *, where: str) -> list[str]:
    """Class names made from the labels: the words themselves, sorted, or the numbers up to the largest.

    Args:
        values: The labels.
        where: Where they lie, for the message.

    Raises:
        ValueError: if the largest stands for many more classes than there are labels.
    """
    words = sorted({value for value in values if isinstance(value, str) and not value.isdecimal()})
    if words:
        return words
    numbers = [float(value) for value in values if isinstance(value, int | float | str)]
    largest = int(max((number for number in numbers if math.isfinite(number)), default=0))
    if largest >= max(_UNSUSPECTED_CLASSES, len(values)):
        raise ValueError(
            f"{where}: the largest of {len(values)} labels is {largest}, which would make more classes than labels. Number "
            "the classes from 0, or write their names."
        )
    return [str(number) for number in range(largest + 1)]


def stored_names(schema: Any, column: str) -> list[str]:
    """The names of classes that `datasets` wrote to a file's metadata; none if it did not."""
    try:
        names = json.loads(schema.metadata[b"huggingface"])["info"]["features"][column]["names"]
    except (TypeError, KeyError, ValueError):
        return []
    return [str(name) for name in names]
