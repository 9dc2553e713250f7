"""What defences of texts share: their check, and words taken out of training and test texts alike."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from typing_extensions import override

from unlearnable.data.modality.tokens import tokens_of
from unlearnable.data.samples import Inputs, Samples
from unlearnable.data.vocabulary import masked
from unlearnable.defenses.base import Defense
from unlearnable.tasks import Classification, Task


class TextDefense(Defense):
    """A defence for texts alone; other inputs are refused before any work."""

    @override
    def check(self, samples: Samples) -> None:
        if isinstance(samples.inputs, Tensor) or not samples.vocabulary:
            raise ValueError(
                f"{type(self).__name__} is a defence for texts, and the data hold other inputs, such as images. Use "
                "defense=none, or one for such data: docs/defenses.md says which is for what."
            )


class WordFilter(TextDefense, ABC):
    """Takes some entries of the vocabulary out of the training texts, once, and the same ones out of the test texts.

    What they are may depend on the training texts: a model's vocabulary is made from these. It must be the same for the
    texts that `rewrite` returns.
    """

    purifies = True

    def __init__(self) -> None:
        self._filtered: Bool[Tensor, " v"] | None = None

    @override
    def setup(self, tasks: Mapping[str, Task]) -> None:
        if others := [name for name, task in tasks.items() if not isinstance(task, Classification)]:
            raise ValueError(
                f"{type(self).__name__} changes test texts too, and the targets of {', '.join(others)} may be made of their "
                "words. It is for classes of texts; defense=word_dropout changes training batches alone."
            )

    @abstractmethod
    def filtered(self, train: Samples) -> Bool[Tensor, " v"]:
        """Which entries of the vocabulary are taken out; never padding and the unknown."""

    @abstractmethod
    def rewrite(self, ids: Int[Tensor, "n l"], out: Bool[Tensor, "n l"]) -> Int[Tensor, "n l"]:
        """The texts without the words at the places `out`: none empty, padding at their ends."""

    @override
    def purify(
        self, train: Samples, *, seed: int, device: torch.device, work_dir: Path, progress: bool = False
    ) -> Samples:
        return train.replace(inputs=self._without(train.inputs, self.filtered(train)))

    @override
    def fitted(self, train: Samples) -> WordFilter:
        other = copy.copy(self)
        other._filtered = self.filtered(train)
        return other

    @override
    def at_test(self, inputs: Inputs) -> Inputs:
        if self._filtered is None:
            raise RuntimeError(f"{type(self).__name__} is to see its training texts by `fitted` before test texts.")
        return self._without(inputs, self._filtered)

    def _without(self, inputs: Inputs, filtered: Bool[Tensor, " v"]) -> Mapping[str, Tensor]:
        ids = tokens_of(inputs)["ids"]
        return masked(self.rewrite(ids, filtered.to(ids.device)[ids.long()]))
