"""Of several strong augmentations of each image the one with the largest loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from lightning.pytorch import LightningModule
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Targets
from unlearnable.defenses.image import ImageDefense, images_of
from unlearnable.defenses.ueraser import UEraser
from unlearnable.options import Number, whole
from unlearnable.tasks import Task


class UEraserMax(ImageDefense):
    """Minimises the mean over images of the largest loss among several draws of UEraser's augmentations.

    From `Learning the unlearnable by adversarial augmentations <https://arxiv.org/abs/2303.15127>`_ (Qin et al., 2023).
    All draws go through the network in one batch, as in its code; each draw has a trivial augmentation of its own.

    Args:
        draws: For each image; the paper's is 5.
        epochs: How many epochs have so many; later ones have one. The paper's are 60 of 200.

    Raises:
        ImportError: if kornia (the extra `defenses`) is not installed.
    """

    def __init__(self, *, draws: Number = 5, epochs: Number = 60) -> None:
        self.draws = whole("defense.draws", draws, at_least=2, what="a number of draws")
        self.epochs = whole("defense.epochs", epochs, what="a number of epochs")
        self._augment = UEraser()

    @override
    def setup(self, tasks: Mapping[str, Task]) -> None:
        self._augment.setup(tasks)

    @override
    def loss(self, module: LightningModule, batch: tuple[Any, Any], *, generator: Generator) -> Tensor:
        images, targets = images_of(batch[0]), batch[1]
        draws = self.draws if module.current_epoch < self.epochs else 1
        augmented = [self._augment.augmented(images, generator) for _ in range(draws)]
        losses = [losses_of_images(module, out, targets) for out in _split(module.net(torch.cat(augmented)), draws)]  # type: ignore[operator]
        return torch.stack(losses).amax(0).mean()


def losses_of_images(module: Any, outputs: Any, targets: Targets) -> Float[Tensor, " n"]:
    """What the module descends on, for each image by itself.

    Args:
        module: Has `objective`.
        outputs: Of its net: `[n, …]`, or a mapping of such.
        targets: Likewise.
    """

    def of_one(output: Any, target: Any) -> Tensor:
        batched = [
            {name: value[None] for name, value in one.items()} if isinstance(one, Mapping) else one[None]
            for one in (output, target)
        ]
        return module.objective(*batched)

    return torch.func.vmap(of_one)(outputs, targets)


def _split(outputs: Any, parts: int) -> list[Any]:
    """The outputs of each of `parts` equal batches."""
    if isinstance(outputs, Tensor):
        return list(outputs.chunk(parts))
    columns = {name: output.chunk(parts) for name, output in outputs.items()}
    return [{name: column[part] for name, column in columns.items()} for part in range(parts)]
