"""The seam for defences, and the one that does nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

    from unlearnable.data.samples import Inputs, Samples, Targets
    from unlearnable.tasks import Task


class Defense:
    """What a trainer does against poisoned data; every hook does nothing unless a defence says so."""

    #: Whether `purify` does something, so that its result is kept in the store: set where a class has its own.
    purifies: bool = False
    #: Whether `at_test` depends on the training set, see `fitted`.
    learns: bool = False
    #: Files that `purify` reads; what they hold is part of its result's key.
    files: Sequence[Path] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "purify" in vars(cls) and "purifies" not in vars(cls):
            cls.purifies = True

    def check(self, samples: Samples) -> None:
        """Checks itself against the clean training set, before anything is trained or stored; by default nothing.

        Raises:
            ValueError: if they do not go together, as a defence of images and texts.
        """
        del samples

    def setup(self, tasks: Mapping[str, Task]) -> None:
        """Sees what the model is trained for, before any hook is called.

        Raises:
            ValueError: if there is a task that it cannot be used with.
        """

    def purify(
        self,
        train: Samples,
        *,
        seed: int,  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        work_dir: Path,  # noqa: ARG002
        progress: bool = False,  # noqa: ARG002
    ) -> Samples:
        """The training set that is trained on instead, made once and stored.

        Args:
            train: The (poisoned) training set; never modified.
            seed: Same seed, same result.
            device: Where to compute.
            work_dir: Private folder that survives an interruption: the next call goes on from what lies there.
            progress: Whether to show progress bars on a terminal.
        """
        return train

    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:  # noqa: ARG002
        """A training batch, after the augmentation, as the model is to see it, on the training device.

        Args:
            inputs: As models take them: images in [0, 1].
            targets: Their targets.
            generator: The only source of randomness, on the device; it depends on seed, epoch and batch alone.
        """
        return inputs, targets

    def loss(self, module: LightningModule, batch: tuple[Any, Any], *, generator: Generator) -> Tensor | None:  # noqa: ARG002
        """The batch's training loss in the place of the module's own; None leaves it to the module.

        Args:
            module: Has `net` and `objective`, what is descended on as a function of a batch's outputs and targets.
            batch: What `batch` returned.
            generator: As for `batch`.
        """
        return None

    def fitted(self, train: Samples) -> Defense:  # noqa: ARG002
        """The defence of a model trained on `train`, the purified set, where `at_test` depends on that; else itself.

        A job has two such models, the own one and its clean reference, so what is learnt from a training set does not
        stay in the defence that both share.
        """
        return self

    def at_test(self, inputs: Inputs) -> Inputs:
        """Test inputs as the model is to see them."""
        return inputs


class NoDefense(Defense):
    """Trains on the data as they are."""
