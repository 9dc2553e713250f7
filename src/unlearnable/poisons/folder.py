"""Anyone's own poison, from files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from typing_extensions import override

from unlearnable.poisons.base import Method
from unlearnable.poisons.image.training_set import TrainingSet
from unlearnable.poisons.imports.arrays import ARRAY_SUFFIXES, as_poisoned, load_array
from unlearnable.poisons.imports.image_files import (
    check_labels,
    image_files,
    labelled_files,
    numbered_files,
    read_images,
)

Format = Literal["auto", "pngs", "imagefolder", "parquet", "array"]


class Folder(Method):
    """Reads a poisoned training set, or noise, that was made elsewhere.

    The formats are those that peers exchange (docs/import.md describes each):

    - `pngs`: a folder of `<index>.png`, or one with such a folder `data` in it; index in the clean training set.
    - `imagefolder`: a folder `<class>/<name>.png`.
    - `parquet`: a file, or a folder of files, with columns `img` or `image` {bytes, path} and `label`.
    - `array`: one `.pt`, `.npy`, `.pkl` or `.safetensors` with noise per image or per class, or with images.

    Row i poisons row i of the clean set, so the data set and its subset must be those that the poison was made for;
    count, shape, range and, where the format has them, labels are checked. Files are read as data alone: one that asks
    for anything which could run code is refused.

    Args:
        path: The file or folder.
        format: One of the formats, or `auto` to tell it from the path.
    """

    stored = False

    def __init__(self, *, path: str | Path, format: Format = "auto") -> None:
        self.path = Path(path)
        if format not in get_args(Format):
            raise ValueError(f"`format` must be one of {', '.join(get_args(Format))}; got {format!r}.")
        if not self.path.exists():
            raise FileNotFoundError(f"`path` must name a file or folder with poisoned data; {self.path} is not there.")
        self.format: Format = _tell(self.path) if format == "auto" else format

    @override
    def apply(
        self,
        images: UInt8[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        *,
        num_classes: int,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> UInt8[Tensor, "n c h w"]:
        """Returns the poisoned images; the arguments are those of `Poison.apply`.

        Raises:
            ValueError: If the poison does not fit the clean set; the message names the file.
        """
        if self.format == "array":
            array, found = load_array(self.path)
            if found is not None:
                check_labels(found.long(), labels, self.path)
            return as_poisoned(array, images, labels, num_classes, self.path)
        if self.format == "parquet":
            return self._read_parquet(images, labels)
        if self.format == "pngs":
            where = self.path / "data" if (self.path / "data").is_dir() else self.path
            files = numbered_files(image_files(where), len(images), where)
        else:
            files = labelled_files(self.path, labels, num_classes)
        data = TrainingSet(images, labels, num_classes, seed, torch.device("cpu"), progress, work_dir)
        poisoned = data.room("folder")
        read_images(files, poisoned, data.bar)
        return poisoned

    def _read_parquet(self, images: Tensor, labels: Tensor) -> Tensor:
        from unlearnable.data.hub import find_split, read_split

        files = [self.path] if self.path.is_file() else find_split(self.path, "train")
        if not files:
            raise ValueError(f"{self.path} must hold files named train-*.parquet; found none.")
        found = read_split(
            files,
            label_columns=("label", "fine_label", "labels"),
            shape=tuple(images.shape[1:]),  # type: ignore[arg-type]
        )
        check_labels(found.labels, labels, self.path)
        return found.images


def _tell(path: Path) -> Format:
    """Tells the format from names alone."""
    if path.is_file():
        if path.suffix in ARRAY_SUFFIXES:
            return "array"
        if path.suffix == ".parquet":
            return "parquet"
        raise ValueError(
            f"`path` must be a folder, a .parquet file or one of {', '.join(ARRAY_SUFFIXES)}; got {path.name}. "
            "Set `format` if the file has another suffix."
        )
    if any(path.glob("**/*.parquet")):
        return "parquet"
    if image_files(path) or ((path / "data").is_dir() and image_files(path / "data")):
        return "pngs"
    if any(sub.is_dir() and image_files(sub) for sub in path.iterdir()):
        return "imagefolder"
    raise ValueError(f"`path`: {path} holds no images and no parquet files; see docs/import.md for the formats.")
