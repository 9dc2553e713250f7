"""Image files as 8-bit pictures, or as the numbers they store; whatever has no clear meaning is refused."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_OPAQUE = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")
_ALPHA = ("LA", "PA", "La", "RGBA", "RGBa")
#: Most pixels of a picture, 8192 × 8192: a small file can claim to be of any size, and would fill the memory.
MOST_PIXELS = 2**26
_FAULTS = (OSError, SyntaxError, ValueError, TypeError, EOFError, struct.error)


def decode(data: bytes, where: str) -> UInt8[Tensor, "3 h w"]:
    """Decodes one JPEG, PNG or other picture to 8-bit RGB.

    Grey, palette, CMYK and YCbCr become RGB. 16-bit grey is scaled by 255/65535 and rounded; of 16-bit colour Pillow
    keeps the upper eight bits. An alpha channel is left out if all of it is opaque.

    Raises:
        ValueError: if it cannot be decoded, has transparent pixels (whose colour depends on what lies behind them), or
            has values with no known white, such as floating-point numbers; `where` says which it is.
    """
    with _opened(data, where) as image:
        if image.mode in _SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM")):
            values = np.asarray(image).astype(np.float64)
            if "transparency" in image.info and (values == image.info["transparency"]).any():
                raise _refusal(where, "it has transparent pixels, which have no colour of their own. Flatten it")
            pixels = np.repeat(np.rint(values * 255 / 65535).astype(np.uint8)[..., None], 3, axis=-1)
        elif image.mode in _ALPHA or (image.mode in _OPAQUE and "transparency" in image.info):
            rgba = np.asarray(image.convert("RGBA"))
            if rgba[..., 3].min() < 255:
                raise _refusal(where, "it has transparent pixels, which have no colour of their own. Flatten it")
            pixels = rgba[..., :3]
        elif image.mode in _OPAQUE:
            pixels = np.array(image.convert("RGB"))
        else:
            raise _refusal(
                where,
                f"its values have Pillow's mode {image.mode!r}, which has no defined white. Use 8 or 16 bits",
            )
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)))


def stored_values(data: bytes, where: str, *, codes: bool = False) -> np.ndarray:
    """The numbers that an image file stores, `[h, w]` or `[h, w, c]`, as uint8 or uint16 by its bit depth.

    Args:
        data: The file's content.
        where: Its name, for messages.
        codes: Whether the numbers are codes, such as classes: a palette's indices and numbers of fewer than eight bits
            are then taken as they are; otherwise they stand for colours and levels of grey.

    Raises:
        ValueError: if it cannot be decoded, or has 16 bits in several channels.
    """
    with _opened(data, where) as image:
        bits, colour_type = _png_header(data)
        if bits == 16 and colour_type != 0:
            raise _refusal(where, "it has 16 bits in several channels, of which Pillow keeps eight. Use one channel")
        if image.mode in _SIXTEEN or (image.mode == "I" and bits == 16):
            return np.asarray(image).astype(np.uint16)
        if codes and image.mode == "1":
            return np.asarray(image).astype(np.uint8)
        if codes and image.mode == "L" and bits in (2, 4):
            return np.asarray(image) // (255 // (2**bits - 1))  # Pillow has turned them into grey levels
        if image.mode in ("1", "PA") or (image.mode == "P" and not codes):
            return np.asarray(image.convert("L" if image.mode == "1" else "RGB"))
        return np.asarray(image)


@contextmanager
def _opened(data: bytes, where: str) -> Iterator[Any]:
    """The image, its pixels loaded."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is lower
            image = Image.open(io.BytesIO(data))
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"it is {image.width}×{image.height} pixels large, more than {MOST_PIXELS} in all")
        image.load()
    except UnidentifiedImageError as error:
        raise ValueError(f"{where}: not a readable image (its format is none that is known).") from error
    except (*_FAULTS, Image.DecompressionBombError) as error:
        raise ValueError(f"{where}: not a readable image ({error}).") from error
    with image:
        yield image


def _png_header(data: bytes) -> tuple[int, int]:
    """Bits a sample and colour type of a PNG file; (8, 0) for other files."""
    return (data[24], data[25]) if data[:8] == b"\x89PNG\r\n\x1a\n" else (8, 0)


def _refusal(where: str, reason: str) -> ValueError:
    return ValueError(f"{where}: the image cannot be taken as a picture of 8 bits: {reason}.")
