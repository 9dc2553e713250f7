"""The LightningDataModule of data with several tasks: targets are mappings, augmentation moves them with the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from unlearnable.data.module import ImageDataModule, _mix
from unlearnable.data.samples import ImageSet, Targets
from unlearnable.tasks.base import Task


class MultiTaskDataModule(ImageDataModule):
    """Images with a mapping of targets, one entry a task; `tasks` describes them once the data are loaded.

    Args:
        mirror: Whether to mirror training images, with all of their targets, at random.
        **options: See `ImageDataModule`; its `crop` and `flip` know nothing of targets and are not offered.
    """

    def __init__(self, *, mirror: bool = False, **options: Any) -> None:
        for option in ("crop", "flip"):
            if options.pop(option, False):
                raise ValueError(f"`dataset.{option}` would move images but not their targets; use dataset.mirror.")
        super().__init__(**options)
        self.mirror = mirror
        self._tasks: dict[str, Task] = {}

    @property
    @override
    def tasks(self) -> Mapping[str, Task]:
        """The tasks, by name, in the order that was asked for."""
        self.setup()
        return self._tasks

    @property
    @override
    def num_classes(self) -> int:
        """Number of classes of the first class task; 0 if there is none."""
        return next((task.channels for task in self.tasks.values() if task.kind == "class"), 0)

    @property
    @override
    def protocol(self) -> dict[str, Any]:
        return {**super().protocol, "mirror": self.mirror}

    @override
    def on_after_batch_transfer(self, batch: Sequence[Any], dataloader_idx: int) -> tuple[Tensor, Targets]:
        trainer = self.trainer
        if self.mirror and trainer is not None and trainer.training:
            images, targets = batch
            assert isinstance(targets, Mapping)
            generator = torch.Generator(images.device)
            generator.manual_seed(_mix(self.seed, trainer.current_epoch, trainer.fit_loop.batch_idx + 1, 1))
            chosen = torch.rand(len(images), generator=generator, device=images.device) < 0.5
            batch = mirrored(images, targets, self.tasks, chosen)
        return super().on_after_batch_transfer(batch, dataloader_idx)


def mirrored(
    images: Tensor, targets: Mapping[str, Tensor], tasks: Mapping[str, Task], chosen: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mirrors the `chosen` `[n]` images left to right with their targets; a normal's x changes sign with it."""

    def mirror(values: Tensor, kind: str) -> Tensor:
        if values.ndim < 3:
            return values
        other = values.flip(-1)
        if kind == "normal":
            other = torch.cat([-other[:, :1], other[:, 1:]], dim=1)
        return torch.where(chosen.view(-1, *[1] * (values.ndim - 1)), other, values)

    return mirror(images, "rgb"), {name: mirror(values, tasks[name].kind) for name, values in targets.items()}


def balanced(task: Task, target: Tensor) -> Task:
    """The task with a weight a class of 1 / log(1.02 + p), p being its share of the pixels (Paszke et al., 2016, ENet).

    For rare classes this is up to 50: without it, where nine pixels in ten are background, a net says so of all.
    """
    counts = torch.bincount(target[target >= 0], minlength=task.channels).double()
    weights = 1 / torch.log(1.02 + counts / counts.sum())
    return replace(task, class_weights=tuple(weights.tolist()))


def check_targets(train: ImageSet, tasks: Mapping[str, Task]) -> None:
    """Refuses tasks that nothing can be learnt from.

    Raises:
        ValueError: naming the task, if all of its training targets are masked, or are of one class.
    """
    assert isinstance(train.targets, Mapping)
    for name, task in tasks.items():
        target = train.targets[name]
        there = ~target.isnan() if target.is_floating_point() else target >= 0
        if not there.any():
            raise ValueError(
                f"Task {name!r} has no value in the training set: all of it is masked. Leave it out of dataset.tasks."
            )
        if task.kind in ("class", "segmentation") and int(target[there].min()) == int(target[there].max()):
            raise ValueError(
                f"Task {name!r} has one class only in the training set ({int(target[there][0])}): there is nothing to "
                "tell apart. Leave it out of dataset.tasks or take more views."
            )
