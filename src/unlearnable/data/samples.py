"""Samples in memory: their inputs, targets, tasks, fingerprint, and stratified selections."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from unlearnable.tasks import Classification, Task, of_task

#: One tensor, or one a task for data with several tasks; the first axis is the sample.
Targets = Tensor | Mapping[str, Tensor]
#: One tensor, or several by name, such as token ids and their mask; the first axis is the sample.
Inputs = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True)
class Samples:
    """Inputs with their targets, whatever they are.

    Attributes:
        inputs: As they are stored: images `[n, c, h, w]` in 8 bits, token ids `[n, t]`; what they mean to a model is
            for their `Modality` to say.
        targets: `[n, …]`; for data with several tasks a mapping from task to such a tensor.
        tasks: What the targets are for, by name. The first class task is the one that stratified selections and
            poisons for a classification go by.
        vocabulary: Of text: the word that each token id stands for, by id.
    """

    inputs: Inputs
    targets: Targets = field(repr=False)
    tasks: Mapping[str, Task] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        size = len(self)
        for what, values in (("inputs", self.inputs), ("targets", self.targets)):
            for tensor in (values,) if isinstance(values, Tensor) else values.values():
                if len(tensor) != size:
                    raise ValueError(f"There are {size} samples but {len(tensor)} {what}; each needs one.")

    def __len__(self) -> int:
        return len(self.inputs if isinstance(self.inputs, Tensor) else next(iter(self.inputs.values())))

    def __getitem__(self, index: Tensor | list[int]) -> tuple[Inputs, Targets]:
        """One batch `(inputs, targets)`: how a `DataLoader` without a collate function reads it."""
        rows = torch.as_tensor(index)
        return map_tensors(lambda t: t[rows], self.inputs), map_tensors(lambda t: t[rows], self.targets)

    def select(self, rows: Int64[Tensor, " m"]) -> Samples:
        """The samples at `rows`, in that order."""
        inputs, targets = self[rows]
        return replace(self, inputs=inputs, targets=targets)

    def replace(self, *, inputs: Inputs | None = None, targets: Targets | None = None) -> Samples:
        """The same samples with other inputs (how a poison is put in) or other targets, row for row.

        Raises:
            ValueError: if there are more or fewer of them, or tensors of another shape.
        """
        if isinstance(inputs, Tensor) and isinstance(self.inputs, Tensor) and inputs.shape != self.inputs.shape:
            raise ValueError(f"The set holds inputs of shape {tuple(self.inputs.shape)}; got {tuple(inputs.shape)}.")
        return replace(
            self,
            inputs=self.inputs if inputs is None else inputs,
            targets=self.targets if targets is None else targets,
        )

    def focused(self, task: str) -> Samples:
        """The same samples with the class task `task` as their first.

        Raises:
            ValueError: if there is no class task of that name.
        """
        classes = [name for name, entry in self.tasks.items() if isinstance(entry, Classification)]
        if task not in classes:
            raise ValueError(f"`poison.task` must be a class task, one of {classes} here, or null; got {task!r}.")
        names = sorted(self.tasks, key=lambda name: name != task)  # stable: the others keep their order
        return replace(self, tasks={name: self.tasks[name] for name in names})

    @property
    def class_task(self) -> Task | None:
        """The first class task; None if there is none."""
        return next((task for task in self.tasks.values() if isinstance(task, Classification)), None)

    @property
    def labels(self) -> Int64[Tensor, " n"]:
        """The class indices that stratified selections and poisons go by: those of :attr:`class_task`, or zeros."""
        task = self.class_task
        if task is not None:
            return of_task(self.targets, task.name)
        plain = isinstance(self.targets, Tensor) and not self.tasks  # as read, before its task is known
        return self.targets if plain else torch.zeros(len(self), dtype=torch.int64)  # type: ignore[return-value]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over inputs, targets and vocabulary: what a run depends on, wherever the files lie."""
        digest = hashlib.sha256("\0".join(self.vocabulary).encode())
        for what, values in (("inputs", self.inputs), ("targets", self.targets)):
            named = {what: values} if isinstance(values, Tensor) else dict(sorted(values.items()))
            for name, tensor in named.items():
                digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
                for chunk in tensor.split(4096):  # memory-mapped images never lie in memory as a whole
                    digest.update(np.ascontiguousarray(chunk.numpy()).tobytes())
        return digest.hexdigest()


def map_tensors(function: Callable[[Tensor], Tensor], values: Inputs | Targets) -> Any:
    """Applies `function` to the one tensor, or to each by its name."""
    if isinstance(values, Tensor):
        return function(values)
    return {name: function(tensor) for name, tensor in values.items()}


def stratified(labels: Int64[Tensor, " n"], count: int, *, seed: int = 0, what: str = "samples") -> Int64[Tensor, " m"]:
    """Chooses `count` rows with each class at its share of the whole (largest remainders), in ascending order.

    Args:
        labels: Class of each row.
        count: Rows to choose, 1 to n.
        seed: Of the choice within each class.
        what: The option's name, for the message.

    Raises:
        ValueError: if `count` is below 1 or above n.
    """
    total = len(labels)
    if not 1 <= count <= total:
        raise ValueError(f"`{what}` must lie between 1 and the {total} samples there are; got {count}.")
    classes, sizes = torch.unique(labels, return_counts=True)
    shares = sizes.double() * count / total
    quota = shares.floor().long()
    for extra in torch.argsort(shares - quota, descending=True, stable=True)[: count - int(quota.sum())]:
        quota[extra] += 1
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for cls, size in zip(classes, quota.tolist(), strict=True):
        rows = torch.nonzero(labels == cls).flatten()
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[:size]])
    return torch.cat(chosen).sort().values
