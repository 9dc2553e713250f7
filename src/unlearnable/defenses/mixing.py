"""What mixup and CutMix share: a random share, and targets that are mixed with it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Targets
from unlearnable.defenses.image import ImageDefense
from unlearnable.options import Number, number
from unlearnable.tasks import Classification, Task


class Mixing(ImageDefense):
    """Mixes each image of a batch with another, and their classes alike.

    Args:
        alpha: The first image's share is drawn from Beta(alpha, alpha), once a batch; 1 is the uniform distribution.
    """

    def __init__(self, *, alpha: Number = 1.0) -> None:
        self.alpha = number("defense.alpha", alpha, above=0)
        self.tasks: Mapping[str, Task] = {}

    @override
    def setup(self, tasks: Mapping[str, Task]) -> None:
        others = [f"{name} ({task.kind})" for name, task in tasks.items() if not isinstance(task, Classification)]
        if others:
            raise ValueError(
                f"This defence mixes the targets of two images, which has a meaning for classes alone; the model is "
                f"trained for {', '.join(others)} too. Use another defense, or class tasks alone by task.tasks."
            )
        self.tasks = tasks

    def draw(self, count: int, generator: Generator) -> tuple[float, Int64[Tensor, " n"]]:
        """The share that an image keeps, and each image's partner."""
        from scipy.special import betaincinv

        level = float(torch.rand((), generator=generator, device=generator.device))
        return float(betaincinv(self.alpha, self.alpha, level)), torch.randperm(
            count, generator=generator, device=generator.device
        )

    def mix_targets(self, targets: Targets, share: float, partner: Int64[Tensor, " n"]) -> Targets:
        """Each class's share in the mixed images, for each task `[n, k]`."""

        def mixed(name: str, target: Tensor) -> Tensor:
            shares = class_shares(target, self.tasks[name].channels)
            return share * shares + (1 - share) * shares[partner]

        if isinstance(targets, Tensor):
            (name,) = self.tasks
            return mixed(name, targets)
        return {name: mixed(name, target) if name in self.tasks else target for name, target in targets.items()}


def class_shares(target: Int64[Tensor, " n"] | Float[Tensor, "n k"], classes: int) -> Float[Tensor, "n k"]:
    """Class indices as shares: 1 for the class, all zero where there is none (−1); shares stay as they are."""
    if target.is_floating_point():
        return target
    return (target[:, None] == torch.arange(classes, device=target.device)).float()
