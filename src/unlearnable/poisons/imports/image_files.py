"""Reads poisoned images that peers save one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")
Bar = Callable[[Iterable[int], str], Iterable[int]]
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")


def image_files(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


def numbered_files(files: list[Path], count: int, where: Path) -> list[Path]:
    """Orders `<index>.png` files by their index, the position in the clean training set.

    Raises:
        ValueError: If a name is no number, an index occurs twice or not at all, or lies beyond the set.
    """
    ordered: dict[int, Path] = {}
    for file in files:
        if not (file.stem.isascii() and file.stem.isdigit()):
            raise ValueError(f"{file} must be named by its index in the clean training set, as in 17.png.")
        index = int(file.stem)
        if index in ordered:
            raise ValueError(f"{where} has index {index} twice: {ordered[index].name} and {file.name}.")
        ordered[index] = file
    beyond = [index for index in ordered if index >= count]
    missing = [index for index in range(count) if index not in ordered]
    if beyond or missing:
        parts = [f"{len(ordered)} images for a clean training set of {count}"]
        if missing:
            parts.append(f"{len(missing)} missing, first {missing[0]}.png")
        if beyond:
            parts.append(f"{len(beyond)} beyond it, first {ordered[min(beyond)].name}")
        raise ValueError(
            f"{where} holds {'; '.join(parts)}. It must have each index once; is it made for this data set and subset?"
        )
    return [ordered[index] for index in range(count)]


def labelled_files(folder: Path, labels: Tensor, num_classes: int) -> list[Path]:
    """Orders an ImageFolder, `<class>/<name>`, by row of the clean training set, and checks the classes.

    Folders named by numbers are those classes, others are numbered in alphabetical order. If the file names are the
    numbers 0 to n − 1, each once, they are rows of the clean set (the public benchmark's ImageNet layout); otherwise
    the order is that of torchvision's `ImageFolder`, which must be the clean set's.

    Raises:
        ValueError: If counts or classes differ from the clean set's.
    """
    folders = sorted(sub for sub in folder.iterdir() if sub.is_dir())
    numbers = all(sub.name.isascii() and sub.name.isdigit() for sub in folders)
    class_of = {sub: int(sub.name) if numbers else position for position, sub in enumerate(folders)}
    if max(class_of.values()) >= num_classes:
        raise ValueError(f"{folder} has {len(folders)} class folders; the data set has {num_classes} classes.")
    found = [(file, class_of[sub]) for sub in folders for file in image_files(sub)]
    if len(found) != len(labels):
        raise ValueError(f"{folder} holds {len(found)} images; the clean training set has {len(labels)}.")
    stems = [file.stem for file, _ in found]
    if all(stem.isascii() and stem.isdigit() for stem in stems) and {int(stem) for stem in stems} == set(
        range(len(found))
    ):
        found.sort(key=lambda item: int(item[0].stem))
    elif numbers:
        found.sort(key=lambda item: (item[1], item[0].name))
    check_labels(torch.tensor([label for _, label in found]), labels, folder)
    return [file for file, _ in found]


def check_labels(found: Tensor, labels: Tensor, where: Path) -> None:
    """Raises `ValueError` unless the labels are the clean set's, row for row."""
    if len(found) != len(labels):
        raise ValueError(f"{where} holds {len(found)} images; the clean training set has {len(labels)}.")
    wrong = (found != labels).nonzero().squeeze(1)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"{where} has other labels than the clean training set in {len(wrong)} of {len(labels)} rows, first in row "
            f"{row}: {int(found[row])} instead of {int(labels[row])}. Row i must poison row i; is the order the same?"
        )


def read_images(files: list[Path], out: Tensor, bar: Bar) -> None:
    """Decodes the files into the rows of `out`, several at once.

    Raises:
        ValueError: If a file is no image or has another size; the message names it.
    """
    from PIL import Image, UnidentifiedImageError

    channels, height, width = out.shape[1:]
    mode = "L" if channels == 1 else "RGB"

    def read(row: int) -> None:
        file = files[row]
        try:
            with Image.open(file) as image:
                pixels = np.array(image.convert(mode))
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise ValueError(f"{file} cannot be read as an image ({error}).") from error
        if pixels.shape[:2] != (height, width):
            found = "×".join(map(str, pixels.shape[:2]))
            raise ValueError(f"{file} is {found} pixels; the clean images are {height}×{width}.")
        out[row] = torch.from_numpy(pixels).view(height, width, channels).movedim(-1, 0)

    with ThreadPoolExecutor() as pool:
        chunk = 512
        for start in bar(range(0, len(files), chunk), "folder: images"):
            list(pool.map(read, range(start, min(start + chunk, len(files)))))
