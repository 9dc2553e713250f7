"""Reads poisoned images that peers save one by one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from unlearnable.data.decoding import decode

log = logging.getLogger(__name__)

Bar = Callable[[Iterable[int], str], Iterable[int]]
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def image_files(folder: Path) -> list[Path]:
    """The image files directly in a folder, by name, in which numbers count as numbers: 2.png before 10.png."""
    return sorted((file for file in folder.iterdir() if _is_image(file)), key=lambda file: _natural(file.name))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.is_file()


def _natural(name: str) -> tuple[str | int, ...]:
    """A key that sorts the numbers in names as numbers; the name itself decides between 3 and 03."""
    parts = re.split("([0-9]+)", name)  # text, number, text, …: like stands beside like
    return (*(int(part) if place % 2 else part for place, part in enumerate(parts)), name)


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


def labelled_files(folder: Path, images: UInt8[Tensor, "n c h w"], labels: Tensor, num_classes: int) -> list[Path]:
    """Orders an ImageFolder, `<class>/<name>`, by row of the clean training set, and checks the classes.

    Class folders are numbered in the order of their names, or by these if they are numbers. If the file names
    are the numbers 0 to n − 1, each once, they are rows of the clean set (the public benchmark's ImageNet layout);
    otherwise rows go by class and name, and the clean set must have that order. Names are sorted with their numbers as
    numbers, or character by character as torchvision's `ImageFolder` does. Where that makes a difference, the order that
    brings the files nearest to the clean images is taken.

    Raises:
        ValueError: If counts or classes differ from the clean set's.
    """
    orders: dict[str, list[Path]] = {}
    wrong: list[ValueError] = []
    for key, how in (
        (_natural, "in order of the numbers in their names"),
        (str, "in order of their names, letter by letter"),
    ):
        for numbers in (True, False):
            try:
                found = _ordered(folder, num_classes, key, numbers=numbers)
            except ValueError as error:
                wrong.append(error)
                break  # numbers that are no classes are not counted as names instead
            try:
                check_labels(torch.tensor([label for _, label in found]), labels, folder)
            except ValueError as error:
                wrong.append(error)
                continue
            files = [file for file, _ in found]
            if files not in orders.values():
                orders[how if numbers else f"{how}, as are the folders of classes"] = files
    if not orders:
        raise wrong[0]
    rows = [row for row, choices in enumerate(zip(*orders.values(), strict=True)) if len({*choices}) > 1]
    if not rows:
        return next(iter(orders.values()))
    rows = rows[:: -(-len(rows) // 64)]
    distances = {how: _distance([order[row] for row in rows], images[rows]) for how, order in orders.items()}
    nearest, *others = sorted(distances, key=lambda how: distances[how])
    log.info(
        "%s: files are taken %s; any other order is further from the clean images (%.1f and %.1f grey levels a pixel)",
        folder,
        nearest,
        distances[nearest],
        distances[others[0]],
    )
    return orders[nearest]


def _ordered(folder: Path, num_classes: int, key: Callable[[str], Any], *, numbers: bool) -> list[tuple[Path, int]]:
    """Files with their classes, sorted by `key` of their names unless these number the rows.

    Args:
        folder: With the folders of classes.
        num_classes: Of the data set.
        key: Of names.
        numbers: Whether folders that are named by numbers are those classes, and not counted in the order of their names.
    """
    folders = sorted((sub for sub in folder.iterdir() if sub.is_dir()), key=lambda sub: key(sub.name))
    numbers = numbers and all(sub.name.isascii() and sub.name.isdigit() for sub in folders)
    class_of = {sub: int(sub.name) if numbers else position for position, sub in enumerate(folders)}
    largest = max(folders, key=lambda sub: class_of[sub])
    if class_of[largest] >= num_classes:
        raise ValueError(
            f"{folder} has {len(folders)} class folders, {largest.name} the last of them; the data set has {num_classes} "
            f"classes, and folders named by numbers are those from 0 to {num_classes - 1}."
        )
    files = [(file, class_of[sub]) for sub in folders for file in sub.iterdir() if _is_image(file)]
    stems = [file.stem for file, _ in files]
    if all(stem.isascii() and stem.isdigit() for stem in stems) and {int(stem) for stem in stems} == set(
        range(len(files))
    ):
        return sorted(files, key=lambda item: int(item[0].stem))
    return sorted(files, key=lambda item: (item[1], key(item[0].name)))


def _distance(files: list[Path], images: UInt8[Tensor, "m c h w"]) -> float:
    """Mean difference of files from clean images, in grey levels."""
    found = torch.empty_like(images)
    read_images(files, found, lambda rows, _: rows)
    return float((found.float() - images.float()).abs().mean())


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
        ValueError: If a file is no image of 8 bits, or has another size or colours where the clean images have none; the
            message names it.
    """
    channels, height, width = out.shape[1:]

    def read(row: int) -> None:
        pixels = decode(files[row].read_bytes(), str(files[row]))
        if pixels.shape[1:] != (height, width):
            found = "×".join(map(str, pixels.shape[1:]))
            raise ValueError(f"{files[row]} is {found} pixels; the clean images are {height}×{width}.")
        if channels == 1 and not (pixels == pixels[:1]).all():
            raise ValueError(f"{files[row]} is in colour; the clean images are grey.")
        out[row] = pixels[:channels]

    with ThreadPoolExecutor() as pool:
        chunk = 512
        for start in bar(range(0, len(files), chunk), "folder: images"):
            list(pool.map(read, range(start, min(start + chunk, len(files)))))
