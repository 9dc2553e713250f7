"""Several defences, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Inputs, Samples, Targets
from unlearnable.defenses.base import Defense
from unlearnable.tasks import Task


class Compose(Defense):
    """Each hook of each defence, in the order of their names; one of them may have a loss of its own.

    Args:
        parts: Name → defence; the names, `a`, `b`, …, say the order and nothing else.

    Raises:
        ValueError: if there is no part, or several would take the place of the training loss.
    """

    def __init__(self, *, parts: Mapping[str, Defense]) -> None:
        self.parts = {name: parts[name] for name in sorted(parts)}
        losses = [name for name, part in self.parts.items() if type(part).loss is not Defense.loss]
        if not self.parts or len(losses) > 1:
            raise ValueError(
                "`defense.parts` must name at least one defence, of which at most one replaces the training loss; got "
                f"{', '.join(f'{name}: {type(part).__name__}' for name, part in self.parts.items()) or 'none'}."
            )
        self.purifies = any(part.purifies for part in self.parts.values())
        self.learns = any(part.learns for part in self.parts.values())
        purifying = [name for name, part in self.parts.items() if part.purifies]
        if early := [name for name in purifying[:-1] if self.parts[name].learns]:
            raise ValueError(
                f"`defense.parts`: {early[0]} does to test inputs what it learns from the training set as it is after all "
                f"parts, so no part that changes the training set may come after it, as {purifying[-1]} does. Parts go in "
                "the order of their names."
            )
        self.files = [file for part in self.parts.values() for file in part.files]

    @override
    def check(self, samples: Samples) -> None:
        for part in self.parts.values():
            part.check(samples)

    @override
    def setup(self, tasks: Mapping[str, Task]) -> None:
        for part in self.parts.values():
            part.setup(tasks)

    @override
    def purify(
        self, train: Samples, *, seed: int, device: torch.device, work_dir: Path, progress: bool = False
    ) -> Samples:
        for name, part in self.parts.items():
            if part.purifies:
                (work_dir / name).mkdir(exist_ok=True)
                train = part.purify(train, seed=seed, device=device, work_dir=work_dir / name, progress=progress)
        return train

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        for part in self.parts.values():
            inputs, targets = part.batch(inputs, targets, generator=generator)
        return inputs, targets

    @override
    def loss(self, module: LightningModule, batch: tuple[Any, Any], *, generator: Generator) -> Tensor | None:
        found = (part.loss(module, batch, generator=generator) for part in self.parts.values())
        return next((loss for loss in found if loss is not None), None)

    @override
    def fitted(self, train: Samples) -> Compose:
        return Compose(parts={name: part.fitted(train) for name, part in self.parts.items()})

    @override
    def at_test(self, inputs: Inputs) -> Inputs:
        for part in self.parts.values():
            inputs = part.at_test(inputs)
        return inputs
