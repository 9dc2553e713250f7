"""Which parquet files make a split: one whole set, or none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from unlearnable.store import file_digest

# What `datasets` writes: `train-00000-of-00002.parquet`, in older versions with a digest at its end.
_SHARD = re.compile(r"-(\d+)-of-(\d+)(?:-[0-9a-f]{16})?\.parquet")


def find_split(folder: Path, split: str) -> list[Path]:
    """The parquet files of one split in `folder` or one folder below it, in order; empty if there are none.

    They are `<split>.parquet` alone, or `<split>-00000-of-0000N.parquet` and so on, all N of them.

    Raises:
        ValueError: if there are others, several sets, or a part of one; the message has the names found.
    """
    if not folder.is_dir():
        return []
    places = [folder, *sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")]
    found = {place: files for place in places if (files := _candidates(place, split))}
    if len(found) > 1:
        raise ValueError(
            f"{folder} has files of the {split} split in several folders: {', '.join(map(str, found))}. Give the one "
            "to read as dataset.data_dir."
        )
    for place, files in found.items():
        fault = _fault(files, split)
        if fault is not None:
            raise ValueError(
                f"The {split} split in {place} is not one whole set of files: {fault}. Found {_names(files)}. It must "
                f"be {split}.parquet alone, or {split}-00000-of-0000N.parquet and so on, all N of them and no others."
            )
        return files
    return []


def _candidates(folder: Path, split: str) -> list[Path]:
    """Files that look like parts of the split; `trainval` and `train_extra` do not belong to `train`."""
    return sorted(path for path in folder.glob(f"{split}*.parquet") if re.match(rf"{split}(?!\w)", path.name))


def _fault(files: Sequence[Path], split: str) -> str | None:
    """What is wrong with the set; None if it is whole."""
    if [path.name for path in files] == [f"{split}.parquet"]:
        return None
    parts = {path: _SHARD.fullmatch(path.name.removeprefix(split)) for path in files}
    if others := [path for path, part in parts.items() if part is None]:
        return f"{_names(others)} {'is no part' if len(others) == 1 else 'are no parts'} of a set"
    totals = sorted({int(part[2]) for part in parts.values() if part})
    if len(totals) > 1:
        return f"there are parts of sets of {' and of '.join(map(str, totals))}"
    numbers = Counter(int(part[1]) for part in parts.values() if part)
    if absent := sorted(set(range(totals[0])) - set(numbers)):
        return f"of {totals[0]} parts number {', '.join(f'{number:05d}' for number in absent[:5])} is not there"
    if len(files) > totals[0]:
        return f"there are {len(files)} files for {totals[0]} parts"
    return _copies(files)


def _copies(files: Sequence[Path]) -> str | None:
    """Names two files with the same content; None if there are none."""
    sizes = Counter(path.stat().st_size for path in files)
    seen: dict[str, Path] = {}
    for path in files:
        if sizes[path.stat().st_size] > 1:
            other = seen.setdefault(file_digest(path), path)
            if other != path:
                return f"{other.name} and {path.name} have the same content"
    return None


def _names(files: Sequence[Path]) -> str:
    return f"{', '.join(path.name for path in files[:8])}{', …' if len(files) > 8 else ''}"
