"""ImageNet-100, or any folder of class folders: decoded once and memory-mapped, never all in memory at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from tqdm import tqdm
from typing_extensions import override

from unlearnable.data import decoding
from unlearnable.data.modality.pixels import pixels_file, write_shape
from unlearnable.data.module import ImageDataModule
from unlearnable.data.samples import Samples, stratified
from unlearnable.files import write_atomically
from unlearnable.identity import code_of
from unlearnable.options import Number, number, whole
from unlearnable.store import Store

_SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp", ".tif", ".tiff")


class ImageNet100(ImageDataModule):
    """ImageNet's layout, `train/<class>/<name>.JPEG` and `val/<class>/…`, at one size.

    A perturbation belongs to pixels, so every image has to have a fixed form: its shorter side is scaled to 8/7 of
    `image_size` (256 for 224) and the centre cut out, as for the usual test images. The result is kept in the store
    (150 kB an image at 224) and read through a memory map; crop and flip are then as for small images.

    Args:
        data_dir: Folder with `train` and `val` (or `test`).
        store_dir: The store that the decoded images are kept in.
        classes: Names of the class folders to use, in the order of the labels; None takes those of `train`, sorted.
        image_size: Side of the images.
        test_share: Without a test folder, this share of each class's training images is the test set.
        **options: See `ImageDataModule`.

    Raises:
        FileNotFoundError: if there is no `train` with class folders, or a class has no folder or no image.
        ValueError: if an image cannot be decoded.
    """

    def __init__(
        self,
        data_dir: str | Path,
        *,
        store_dir: str | Path,
        classes: Sequence[str] | None = None,
        image_size: Number = 224,
        test_share: Number = 0.2,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.data_dir, self.store_dir = Path(data_dir).expanduser(), Path(store_dir).expanduser()
        self.image_size = whole("dataset.image_size", image_size, at_least=16, what="a side in pixels")
        self.test_share = number("dataset.test_share", test_share, above=0, below=1, what="a share")
        train = self.data_dir / "train"
        found = sorted(path.name for path in train.iterdir() if path.is_dir()) if train.is_dir() else []
        if not found:
            raise FileNotFoundError(
                f"No images in `dataset.data_dir` = {self.data_dir}: it needs train/<class>/<name>.JPEG."
            )
        if missing := [name for name in classes or () if name not in found]:
            raise FileNotFoundError(
                f"{train} has no folder for {len(missing)} classes of `dataset.classes`: {missing[:5]}."
            )
        self.class_names = tuple(classes or found)

    @override
    def load(self) -> tuple[Samples, Samples]:
        test = next((self.data_dir / name for name in ("val", "test") if (self.data_dir / name).is_dir()), None)
        files, labels = self._files(self.data_dir / "train")
        if test is None:
            rows = stratified(labels, len(files) - max(1, round(self.test_share * len(files))))
            rest = torch.ones(len(files), dtype=torch.bool)
            rest[rows] = False
            parts = [([files[i] for i in where], labels[where]) for where in (rows, rest.nonzero().flatten())]
        else:
            parts = [(files, labels), self._files(test)]
        (train, test_set) = (
            self._decoded(*self._subset(*part, subset, what))
            for part, subset, what in zip(
                parts,
                (self.subset, self.test_subset),
                ("dataset.subset", "dataset.test_subset"),
                strict=True,
            )
        )
        return train, test_set

    def _files(self, folder: Path) -> tuple[list[Path], Tensor]:
        files: list[Path] = []
        labels: list[int] = []
        for label, name in enumerate(self.class_names):
            own = [path for path in sorted((folder / name).glob("*")) if path.suffix.lower() in _SUFFIXES]
            if not own:
                raise FileNotFoundError(f"{folder / name} has no image ({', '.join(_SUFFIXES)}).")
            files += own
            labels += [label] * len(own)
        return files, torch.tensor(labels)

    def _subset(self, files: list[Path], labels: Tensor, subset: int | None, what: str) -> tuple[list[Path], Tensor]:
        if subset is None:
            return files, labels
        rows = stratified(labels, subset, what=what)
        return [files[row] for row in rows], labels[rows]

    def _decoded(self, files: list[Path], labels: Tensor) -> Samples:
        stats = [(str(path.relative_to(self.data_dir)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        key = {"files": stats, "size": self.image_size, "code": code_of(__name__)}
        entry = Store(self.store_dir).obtain("images", key, lambda folder: self._decode(files, folder))
        return Samples(self.modality.read(entry.path), labels)

    def _decode(self, files: list[Path], folder: Path) -> None:
        """Writes the images; goes on from what an interrupted call wrote."""
        size = 3 * self.image_size**2
        raw, done = pixels_file(folder), folder / "decoded.json"
        start = json.loads(done.read_text()) if done.exists() else 0
        with raw.open("r+b" if raw.exists() else "wb") as stream:
            stream.seek(start * size)
            for place in tqdm(range(start, len(files)), "decoding", disable=None):
                stream.write(self._read(files[place]).numpy().tobytes())
                if place % 1000 == 999:
                    stream.flush()
                    write_atomically(done, json.dumps(place + 1))
        write_shape(folder, (len(files), 3, self.image_size, self.image_size))
        done.unlink(missing_ok=True)

    def _read(self, path: Path) -> UInt8[Tensor, "3 s s"]:
        from torchvision.transforms.v2 import functional as v2

        image = v2.resize(
            decoding.decode(path.read_bytes(), str(path)), [round(self.image_size * 8 / 7)], antialias=True
        )
        return v2.center_crop(image, [self.image_size, self.image_size]).contiguous()
