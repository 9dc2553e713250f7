"""The seam for poisons: what a job asks of any source of unlearnable examples, made here or elsewhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from unlearnable.data.samples import Samples


class Poison(ABC):
    """Turns clean training samples into those to train on.

    Methods for images derive from :class:`unlearnable.poisons.image.base.ImagePoison`, which adds a budget, a share of
    the images and the loop that writes them.
    """

    #: Whether the result is worth keeping in the store; not for what is read or returned as it is.
    stored: ClassVar[bool] = True

    @property
    def files(self) -> tuple[Path, ...]:
        """Files whose content the result depends on."""
        return ()

    def check(self, samples: Samples) -> None:
        """Checks the arguments against the samples, before any long work; by default there is nothing to check.

        Raises:
            ValueError: if they do not go together.
        """
        del samples

    @abstractmethod
    def apply(
        self,
        samples: Samples,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> Samples:
        """Returns the poisoned samples, row i for row i; `samples` stay as they are.

        Args:
            samples: The clean training set; its inputs may be memory-mapped.
            seed: Same seed, same result (on the same kind of device).
            device: Where to compute.
            progress: Whether to show progress bars on a terminal.
            work_dir: Folder for intermediate results, private to exactly this call's arguments. When it survives an
                interruption, the next call goes on from there; large results are memory-mapped into it.

        Raises:
            ValueError: if arguments and samples do not go together, see :meth:`check`.
        """


def check_finite(net: nn.Module) -> None:
    """Checks that a network that a poison is made on has learnt something.

    Raises:
        ValueError: if its weights are not finite. What is made on it would say nothing, and steps by signs would hide it.
    """
    sums = [tensor.detach().sum() for tensor in net.state_dict().values() if tensor.is_floating_point()]
    if sums and not torch.stack(sums).isfinite().all():  # one look at the device, not one a tensor
        raise ValueError(
            f"The weights of the {type(net).__name__} that the poison is made on are not finite: its training diverged. "
            "Take a smaller learning rate (`poison.lr`), or another `poison.surrogate`."
        )
