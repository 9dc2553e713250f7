"""Sets of images in memory: 8-bit pixels, their targets, their fingerprint, stratified selections."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

#: One tensor, or one a task for multi-task data; the first axis is the sample.
Targets = Tensor | Mapping[str, Tensor]


def map_targets(function, targets: Targets) -> Targets:  # type: ignore[no-untyped-def]
    """Applies `function` to the one target tensor, or to each task's."""
    if isinstance(targets, Tensor):
        return function(targets)
    return {task: function(target) for task, target in targets.items()}


@dataclass(frozen=True)
class ImageSet:
    """Images with their targets.

    Attributes:
        images: `[n, c, h, w]`, 8 bits a channel.
        targets: `[n]` class indices; for multi-task data a mapping from task to a tensor with n as its first axis.
    """

    images: UInt8[Tensor, "n c h w"]
    targets: Targets = field(repr=False)

    def __post_init__(self) -> None:
        for target in (self.targets,) if isinstance(self.targets, Tensor) else self.targets.values():
            if len(target) != len(self.images):
                raise ValueError(f"There are {len(self.images)} images but {len(target)} targets; each needs one.")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor | list[int]) -> tuple[Tensor, Targets]:
        """One batch `(images, targets)`: how a `DataLoader` without a collate function reads it."""
        rows = torch.as_tensor(index)
        return self.images[rows], map_targets(lambda target: target[rows], self.targets)

    def select(self, rows: Int64[Tensor, " m"]) -> ImageSet:
        """The images at `rows`, in that order."""
        images, targets = self[rows]
        return ImageSet(images, targets)

    def with_images(self, images: UInt8[Tensor, "n c h w"]) -> ImageSet:
        """The same samples with other pixels: how a poison is put in."""
        if images.shape != self.images.shape:
            raise ValueError(f"The set holds images of shape {tuple(self.images.shape)}; got {tuple(images.shape)}.")
        return replace(self, images=images)

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """The class indices that stratified selections go by: for multi-task data those of its first class task."""
        if isinstance(self.targets, Tensor):
            return self.targets
        for target in self.targets.values():
            if target.ndim == 1 and not target.is_floating_point():
                return target
        return torch.zeros(len(self), dtype=torch.int64)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels and targets: what a run depends on, wherever the files lie."""
        digest = hashlib.sha256()
        items = [("images", self.images)]
        items += [("targets", self.targets)] if isinstance(self.targets, Tensor) else sorted(self.targets.items())
        for name, tensor in items:
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            for chunk in tensor.split(4096):  # memory-mapped images never lie in memory as a whole
                digest.update(np.ascontiguousarray(chunk.numpy()).tobytes())
        return digest.hexdigest()


def write_images(path: Path, images: UInt8[Tensor, "n c h w"]) -> None:
    """Writes 8-bit images to a file, a part at a time: `images` may be larger than the memory."""
    with path.open("wb") as stream:
        for part in images.split(1024):
            stream.write(np.ascontiguousarray(part.numpy()).tobytes())


def map_images(path: Path, shape: Sequence[int]) -> UInt8[Tensor, "n c h w"]:
    """A file of 8-bit images as a tensor that is read from disk where it is used, and never written back."""
    return torch.from_file(str(path), shared=False, size=prod(shape), dtype=torch.uint8).reshape(*shape)


def stratified(labels: Int64[Tensor, " n"], count: int, *, seed: int = 0, what: str = "samples") -> Int64[Tensor, " m"]:
    """Chooses `count` rows with each class at its share of the whole (largest remainders), in ascending order.

    Args:
        labels: Class of each row.
        count: Rows to choose, 1 to n.
        seed: Of the choice within each class.
        what: The option's name, for the message.

    Raises:
        ValueError: if `count` is below 1 or above n.
    """
    total = len(labels)
    if not 1 <= count <= total:
        raise ValueError(f"`{what}` must lie between 1 and the {total} images there are; got {count}.")
    classes, sizes = torch.unique(labels, return_counts=True)
    shares = sizes.double() * count / total
    quota = shares.floor().long()
    for extra in torch.argsort(shares - quota, descending=True, stable=True)[: count - int(quota.sum())]:
        quota[extra] += 1
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for cls, size in zip(classes, quota.tolist(), strict=True):
        rows = torch.nonzero(labels == cls).flatten()
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:size]])
    return torch.cat(chosen).sort().values


@dataclass(frozen=True)
class Batches:
    """A fixed set in batches of float images in [0, 1]: re-iterable, never shuffled, never augmented."""

    data: ImageSet
    batch_size: int

    def __iter__(self) -> Iterator[tuple[Tensor, Targets]]:
        for rows in torch.arange(len(self.data)).split(self.batch_size):
            images, targets = self.data[rows]
            yield images.float() / 255, targets

    def __len__(self) -> int:
        return -(-len(self.data) // self.batch_size)
