"""Files that are written whole or not at all, and JSON without NaN."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`, with the same suffix, and renames it to `path` once the file is written.

    A reader, or an interruption, sees the old file or the new one, never a part. If the block raises, the old one stays.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_temporaries(folder: Path) -> None:
    """Removes what `whole_file` left in a folder, and those in it, when its process was killed; others must not write."""
    for path in folder.rglob(".*"):
        if re.match(r"\.\d+\.", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a text (as UTF-8) or bytes, whole or not at all, even if the power fails."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def finite(value: Any) -> Any:
    """`value` for JSON: numbers that are not finite become None, arrays and tuples lists, at any depth.

    JSON has no NaN: null says that there is no number.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return value
