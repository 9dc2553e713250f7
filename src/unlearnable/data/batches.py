"""How samples become batches: in a new order each epoch for training, always the same for measuring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Sampler
from typing_extensions import override

from unlearnable import seeding
from unlearnable.data.modality.base import Modality
from unlearnable.data.samples import Inputs, Samples, Targets
from unlearnable.tasks import Task


class EpochBatches(Sampler[list[int]]):
    """Index batches, in a new order each epoch that depends on (seed, epoch) alone.

    Lightning calls `set_epoch`, so a run resumed at epoch 7 sees epoch 7's order.

    Args:
        size: Number of samples.
        batch_size: Samples a batch.
        seed: Of the orders.
        shuffle: False keeps the samples' own order.
        drop_last: Whether to leave out the last batch of an epoch where it is smaller than the others.
        rank: Of this process among those that share each batch out.
        ranks: How many these are. For training (`shuffle`) all take equally many samples of a batch; the up to
            `ranks` − 1 that are left of the last one are left out.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        shuffle: bool,
        drop_last: bool = False,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.shuffle, self.drop_last = shuffle, drop_last
        self.rank, self.ranks = rank, ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the next pass."""
        self.epoch = epoch

    @override
    def __iter__(self) -> Iterator[list[int]]:
        order = torch.arange(self.size)
        if self.shuffle:
            order = torch.randperm(self.size, generator=seeding.generator("cpu", self.seed, self.epoch))
        for rows in order.split(self.batch_size)[: len(self)]:
            shared = len(rows) // self.ranks * self.ranks if self.shuffle else len(rows)
            yield rows[self.rank : shared : self.ranks].tolist()

    def __len__(self) -> int:
        whole, left = divmod(self.size, self.batch_size)
        needed = self.ranks if self.shuffle else self.rank + 1  # for one sample of the last batch
        return whole + (left >= needed and not self.drop_last)


@dataclass(frozen=True)
class Batches(Sequence[Any]):
    """A fixed set of samples in batches as models take them: never shuffled, never augmented.

    Attributes:
        samples: The samples, in their order.
        modality: What turns stored inputs into a model's.
        batch_size: Samples a batch; the last may be smaller.
        change: What is then done to a model's inputs; None does nothing.
    """

    samples: Samples
    modality: Modality
    batch_size: int
    change: Callable[[Inputs], Inputs] | None = None

    def __getitem__(self, place: int) -> tuple[Any, Targets]:  # type: ignore[override]
        if not 0 <= place < len(self):
            raise IndexError(f"There are {len(self)} batches; got {place}.")
        rows = torch.arange(place * self.batch_size, min((place + 1) * self.batch_size, len(self.samples)))
        inputs, targets = self.samples[rows]
        inputs = self.modality.to_model(inputs)
        targets = self.modality.targets(inputs, targets)
        return inputs if self.change is None else self.change(inputs), targets

    def __len__(self) -> int:
        return -(-len(self.samples) // self.batch_size)


class LoaderBatches:
    """Batches as the training loader gives them: each pass in a new order and augmented anew, an incomplete last one left out.

    Order and augmentation depend on (seed, number of the pass) alone; passes are counted from the first one on.

    Args:
        samples: The training samples.
        modality: What augments stored inputs and turns them into a model's.
        tasks: What the targets are for.
        batch_size: Samples a batch; all of them if there are fewer.
        seed: Of orders and augmentation.
        shuffle: False keeps the samples' own order.
        augment: False takes the inputs as they are.
        drop_last: False keeps an incomplete last batch.
    """

    def __init__(
        self,
        samples: Samples,
        modality: Modality,
        tasks: Mapping[str, Task],
        batch_size: int,
        *,
        seed: int,
        shuffle: bool = True,
        augment: bool = True,
        drop_last: bool = True,
    ) -> None:
        self.samples, self.modality, self.tasks, self.seed, self.augment = samples, modality, tasks, seed, augment
        size = min(batch_size, len(samples))
        self.order = EpochBatches(len(samples), size, seed=seed, shuffle=shuffle, drop_last=drop_last)
        self.passes = 0

    def __iter__(self) -> Iterator[tuple[Any, Targets]]:
        number, self.passes = self.passes, self.passes + 1
        self.order.set_epoch(number)
        for place, rows in enumerate(self.order, 1):
            inputs, targets = self.samples[torch.tensor(rows)]
            if self.augment:
                stream = seeding.generator("cpu", self.seed, number, place)
                inputs, targets = self.modality.augment(inputs, targets, self.tasks, generator=stream)
            inputs = self.modality.to_model(inputs)
            yield inputs, self.modality.targets(inputs, targets)
