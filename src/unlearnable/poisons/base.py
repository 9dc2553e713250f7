"""What the experiment asks of any source of poisoned images, made here or elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor


class Method(ABC):
    """Turns clean training images into those to train on."""

    #: Whether the result is worth keeping in the store; not for what is read or returned as it is.
    stored: ClassVar[bool] = True
    #: Whether it is made against a classification, so that data without one will not do.
    needs_classes: ClassVar[bool] = True
    #: Whether it is made against all tasks of the data; it then has `for_targets(targets, tasks)`.
    takes_tasks: ClassVar[bool] = False

    @property
    def files(self) -> tuple[Path, ...]:
        """Files whose content the result depends on."""
        return ()

    def check(self, images: Tensor, labels: Tensor, num_classes: int) -> None:
        """Checks the arguments against the data; nothing to check unless a method says so.

        Raises:
            ValueError: if they do not go together.
        """
        del images, labels, num_classes

    @abstractmethod
    def apply(
        self,
        images: UInt8[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        *,
        num_classes: int,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> UInt8[Tensor, "n c h w"]:
        """Returns the poisoned images: row i poisons row i, on the 8-bit grid."""
