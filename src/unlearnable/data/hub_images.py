"""A parquet column of images, encoded or as arrays, as 8-bit pictures."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from unlearnable.data.decoding import decode

_ROWS = 1024  # arrays converted at a time: as 64-bit numbers they take eight times the memory


def read_images(column: Any, rows: Sequence[int], where: str) -> list[UInt8[Tensor, "3 h w"]]:
    """The images of some rows.

    Args:
        column: Arrow's column: encoded pictures, in structs {bytes, path} or by themselves; or nested lists (of fixed
            size or not, or tensors) of levels 0 … 255, `[h][w]`, `[h][w][c]` or `[c][h][w]` with one or three channels.
        rows: The rows to read.
        where: File and column, for messages.

    Raises:
        ValueError: if the column holds anything else, or an image cannot be decoded; the message says what was found.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    chosen = column if len(rows) == len(column) else column.take(pa.array(rows, pa.int64()))
    if kinds.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        chosen = pc.struct_field(chosen, "bytes")
    kind = chosen.type
    if any(
        is_kind(kind) for is_kind in (kinds.is_binary, kinds.is_large_binary, kinds.is_fixed_size_binary, kinds.is_null)
    ):
        return _decoded(chosen.to_pylist(), rows, where)
    array = chosen.combine_chunks()
    array = pa.concat_arrays(array.chunks) if isinstance(array, pa.ChunkedArray) else array
    if isinstance(kind, pa.FixedShapeTensorType) and not array.null_count:
        values = array.to_numpy_ndarray()
        return _pictures([values[start : start + _ROWS] for start in range(0, len(values), _ROWS)], where)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if not _is_list(array.type):
        raise ValueError(f"{where} has the type {kind}; images are encoded pictures or arrays of levels from 0 to 255.")
    return _pictures(
        [_nested(array[start : start + _ROWS], rows[start:], where) for start in range(0, len(array), _ROWS)], where
    )


def _decoded(encoded: Sequence[bytes | None], rows: Sequence[int], where: str) -> list[Tensor]:
    def one(data: bytes | None, row: int) -> Tensor:
        if data is None:
            raise ValueError(f"{where}, row {row}: there is no picture; its bytes must lie in the file itself.")
        return decode(data, f"{where}, row {row}")

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, encoded, rows))


def _is_list(kind: Any) -> bool:
    import pyarrow.types as kinds

    return kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)


def _nested(array: Any, rows: Sequence[int], where: str) -> np.ndarray:
    """Nested lists as one array; `rows` names the entries for messages."""
    import pyarrow.compute as pc

    shape = [len(array)]
    while _is_list(array.type):
        lengths = np.asarray(pc.fill_null(pc.list_value_length(array), -1))
        odd = np.flatnonzero((lengths != lengths[0]) | (lengths < 0))
        if len(odd):
            row = rows[int(odd[0]) * shape[0] // len(array)]
            raise ValueError(f"{where}, row {row}: the array is missing, ragged, or of another size than others.")
        shape.append(int(lengths[0]))
        array = array.flatten()
    if array.null_count:
        raise ValueError(f"{where}: {array.null_count} numbers are missing.")
    return np.asarray(array.to_numpy(zero_copy_only=False)).reshape(shape)


def _pictures(parts: Sequence[np.ndarray], where: str) -> list[Tensor]:
    """Arrays `[n, …]` of levels as RGB."""
    pictures: list[Tensor] = []
    for part in parts:
        with np.errstate(invalid="ignore"):  # numbers that do not fit are not equal, and are refused below
            levels = part.astype(np.uint8) if part.dtype.kind in "uif" else np.zeros(0)
        if part.dtype.kind not in "uif" or not np.array_equal(levels, part):
            found = f"from {part.min()} to {part.max()}" if part.dtype.kind in "uif" else "no numbers"
            raise ValueError(
                f"{where} has arrays of {part.dtype}, {found}; images are whole numbers from 0 to 255 (8-bit levels)."
            )
        pictures += _channels_first(torch.from_numpy(levels), where)
    if pictures and max(int(picture.max()) for picture in pictures) <= 1:
        raise ValueError(f"{where} has no number above 1; images are whole numbers from 0 to 255 (8-bit levels).")
    return pictures


def _channels_first(levels: UInt8[Tensor, "n *rest"], where: str) -> UInt8[Tensor, "n 3 h w"]:
    if levels.ndim == 3:
        levels = levels[:, None]
    first, last = (levels.ndim == 4 and levels.shape[axis] in (1, 3) for axis in (1, -1))
    if first == last:
        raise ValueError(
            f"{where} has arrays of shape {list(levels.shape[1:])}; images are [h, w], [h, w, 3] or [3, h, w]."
        )
    if last:
        levels = levels.movedim(-1, 1)
    return levels.expand(-1, 3, -1, -1).contiguous()
