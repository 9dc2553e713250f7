"""The LightningDataModule that every data set of images shares."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from typing_extensions import override

from unlearnable.data.augment import random_crop, random_flip
from unlearnable.data.samples import Batches, ImageSet, Targets, stratified
from unlearnable.defenses import Defense
from unlearnable.tasks.base import Task


class EpochBatches(Sampler[list[int]]):
    """Index batches, in a new order each epoch that depends on (seed, epoch) alone.

    Lightning calls `set_epoch`, so a run resumed at epoch 7 sees epoch 7's order.
    """

    def __init__(self, size: int, batch_size: int, *, seed: int, shuffle: bool) -> None:
        self.size, self.batch_size, self.seed, self.shuffle = size, batch_size, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the next pass."""
        self.epoch = epoch

    @override
    def __iter__(self) -> Iterator[list[int]]:
        order = torch.arange(self.size)
        if self.shuffle:
            generator = torch.Generator().manual_seed(_mix(self.seed, self.epoch))
            order = torch.randperm(self.size, generator=generator)
        yield from (rows.tolist() for rows in order.split(self.batch_size))

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)


def _mix(seed: int, *parts: int) -> int:
    """One generator seed from several numbers; neighbouring seeds and epochs give unrelated streams."""
    mixed = seed
    for part in parts:
        mixed = (mixed * 6364136223846793005 + part * 1442695040888963407 + 1) % 2**63
    return mixed


class ImageDataModule(LightningDataModule, ABC):
    """Images in memory as 8-bit tensors; batches become floats, and are augmented, on the training device.

    A source implements `load`. `setup` calls it once; `train` and `test` are then `ImageSet`s.

    Args:
        batch_size: Images a training batch; the last of an epoch may be smaller.
        crop: Zero padding of the random crop, in pixels; 0 turns it off.
        flip: Whether to mirror training images at random.
        seed: Of the batches' order and of the augmentation; the split and the subsets do not depend on it.
        defense: Changes each training batch after the augmentation.
    """

    #: Names of the classes, by index.
    class_names: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        batch_size: int = 128,
        crop: int = 0,
        flip: bool = False,
        seed: int = 0,
        defense: Defense | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1; got {batch_size}.")
        if crop < 0:
            raise ValueError(f"`crop` is a padding in pixels and must not be negative; got {crop}.")
        self.batch_size, self.crop, self.flip = batch_size, crop, flip
        self.seed, self.defense = seed, defense
        self._train: ImageSet | None = None
        self._test: ImageSet | None = None

    @abstractmethod
    def load(self) -> tuple[ImageSet, ImageSet]:
        """Reads the training and the test set.

        Raises:
            FileNotFoundError: if the files are not there.
            ValueError: if a file cannot be read, or has other contents than it should.
        """

    @override
    def setup(self, stage: str | None = None) -> None:
        if self._train is None:
            self._train, self._test = self.load()

    @property
    def train(self) -> ImageSet:
        """The training set, poisoned if `poisoned` made this module."""
        self.setup()
        assert self._train is not None
        return self._train

    @property
    def test(self) -> ImageSet:
        """The test set, always clean."""
        self.setup()
        assert self._test is not None
        return self._test

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks that the targets are for: one classification, unless a source says otherwise."""
        return {"class": Task("class", "class", self.num_classes)}

    @property
    def protocol(self) -> dict[str, Any]:
        """What training depends on besides the images: part of a trajectory's key."""
        return {"source": type(self).__name__, "batch_size": self.batch_size, "crop": self.crop, "flip": self.flip}

    def poisoned(self, images: Tensor) -> ImageDataModule:
        """This module with other training images, row for row, and everything else the same."""
        other = copy.copy(self)
        other._train, other._test = self.train.with_images(images), self.test
        return other

    def probe(self, samples: int | None, *, split: str = "train", batch_size: int = 256) -> Batches:
        """A fixed, stratified, unaugmented sample to measure on; the same rows for every poison and seed.

        Args:
            samples: How many; None takes the whole split.
            split: `train` (the data the model is trained on, so poisoned if it is) or `test`.
            batch_size: Images a batch.

        Raises:
            ValueError: if there are fewer images than `samples`.
        """
        if split not in ("train", "test"):
            raise ValueError(f"`sal.split` must be 'train' or 'test'; got {split!r}.")
        data = self.train if split == "train" else self.test
        if samples is not None:
            data = data.select(stratified(data.labels, samples, what="sal.samples"))
        # Each batch has all classes, also where the source is sorted by them: solvers may begin on a part of the batches.
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
        return Batches(data.select(order), batch_size)

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train, self.batch_size, shuffle=True)

    @override
    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.test, max(self.batch_size, 256), shuffle=False)

    def _loader(self, data: ImageSet, batch_size: int, *, shuffle: bool) -> DataLoader[Any]:
        # The tensors are indexed a batch at a time in this process: workers would only copy them.
        sampler = EpochBatches(len(data), batch_size, seed=self.seed, shuffle=shuffle)
        return DataLoader(data, sampler=sampler, batch_size=None)  # type: ignore[arg-type]

    @override
    def on_after_batch_transfer(self, batch: Sequence[Any], dataloader_idx: int) -> tuple[Tensor, Targets]:
        images, targets = batch
        trainer = self.trainer
        if trainer is None or not trainer.training:
            return images.float() / 255, targets
        generator = torch.Generator(images.device)
        generator.manual_seed(_mix(self.seed, trainer.current_epoch, trainer.fit_loop.batch_idx + 1))
        images = self.augment(images, generator).float() / 255
        if self.defense is not None:
            images = self.defense.train_batch(images, generator=generator)
        return images, targets

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """One random variant of each 8-bit training image."""
        if self.crop:
            images = random_crop(images, self.crop, generator=generator)
        if self.flip:
            images = random_flip(images, generator=generator)
        return images
