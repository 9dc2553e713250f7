"""Codes of targets: what a poison can write into a picture is one of a few, for dense tasks one a pixel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Samples, Targets
from unlearnable.poisons.image.training_set import images_of
from unlearnable.tasks.base import Task, choose_tasks, of_task
from unlearnable.tasks.classification import Classification

# Pixels that the centres are found on.
_PIXELS = 50_000
_PIXELS_AN_IMAGE = 200


class Codes(ABC):
    """Turns targets into codes from 0 to `len(codes) - 1`."""

    @abstractmethod
    def __len__(self) -> int:
        """How many there are."""

    @abstractmethod
    def __call__(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Int64[Tensor, "n h w"]:
        """The codes of these rows' pixels, or `[n, 1, 1]` of the images; −1 where there is no value."""


@dataclass(frozen=True)
class ClassCodes(Codes):
    """The classes of a class task are its codes."""

    task: Task

    @override
    def __len__(self) -> int:
        return self.task.channels

    @override
    def __call__(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Int64[Tensor, "n 1 1"]:
        return of_task(targets, self.task.name)[rows][:, None, None]


@dataclass(frozen=True)
class Codebook(Codes):
    """The nearest centres of targets, where all of `tasks` are put together in one vector a pixel.

    Attributes:
        tasks: Whose targets are coded; all dense.
        mean: Of the vectors' entries.
        scale: That makes the sum of each task's variances 1.
        centres: Of the codes, in standardised vectors.
    """

    tasks: Mapping[str, Task]
    mean: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]
    centres: Float[Tensor, "k d"]

    @override
    def __len__(self) -> int:
        return len(self.centres)

    @override
    def __call__(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Int64[Tensor, "n h w"]:
        vectors = _vectors(self.tasks, targets, rows).movedim(1, -1)
        codes = torch.cdist(self.standard(vectors), self.centres).argmin(-1)
        return codes.masked_fill(vectors.isnan().all(-1), -1)

    def standard(self, vectors: Float[Tensor, "*pixels d"]) -> Float[Tensor, "*pixels d"]:
        """Standardised vectors; a task without a value, where others have one, counts as its mean."""
        return ((vectors - self.mean) * self.scale).nan_to_num(0.0)


def codable(samples: Samples, names: Sequence[str] | None) -> tuple[dict[str, Task], dict[str, Task]]:
    """The tasks called `names` (all for None), dense ones and class tasks apart.

    Raises:
        ValueError: if there is none, or one whose targets are neither classes nor lie on the pixels.
    """
    tasks = choose_tasks(samples.tasks, names, what="poison.tasks")
    if not tasks:
        raise ValueError("Targets are coded task by task, and the samples name no task.")
    dense = {name: task for name, task in tasks.items() if task.dense}
    classes: dict[str, Task] = {name: task for name, task in tasks.items() if isinstance(task, Classification)}
    for name, task in tasks.items():
        shape = of_task(samples.targets, name).shape
        if name not in classes and (name not in dense or shape[-2:] != images_of(samples).shape[-2:]):
            raise ValueError(
                f"Codes are made of classes and of targets a pixel; task {name!r} ({task.kind}) has targets of shape "
                f"{tuple(shape[1:])}. Leave it out of `poison.tasks`."
            )
    return dense, classes


def find_codes(tasks: Mapping[str, Task], targets: Targets, count: int, *, generator: Generator) -> Codebook:
    """Finds `count` centres by k-means on some pixels of some rows; fewer where the targets have fewer values.

    Raises:
        ValueError: if none of the tasks has a value there.
    """
    from sklearn.cluster import MiniBatchKMeans

    size = len(of_task(targets, next(iter(tasks))))
    rows = torch.randperm(size, generator=generator)[: _PIXELS // _PIXELS_AN_IMAGE].sort().values
    pixels = _vectors(tasks, targets, rows).movedim(1, -1).flatten(0, 2)
    pixels = pixels[~pixels.isnan().all(1)]
    if not len(pixels):
        raise ValueError(f"{', '.join(tasks)}: none of {len(rows)} training targets has a value; there is no code.")
    pixels = pixels[torch.randperm(len(pixels), generator=generator)[:_PIXELS]]
    mean = pixels.nanmean(0).nan_to_num(0.0)
    deviation = (pixels - mean).square().nanmean(0).nan_to_num(0.0).sqrt()
    widths = [_vectors({name: task}, targets, rows[:1]).shape[1] for name, task in tasks.items()]
    share = torch.cat([torch.full((width,), width**-0.5) for width in widths])
    scale = torch.where(deviation > 1e-6, share / deviation.clamp_min(1e-6), 0.0)
    standard = Codebook(tasks, mean, scale, torch.zeros(0, len(mean))).standard(pixels)
    count = min(count, len(torch.unique(standard, dim=0)))
    seed = int(torch.randint(2**31, (), generator=generator))
    found = MiniBatchKMeans(count, batch_size=4096, n_init=1, random_state=seed).fit(standard.numpy())
    return Codebook(tasks, mean, scale, torch.from_numpy(found.cluster_centers_).to(standard.dtype))


def _vectors(tasks: Mapping[str, Task], targets: Targets, rows: Tensor) -> Float[Tensor, "n d h w"]:
    """All tasks' vectors of these rows, one behind the other."""
    return torch.cat([task.vectors(of_task(targets, name)[rows]).float() for name, task in tasks.items()], 1)
