"""The small public sets (CIFAR, SVHN): in memory, from the hub's parquet files or from torchvision's files."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from typing_extensions import override

from unlearnable.data.hub import read_split
from unlearnable.data.module import ImageDataModule
from unlearnable.data.samples import Samples, stratified
from unlearnable.data.shards import find_split
from unlearnable.data.targets import read_labels
from unlearnable.options import switch


class SmallImages(ImageDataModule):
    """A set of 3×32×32 images that is small enough for memory.

    Args:
        data_dir: Folder that holds, itself or one level down, either the hub's `train-*.parquet` and `test-*.parquet`
            or what torchvision reads.
        download: Fetch torchvision's files into `data_dir` if they are not there.
        **options: See `ImageDataModule`.

    Raises:
        FileNotFoundError: if `data_dir` holds neither form and `download` is off.
    """

    #: The set's name, for messages.
    title: ClassVar[str]
    #: What torchvision's form is known by, in `data_dir`.
    marker: ClassVar[str]
    #: The label column in the hub's form.
    label_columns: ClassVar[tuple[str, ...]] = ("label",)

    def __init__(self, data_dir: str | Path, *, download: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.data_dir, self.download = Path(data_dir).expanduser(), switch("dataset.download", download)
        if not download and not self._is_hub() and not (self.data_dir / self.marker).exists():
            raise FileNotFoundError(
                f"No {self.title} in `dataset.data_dir` = {self.data_dir} ({_contents(self.data_dir)}). Give the "
                f"folder with the hub's train-*.parquet and test-*.parquet or with {self.marker}, or set "
                "dataset.download=true."
            )

    @abstractmethod
    def torchvision_arrays(self, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
        """Images `[n, h, w, 3]` in 8 bits and labels `[n]`, read by torchvision, which checks the files' MD5 sums.

        Raises:
            RuntimeError: if a file is missing or corrupt.
        """

    @override
    def load(self) -> tuple[Samples, Samples]:
        read = self._read_hub if self._is_hub() else self._read_torchvision
        return read("train", self.subset, "dataset.subset"), read("test", self.test_subset, "dataset.test_subset")

    def _is_hub(self) -> bool:
        return bool(find_split(self.data_dir, "train") and find_split(self.data_dir, "test"))

    def _read_hub(self, split: str, subset: int | None, what: str) -> Samples:
        files = find_split(self.data_dir, split)
        return read_split(
            files,
            class_names=self.class_names,
            label_columns=self.label_columns,
            shape=(3, 32, 32),
            subset=subset,
            what=what,
        )

    def _read_torchvision(self, split: str, subset: int | None, what: str) -> Samples:
        try:
            images, labels = self.torchvision_arrays(train=split == "train")
        except RuntimeError as error:
            raise ValueError(f"{self.data_dir}: {error} Fetch the files again (dataset.download=true).") from error
        checked = read_labels(labels, self.class_names, where=lambda row: f"{self.data_dir}, {split} image {row}")
        data = Samples(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), checked)
        return data if subset is None else data.select(stratified(data.labels, subset, what=what))


def _contents(folder: Path) -> str:
    if not folder.is_dir():
        return "there is no such folder"
    names = sorted(path.name for path in folder.iterdir())
    return f"it holds only: {', '.join(names[:5])}" if names else "it is empty"
