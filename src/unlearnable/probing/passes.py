"""The probe's batches, pass after pass, on the model's device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from unlearnable.probing.trees import first_tensor, is_by_sample, mapped, moved, tensors

_ROOM = 512 * 2**20  # bytes of batches that are kept; 512 images of 224×224 take 308 MB

#: Inputs, targets, and what they count in means over batches: by default how many samples they are.
Batch = tuple[Any, Any, int]


class Passes:
    """Goes over the batches of a probe, any number of times: the same samples in each pass.

    The batches of a sequence, such as a list, are brought to the device and made ready once, and kept there as long as
    they take less than 512 MiB together; what is beyond that, and what comes from another iterable, is asked for, and
    copied, in every pass.

    Args:
        batches: Re-iterable of ``(inputs, targets)``.
        device: The model's.
        loss_fn: The loss whose means over batches are taken. A loss that is not a mean over samples has a method
            ``batch_weight(targets)``: what a batch counts, such as its number of tokens.

    Attributes:
        sizes: Samples in each batch; None before the first whole pass.
        by_sample: Whether every tensor of all batches has the samples along its first axis, so that they can be cut.
    """

    def __init__(
        self, batches: Iterable[Any], device: torch.device, loss_fn: Callable[[Any, Any], Any] | None = None
    ) -> None:
        if iter(batches) is batches:
            raise ValueError(
                "`batches` must be re-iterable, as every step passes over them; got an iterator, which is exhausted after one "
                "pass. Give a list or a DataLoader."
            )
        self.device = device
        self.sizes: list[int] | None = None
        self.by_sample = True
        self.loss_fn = loss_fn
        self._batches = batches
        self._kept: list[Batch] | None = [] if isinstance(batches, Sequence) else None
        self._room = _ROOM

    @property
    def samples(self) -> int | None:
        """How many samples there are; None before the first whole pass."""
        return None if self.sizes is None else sum(self.sizes)

    def __iter__(self) -> Iterator[Batch]:
        sizes = []
        for batch in self._ready():
            sizes.append(samples_of(batch[0]))
            yield batch
        if not sum(sizes):
            raise ValueError("`batches` is empty: SAL needs at least one sample.")
        if self.samples is not None and sum(sizes) != self.samples:
            raise ValueError(
                f"`batches` must give the same samples in every pass; it gave {self.samples} first and {sum(sizes)} now. "
                "Does the loader drop or draw samples at random?"
            )
        self.sizes = sizes

    def head(self, share: float, samples: int) -> Head | None:
        """The first ``share`` of the samples, rounded up, however they are batched.

        Where batches cannot be cut it is whole batches. None where the share is fewer than ``samples`` samples, or those
        batches are more than half of all.
        """
        if self.sizes is None:
            raise RuntimeError("The size of the probe is known after its first pass.")
        total, count = sum(self.sizes), 0
        if share * total < samples:
            return None
        if self.by_sample:
            return Head(self, math.ceil(share * total))
        for place, size in enumerate(self.sizes, 1):
            count += size
            if count >= share * total:
                return Head(self, count) if place <= len(self.sizes) / 2 else None
        return None

    def _ready(self) -> Iterator[Batch]:
        if self._kept is None:
            yield from map(self._made, self._batches)
            return
        assert isinstance(self._batches, Sequence)
        yield from self._kept
        for place in range(len(self._kept), len(self._batches)):
            batch = self._made(self._batches[place])
            self._room -= sum(tensor.nbytes for tensor in tensors(batch))
            if self._room >= 0 and len(self._kept) == place:
                self._kept.append(batch)
            yield batch

    def _made(self, batch: Any) -> Batch:
        if not isinstance(batch, Sequence) or len(batch) != 2:
            raise ValueError(f"`batches` must give pairs (inputs, targets); got {type(batch).__name__}.")
        inputs, targets = moved(batch[0], self.device), moved(batch[1], self.device)
        self.by_sample = self.by_sample and is_by_sample([inputs, targets], samples_of(inputs))
        return inputs, targets, weight_of(self.loss_fn, inputs, targets)


@dataclass(frozen=True)
class Head:
    """The first ``samples`` samples of a probe; the last batch is cut."""

    passes: Passes
    samples: int

    def __iter__(self) -> Iterator[Batch]:
        left = self.samples
        for inputs, targets, weight in self.passes:
            if samples_of(inputs) > left:
                inputs, targets = first(inputs, targets, left)
                weight = weight_of(self.passes.loss_fn, inputs, targets)
            yield inputs, targets, weight
            left -= samples_of(inputs)
            if left <= 0:
                return


def first(inputs: Any, targets: Any, samples: int) -> tuple[Any, Any]:
    """The first samples of a batch whose tensors have the samples along the first axis."""
    inputs, targets = mapped([inputs, targets], lambda tensor: tensor[:samples])
    return inputs, targets


def samples_of(inputs: Any) -> int:
    """How many samples there are in a batch."""
    return len(first_tensor(inputs, "inputs"))


def weight_of(loss_fn: Callable[[Any, Any], Any] | None, inputs: Any, targets: Any) -> int:
    """What a batch counts in the mean of this loss over batches, see :class:`Passes`."""
    weigh = getattr(loss_fn, "batch_weight", None)
    return samples_of(inputs) if weigh is None else int(weigh(targets))
