"""Anyone's own poison, from files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, cast, get_args

import torch
from torch import Tensor
from typing_extensions import override

from unlearnable.data.samples import Samples
from unlearnable.data.text_tables import FORMS
from unlearnable.data.vocabulary import check_words
from unlearnable.poisons.base import Poison
from unlearnable.poisons.image.training_set import TrainingSet, images_of
from unlearnable.poisons.imports.array_files import ARRAY_SUFFIXES, load_array
from unlearnable.poisons.imports.image_files import (
    SUFFIXES,
    check_labels,
    image_files,
    labelled_files,
    numbered_files,
    read_images,
)
from unlearnable.poisons.imports.meaning import Kind, as_poisoned
from unlearnable.poisons.imports.texts import read_texts
from unlearnable.poisons.text.base import are_texts

log = logging.getLogger(__name__)

Format = Literal["auto", "pngs", "imagefolder", "parquet", "array", "jsonl", "csv"]

_LARGE = 64
"""Change of a pixel, in grey levels, that no usual budget allows: eight times 8/255."""


class Folder(Poison):
    """Reads a poisoned training set, or noise, that was made elsewhere.

    The formats of images are those that peers exchange (docs/import.md describes each):

    - `pngs`: a folder of `<index>.png`, or one with such a folder `data` in it; index in the clean training set.
    - `imagefolder`: a folder `<class>/<name>.png`.
    - `parquet`: a file, or a folder of files, with columns `img` or `image` {bytes, path} and `label`.
    - `array`: one `.pt`, `.npy`, `.pkl` or `.safetensors` with noise per image or per class, or with images.

    Texts are in `jsonl` (lines of JSON objects), `csv` or `parquet`, a file or a folder with `train.*`, with a column of
    texts, one of labels and, if the file has it, `original`, the clean texts.

    Row i poisons row i of the clean set, so the data set and its subset must be those that the poison was made for;
    count, shape, range and, where the format has them, labels and clean texts are checked, and a change of most samples
    that no usual budget allows is warned of in the log. Files are read as data alone: one that asks for anything which
    could run code is refused.

    Args:
        path: The file or folder; `~` stands for the home folder.
        format: One of the formats, or `auto` to tell it from the path.
        kind: What an array holds, `images` or `noise`; `auto` tells it by comparing with the clean images.
        text_column: Of texts, the column of the poisoned ones.
        label_column: Of texts, the column of the labels: whole numbers, or names of classes.
    """

    stored = False

    def __init__(
        self,
        *,
        path: str | Path,
        format: Format = "auto",
        kind: Kind = "auto",
        text_column: str = "text",
        label_column: str = "label",
    ) -> None:
        self.path = Path(path).expanduser()
        for name, value, options in (("format", format, get_args(Format)), ("kind", kind, get_args(Kind))):
            if value not in options:
                raise ValueError(f"`{name}` must be one of {', '.join(options)}; got {value!r}.")
        if not self.path.exists():
            raise FileNotFoundError(f"`path` must name a file or folder with poisoned data; {self.path} is not there.")
        self.format: Format = _tell(self.path) if format == "auto" else format
        self.kind: Kind = kind
        self.text_column, self.label_column = text_column, label_column
        if kind == "noise" and self.format != "array":
            raise ValueError(f"`kind` says what an array holds; {self.path} ({self.format}) is none.")

    @override
    def check(self, samples: Samples) -> None:
        if are_texts(samples):
            if self.format not in FORMS:
                raise ValueError(
                    f"{self.path} ({self.format}) holds images, and the data are texts. Poisons of texts are read from "
                    f"{', '.join(FORMS)}."
                )
            check_words(samples.vocabulary, "poison=folder")
            return
        images_of(samples)
        if self.format in ("jsonl", "csv"):
            raise ValueError(f"{self.path} ({self.format}) holds texts, and the data are images.")
        if self.format in ("imagefolder", "parquet") and samples.class_task is None:
            raise ValueError(f"`format` {self.format} compares labels, and the data have no classes.")

    @override
    def apply(
        self,
        samples: Samples,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> Samples:
        """Returns the poisoned samples; the arguments are those of `Poison.apply`.

        Raises:
            ValueError: If the poison does not fit the clean set; the message names the file.
        """
        self.check(samples)
        if are_texts(samples):
            columns = {"text_column": self.text_column, "label_column": self.label_column}
            return read_texts(self.path, samples, form=self.format, **columns)
        data = TrainingSet(samples, seed, torch.device("cpu"), progress, work_dir)
        poisoned = self._read(data)
        _warn_of_change(data.images, poisoned, self.path)
        return samples.replace(inputs=poisoned)

    def _read(self, data: TrainingSet) -> Tensor:
        if self.format == "array":
            array, labels = load_array(self.path, data.shape)
            if labels is not None and data.samples.class_task is not None:
                check_labels(labels.long(), data.labels, self.path)
            return as_poisoned(array, data.images, data.labels, data.num_classes, self.path, self.kind)
        if self.format == "parquet":
            return self._read_parquet(data)
        if self.format == "pngs":
            where = self.path / "data" if (self.path / "data").is_dir() else self.path
            files = numbered_files(image_files(where), len(data), where)
        else:
            files = labelled_files(self.path, data.images, data.labels, data.num_classes)
        poisoned = data.room("folder")
        read_images(files, poisoned, data.bar)
        return poisoned

    def _read_parquet(self, data: TrainingSet) -> Tensor:
        from unlearnable.data.hub import read_split
        from unlearnable.data.shards import find_split

        files = [self.path] if self.path.is_file() else find_split(self.path, "train")
        if not files:
            raise ValueError(f"{self.path} must hold files named train-*.parquet; found none.")
        found = read_split(files, label_columns=("label", "fine_label", "labels"), shape=data.shape)
        check_labels(found.labels, data.labels, self.path)
        return images_of(found)


def _tell(path: Path) -> Format:
    """Tells the format from names alone."""
    if path.is_file():
        if path.suffix in ARRAY_SUFFIXES:
            return "array"
        if path.suffix[1:] in FORMS:
            return cast(Format, path.suffix[1:])
        raise ValueError(
            f"`path` must be a folder, or a file of images or texts ({', '.join(ARRAY_SUFFIXES)}, "
            f"{', '.join(f'.{form}' for form in FORMS)}); got {path.name}. Set `format` if the file has another suffix."
        )
    if any(path.glob("**/*.parquet")):
        return "parquet"
    if image_files(path) or ((path / "data").is_dir() and image_files(path / "data")):
        return "pngs"
    if any(sub.is_dir() and image_files(sub) for sub in path.iterdir()):
        return "imagefolder"
    for form in ("jsonl", "csv"):
        if (path / f"train.{form}").is_file():
            return form
    found = sorted(file.name for file in path.iterdir())
    raise ValueError(
        f"`path`: {path} holds no images ({', '.join(SUFFIXES)}), no class folders with images, no parquet files and no "
        f"train.jsonl or train.csv, but {', '.join(found[:5]) or 'nothing'}{', …' if len(found) > 5 else ''}; "
        "docs/import.md has the formats."
    )


def _warn_of_change(clean: Tensor, poisoned: Tensor, path: Path) -> None:
    """Warns of images that are not changed at all, or beyond any usual budget, which often are other images' poisons.

    A pixel of a hundred may change by more: the few pixels of ℓ0 poisons do. Looked at is a sample of 2,048 images.
    """
    rows = torch.linspace(0, len(clean) - 1, min(2048, len(clean))).long()
    change = (poisoned[rows].to(torch.int16) - clean[rows].to(torch.int16)).abs().amax(1).flatten(1)
    if not change.any():
        log.warning(
            "%s changes no image by as much as 1/255, so the training is one on clean data. Noise is read in grey levels, "
            "or on the [0, 1] scale if no value is above one.",
            path,
        )
    beyond = (change > _LARGE).float().mean(1) > 0.01
    if beyond.float().mean() > 0.5:
        log.warning(
            "%s changes %.0f %% of the images by more than %d/255, up to %d/255: far beyond usual budgets. Is row i "
            "made for row i of this data set and subset? If not, all that follows is about other images.",
            path,
            100 * float(beyond.float().mean()),
            _LARGE,
            int(change.max()),
        )
