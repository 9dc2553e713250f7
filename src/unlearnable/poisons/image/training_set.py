"""The training set as a poison sees it: batches of floats on the device, however large the whole is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float, Int64, Shaped, UInt8
from torch import Tensor

from unlearnable.data.samples import Samples
from unlearnable.mapped import mapped

T = TypeVar("T")

RESIDENT_BYTES = 2**30
"""Up to this size images move to the accelerator, and scratch tensors stay in memory, as a whole."""


@dataclass(frozen=True)
class Batch:
    """8-bit images and labels on the device, and their rows in the training set (on the CPU)."""

    levels: UInt8[Tensor, "b c h w"]
    labels: Int64[Tensor, " b"]
    rows: Int64[Tensor, " b"]

    @cached_property
    def _index(self) -> Int64[Tensor, " b"]:
        return sent(self.rows, self.labels.device)

    def of(self, store: Shaped[Tensor, "n *rest"]) -> Float[Tensor, "b *rest"]:
        """The batch's part of what has one entry an image of the training set: as floats, on the batch's device."""
        device = self.labels.device
        part = store[self._index] if store.device == device else sent(store[self.rows], device)
        return part.float()

    def put(self, store: Shaped[Tensor, "n *rest"], values: Float[Tensor, "b *rest"]) -> None:
        """Writes the batch's part of such a store."""
        rows = self._index if store.device == values.device else self.rows
        store[rows] = values.to(store.device, store.dtype)

    @cached_property
    def images(self) -> Float[Tensor, "b c h w"]:
        """The images in [0, 1], in the layout that convolutions like; made when a method asks for them."""
        return self.levels.float().div_(255).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class TrainingSet:
    """What a poison is made for.

    Attributes:
        samples: Clean images with their targets.
        seed: Source of all randomness, through `stream`.
        device: Where batches go.
        progress: Whether `bar` shows a progress bar (on a terminal).
        work_dir: Private folder that survives an interruption, or None.
    """

    samples: Samples
    seed: int
    device: torch.device
    progress: bool = False
    work_dir: Path | None = None

    @cached_property
    def images(self) -> UInt8[Tensor, "n c h w"]:
        """All images; they may be memory-mapped, so read them through `batches` only."""
        return images_of(self.samples)

    @cached_property
    def labels(self) -> Int64[Tensor, " n"]:
        """Their classes."""
        return classes_of(self.samples)[0]

    @property
    def num_classes(self) -> int:
        """Classes of the data set, which may be more than occur in `labels`."""
        return classes_of(self.samples)[1]

    @cached_property
    def _source(self) -> UInt8[Tensor, "n c h w"]:
        """The images where batches are taken from: on the device, if they fit there."""
        resident = self.device.type != "cpu" and self.images.nbytes <= RESIDENT_BYTES
        return self.images.to(self.device) if resident else self.images

    @cached_property
    def _labels(self) -> Int64[Tensor, " n"]:
        return self.labels.to(self.device)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def stream(self, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
        """Returns a generator that depends on the seed and the purpose alone; on an accelerator it draws other numbers.

        Each stage, and each batch of a stage, draws from its own stream: an interrupted generation goes on with the
        same numbers, and one stage's draws never shift another's.
        """
        digest = hashlib.sha256("/".join(map(str, (self.seed, *purpose))).encode()).digest()
        return torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "little") >> 1)

    def seed_networks(self, method: str, turn: int) -> None:
        """Seeds the global generators, which networks draw from (initialisation, dropout), for a round of a method.

        So that they do not depend on how many rounds this process has done.
        """
        torch.manual_seed(self.stream(method, "network", turn).initial_seed())

    def read(self, rows: Int64[Tensor, " b"]) -> Batch:
        """Returns the images and labels of these rows."""
        index = sent(rows, self.device)
        here = self._source.device == index.device
        levels = self._source[index] if here else sent(self._source[rows], self.device)
        return Batch(levels, self._labels[index], rows)

    def batches(
        self, size: int, *, shuffle: torch.Generator | None = None, rows: Int64[Tensor, " m"] | None = None
    ) -> Iterator[Batch]:
        """Yields the data set (or the given rows of it) once, in order or shuffled by the generator."""
        order = torch.arange(len(self)) if rows is None else rows
        if shuffle is not None:
            order = order[torch.randperm(len(order), generator=shuffle)]
        for part in order.split(size):
            # Sorted within the batch, so that a memory-mapped file is read in one direction.
            yield self.read(part.sort().values if shuffle is not None else part)

    def endless(self, size: int, *, shuffle: torch.Generator) -> Iterator[Batch]:
        """Yields shuffled batches for ever; each pass sees every row once."""
        while True:
            yield from self.batches(size, shuffle=shuffle)

    def noise_store(self, name: str) -> Tensor:
        """Returns zeros for one noise image per row: on the device when small, else half precision in `work_dir`.

        Half precision keeps 11 bits, an error of at most 1/64 of a grey level for noise up to 32/255.
        """
        count = self.images.numel()
        if count * 4 <= RESIDENT_BYTES or self.work_dir is None:
            return torch.zeros(self.images.shape, device=self.device)
        path = self.work_dir / f"{name}.f16"
        path.unlink(missing_ok=True)
        return mapped(path, count, torch.float16).view(self.images.shape)

    def room(self, name: str) -> Tensor:
        """Returns uninitialised 8-bit images, one per row: in memory when small, else a file in `work_dir`."""
        if self.images.nbytes <= RESIDENT_BYTES or self.work_dir is None:
            return torch.empty(self.images.shape, dtype=torch.uint8)
        self.work_dir.mkdir(parents=True, exist_ok=True)
        path = self.work_dir / f"{name}.u8"
        path.unlink(missing_ok=True)
        return mapped(path, self.images.numel(), torch.uint8).view(self.images.shape)

    def bar(self, steps: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
        """Wraps an iterable in a progress bar: quiet unless wanted and on a terminal."""
        from tqdm import tqdm

        wrapped: Iterable[T] = tqdm(
            steps, desc=description, total=total, leave=False, disable=None if self.progress else True
        )
        return wrapped


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on the device; the host does not wait for a copy to a GPU."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def images_of(samples: Samples) -> UInt8[Tensor, "n c h w"]:
    """The samples' inputs, which must be images.

    Raises:
        ValueError: if they are anything but 8-bit images `[n, c, h, w]`.
    """
    inputs = samples.inputs
    if not isinstance(inputs, Tensor):
        raise ValueError(
            f"This poison is made for 8-bit images [n, c, h, w]; the samples hold {', '.join(inputs)}. For texts there "
            "are poison=symbol, regtext, em_text and random_words."
        )
    if inputs.ndim != 4 or inputs.dtype != torch.uint8:
        raise ValueError(
            f"This poison is made for 8-bit images [n, c, h, w]; the samples hold {inputs.dtype} of shape "
            f"{tuple(inputs.shape)}."
        )
    return inputs


def classes_of(samples: Samples) -> tuple[Int64[Tensor, " n"], int]:
    """Labels and number of classes by the first class task; one class of all samples where there is none."""
    task = samples.class_task
    if task is None:
        return torch.zeros(len(samples), dtype=torch.int64), 1
    return samples.labels, task.channels
