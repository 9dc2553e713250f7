"""Files of images that several tests write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray, image_format: str = "png", mode: str | None = None) -> bytes:
    """An image file's content."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(buffer, image_format)
    return buffer.getvalue()


def png(values: np.ndarray, bits: int, colour_type: int) -> bytes:
    """A PNG of any bit depth (1 to 16) and colour type (0 grey, 2 RGB, 6 RGBA), which Pillow cannot write."""
    lines = values.reshape(len(values), -1)
    if bits == 16:
        rows = [line.astype(">u2").tobytes() for line in lines]
    else:
        rows = [
            np.packbits(np.unpackbits(line.astype("u1")[:, None], axis=1)[:, 8 - bits :]).tobytes() for line in lines
        ]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour_type, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def write_table(
    file: Path, images: Any, labels: Any, *, image: str = "img", names: Sequence[str] | None = None
) -> Path:
    """A parquet file of images and labels; `names` are written to its metadata, as `datasets` writes a ClassLabel's."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({image: images, "label": labels})
    if names is not None:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    file.parent.mkdir(exist_ok=True, parents=True)
    pq.write_table(table, file)
    return file


def write_hub(folder: Path, split: str, count: int, seed: int = 0) -> np.ndarray:
    """`count` random PNGs with labels 0 … 9 in the hub's schema; returns the pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    images = [{"bytes": encoded(image), "path": None} for image in pixels]
    write_table(folder / f"{split}-00000-of-00001.parquet", images, [i % 10 for i in range(count)])
    return pixels


def write_folders(root: Path, split: str, per_class: int, size: tuple[int, int] = (40, 30)) -> None:
    """Class folders n01 and n02 of plain grey PNGs."""
    for cls, value in (("n01", 40), ("n02", 200)):
        (root / split / cls).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.full((*size, 3), value + number, dtype=np.uint8)
            (root / split / cls / f"{number}.png").write_bytes(encoded(pixels))
