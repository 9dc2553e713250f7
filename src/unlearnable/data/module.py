"""The LightningDataModules that data sources extend: of anything, and of images."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader
from typing_extensions import override

from unlearnable import seeding
from unlearnable.data.batches import Batches, EpochBatches, LoaderBatches
from unlearnable.data.modality.base import Modality
from unlearnable.data.modality.pixels import Pixels
from unlearnable.data.samples import Inputs, Samples, Targets, stratified
from unlearnable.data.targets import check_targets, warn_of_absent_classes
from unlearnable.options import Number, switch, whole
from unlearnable.tasks import Classification, Task

#: What can be measured on, see `DataModule.probe`.
SPLITS = ("train", "undefended", "test", "loader")


class DataModule(LightningDataModule, ABC):
    """Samples in memory, as they are stored; batches are augmented, and made a model's inputs, on the training device.

    A source implements `load`; `setup` calls it once. A source of one classification names its classes in
    `class_names` and returns samples without tasks; others return samples with theirs.

    Args:
        modality: What the samples are made of.
        batch_size: Samples a training batch; the last of an epoch may be smaller.
        drop_last: Whether a smaller last batch is left out of each epoch of training.
        subset: Size of a subset of the training samples, stratified by the first class task; None takes all.
        test_subset: Likewise of the test samples.
        seed: Of the batches' order and of the augmentation; the split and the subsets do not depend on it.

    Raises:
        ValueError: if an option is not a number, or out of range.
    """

    #: Names of the classes, by index; empty where there is no class task.
    class_names: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        modality: Modality,
        batch_size: Number = 128,
        drop_last: bool = False,
        subset: Number | None = None,
        test_subset: Number | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.modality = modality
        self.batch_size = whole("dataset.batch_size", batch_size, at_least=1)
        self.drop_last = switch("dataset.drop_last", drop_last)
        self.subset = None if subset is None else whole("dataset.subset", subset, at_least=1)
        self.test_subset = None if test_subset is None else whole("dataset.test_subset", test_subset, at_least=1)
        self.seed = seed
        self._train: Samples | None = None
        self._test: Samples | None = None
        self._undefended: Samples | None = None
        self._at_test: Callable[[Inputs], Inputs] | None = None

    @abstractmethod
    def load(self) -> tuple[Samples, Samples]:
        """Reads the training and the test set.

        Subsets are taken afterwards; a source may take them itself, to decode no more than it must.

        Raises:
            FileNotFoundError: if the files are not there.
            ValueError: if a file cannot be read, or its contents are not as expected.
        """

    @override
    def setup(self, stage: str | None = None) -> None:
        if self._train is None:
            train, test = (self._with_tasks(samples) for samples in self.load())
            self.modality.check(train.tasks, train.inputs)
            for samples, split in ((train, "training"), (test, "test")):
                check_targets(samples, split)
            self._train = _part(train, self.subset, "dataset.subset")
            self._test = _part(test, self.test_subset, "dataset.test_subset")
            for samples, split in ((self._train, "training"), (self._test, "test")):
                warn_of_absent_classes(samples, split)

    def _with_tasks(self, samples: Samples) -> Samples:
        if samples.tasks:
            return samples
        return replace(samples, tasks={"class": Classification("class", len(self.class_names))})

    @property
    def train(self) -> Samples:
        """The training set: as it was read, or the one that was given to `poisoned`."""
        self.setup()
        assert self._train is not None
        return self._train

    @property
    def test(self) -> Samples:
        """The test set, always clean."""
        self.setup()
        assert self._test is not None
        return self._test

    @property
    def tasks(self) -> Mapping[str, Task]:
        """What a model is trained for, by name: what the stored targets are for, unless `predicting` was asked for."""
        own = self.modality.own_task
        return self.train.tasks if own is None else {own.name: own}

    @property
    def protocol(self) -> dict[str, Any]:
        """What training depends on besides the samples: part of a trajectory's key."""
        return {
            "source": type(self).__name__,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "modality": {"name": self.modality.name, **self.modality.protocol},
        }

    def predicting(self, task: str) -> DataModule:
        """This module for a task whose targets are made of the inputs, poisoned ones too, such as `next_token`.

        The samples keep their stored targets, which poisons and stratified selections go by.

        Raises:
            ValueError: if the data have no such task.
        """
        other = copy.copy(self)
        other.modality = self.modality.predicting(task, self.train)
        return other

    def poisoned(self, train: Samples) -> DataModule:
        """This module with another training set, and everything else the same."""
        other = copy.copy(self)
        other._train, other._test = train, self.test
        return other

    def defended(self, train: Samples, at_test: Callable[[Inputs], Inputs]) -> DataModule:
        """This module as a defended model sees it.

        Args:
            train: The training set after the defence's `purify`.
            at_test: What the defence makes of inputs at test time; the model does this to its test batches itself, and
                here it is done to probes of the test set.
        """
        other = self.poisoned(train)
        other._undefended, other._at_test = self.train, at_test
        return other

    @property
    def undefended(self) -> Samples:
        """The training set before the defence's `purify`, (poisoned) as it was published."""
        return self.train if self._undefended is None else self._undefended

    def probe(self, samples: int | None, *, split: str = "train", batch_size: int = 256) -> Batches | LoaderBatches:
        """A fixed, stratified, unaugmented sample to measure on; the same rows for every poison and seed.

        Args:
            samples: How many; None takes the whole split.
            split: `train` (the data the model is trained on, so poisoned if it is, and purified), `undefended` (before
                the defence), `test` (as a defended model sees it) or `loader` (as `train`, but in the training loader's
                batches: reshuffled and augmented in each pass, without an incomplete last one).
            batch_size: Samples a batch.

        Raises:
            ValueError: if there are fewer than `samples`.
        """
        if split not in SPLITS:
            raise ValueError(f"`split` must be one of {', '.join(SPLITS)}; got {split!r}.")
        data = {"undefended": self.undefended, "test": self.test}.get(split, self.train)
        if samples is not None:
            data = data.select(stratified(data.labels, samples))
        if split == "loader":
            return LoaderBatches(data, self.modality, self.tasks, batch_size, seed=self.seed)
        # Each batch has all classes, even if the source is sorted by class: solvers may begin on some batches only.
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
        return Batches(data.select(order), self.modality, batch_size, self._at_test if split == "test" else None)

    def check(self, net: nn.Module, *, ranks: int = 1) -> None:
        """Refuses batches that this network cannot be trained on, before any training.

        Args:
            net: The network.
            ranks: How many processes share each batch out.

        Raises:
            ValueError: if there are fewer than two samples for each process, if there is no whole batch although
                smaller ones are left out, or if the last batch of an epoch is a single sample, of which the network's
                BatchNorm can take no variance.
        """
        if self.drop_last and len(self.train) < self.batch_size:
            raise ValueError(
                f"`dataset.drop_last` leaves out incomplete batches, and the {len(self.train)} training samples make "
                f"no whole batch of {self.batch_size}. Use a dataset.batch_size of at most {len(self.train)}."
            )
        if ranks > 1 and self.batch_size < 2 * ranks:
            raise ValueError(
                f"`dataset.batch_size` = {self.batch_size} is shared out over {ranks} processes; it must be at least "
                f"{2 * ranks}."
            )
        last = (len(self.train) % self.batch_size or self.batch_size) // ranks
        if last != 1 or (self.drop_last and self.batch_size > 1):
            return
        inputs, _ = next(iter(Batches(self.train.select(torch.tensor([0])), self.modality, 1)))
        tried = copy.deepcopy(net).cpu().train()
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                tried(inputs)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # BatchNorm's complaint
                raise
            raise ValueError(
                f"With `dataset.batch_size` = {self.batch_size} the last batch of the {len(self.train)} "
                "training samples is a single one, and this network's BatchNorm needs more. "
                "Use dataset.drop_last=true or another dataset.batch_size."
            ) from error

    @override
    def train_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.train, self.batch_size, shuffle=True, drop_last=self.drop_last)

    @override
    def val_dataloader(self) -> DataLoader[Any]:
        return self._loader(self.test, max(self.batch_size, 256), shuffle=False, drop_last=False)

    def _loader(self, data: Samples, batch_size: int, *, shuffle: bool, drop_last: bool) -> DataLoader[Any]:
        # The tensors are indexed a batch at a time in this process: workers would only copy them.
        rank, ranks = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        share = {"rank": rank, "ranks": ranks}
        sampler = EpochBatches(len(data), batch_size, seed=self.seed, shuffle=shuffle, drop_last=drop_last, **share)
        # From pinned memory a batch is copied to a GPU while the one before is learnt from.
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return DataLoader(data, sampler=sampler, batch_size=None, pin_memory=on_gpu)  # type: ignore[arg-type]

    @override
    def on_after_batch_transfer(self, batch: Sequence[Any], dataloader_idx: int) -> tuple[Any, Targets]:
        inputs, targets = batch
        trainer = self.trainer
        if trainer is not None and trainer.training:
            device = (inputs if isinstance(inputs, Tensor) else next(iter(inputs.values()))).device
            own = (trainer.global_rank + 1,) if trainer.global_rank else ()  # each rank augments in its own way
            stream = seeding.generator(device, self.seed, trainer.current_epoch, trainer.fit_loop.batch_idx + 1, *own)
            inputs, targets = self.modality.augment(inputs, targets, self.tasks, generator=stream)
        inputs = self.modality.to_model(inputs)
        return inputs, self.modality.targets(inputs, targets)


class ImageDataModule(DataModule):
    """8-bit images in memory; batches are augmented, and become floats in [0, 1], on the training device.

    Args:
        crop: Zero padding of the random crop, in pixels; 0 turns it off.
        flip: Whether to mirror training images, with their targets, at random.
        **options: See `DataModule`; `modality` is set.
    """

    def __init__(self, *, crop: Number = 0, flip: bool = False, **options: Any) -> None:
        super().__init__(modality=Pixels(crop=crop, flip=flip), **options)


def _part(samples: Samples, count: int | None, option: str) -> Samples:
    """A stratified part of the samples; all of them for None or where the source has taken the part itself."""
    if count is None or count == len(samples):
        return samples
    return samples.select(stratified(samples.labels, count, what=option))
