"""CIFAR-10, from the hub's parquet files or from torchvision's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from typing_extensions import override

from unlearnable.data.hub import find_split, read_split
from unlearnable.data.images import ImageSet, stratified
from unlearnable.data.module import ImageDataModule


class Cifar10(ImageDataModule):
    """60,000 images of 10 classes, 3×32×32 (Krizhevsky 2009).

    Args:
        data_dir: Folder that holds, itself or one level down, either the hub's `train-*.parquet` and
            `test-*.parquet` (as in `uoft-cs/cifar10`) or torchvision's `cifar-10-batches-py`.
        download: Fetch torchvision's archive into `data_dir` if it is not there.
        subset: Size of a stratified subset of the 50,000 training images; None takes all.
        test_subset: Likewise for the 10,000 test images.
        **options: See `ImageDataModule`.

    Raises:
        FileNotFoundError: if `data_dir` holds neither form and `download` is off.
    """

    class_names = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

    def __init__(
        self,
        data_dir: str | Path,
        *,
        download: bool = False,
        subset: int | None = None,
        test_subset: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.data_dir, self.download = Path(data_dir).expanduser(), download
        self.subset, self.test_subset = subset, test_subset
        if not download and not self._forms():
            held = (
                ", ".join(sorted(path.name for path in self.data_dir.iterdir())[:5]) if self.data_dir.is_dir() else ""
            )
            found = (
                f"it holds only: {held}"
                if held
                else "it is empty"
                if self.data_dir.is_dir()
                else "there is no such folder"
            )
            raise FileNotFoundError(
                f"No CIFAR-10 in `dataset.data_dir` = {self.data_dir} ({found}). Give the folder with the hub's "
                "train-*.parquet and test-*.parquet or with cifar-10-batches-py, or set dataset.download=true."
            )

    def _forms(self) -> list[str]:
        hub = find_split(self.data_dir, "train") and find_split(self.data_dir, "test")
        return ["hub"] * bool(hub) + ["torchvision"] * (self.data_dir / "cifar-10-batches-py").is_dir()

    @override
    def load(self) -> tuple[ImageSet, ImageSet]:
        if "hub" in self._forms():
            return (
                read_split(find_split(self.data_dir, "train"), shape=(3, 32, 32), subset=self.subset),
                read_split(
                    find_split(self.data_dir, "test"),
                    shape=(3, 32, 32),
                    subset=self.test_subset,
                    what="dataset.test_subset",
                ),
            )
        return (
            self._torchvision(True, self.subset, "dataset.subset"),
            self._torchvision(False, self.test_subset, "dataset.test_subset"),
        )

    def _torchvision(self, train: bool, subset: int | None, what: str) -> ImageSet:
        from torchvision.datasets import CIFAR10

        try:
            # It checks each file's MD5 against the published one before it unpickles any.
            source = CIFAR10(self.data_dir, train=train, download=self.download)
        except RuntimeError as error:
            raise ValueError(f"{self.data_dir / 'cifar-10-batches-py'}: {error} Fetch the archive again.") from error
        images = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
        data = ImageSet(images, torch.tensor(source.targets))
        return data if subset is None else data.select(stratified(data.labels, subset, what=what))
