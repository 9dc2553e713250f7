"""Codes of targets: what a poison can write into a picture is one of a few, for dense tasks one a pixel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
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
    """Turns targets into codes, numbered from 0."""

    @property
    @abstractmethod
    def mirrored(self) -> Int64[Tensor, " k"]:
        """The code that each becomes in a mirror: itself for most."""

    @abstractmethod
    def __call__(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Int64[Tensor, "n h w"]:
        """The codes of these rows' pixels, or `[n, 1, 1]` of the images; −1 where there is no value."""


@dataclass(frozen=True)
class ClassCodes(Codes):
    """The classes of a class task are its codes."""

    task: Task

    @property
    @override
    def mirrored(self) -> Int64[Tensor, " k"]:
        return torch.arange(self.task.channels)

    @override
    def __call__(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Int64[Tensor, "n 1 1"]:
        return of_task(targets, self.task.name)[rows][:, None, None]


@dataclass(frozen=True)
class Codebook(Codes):
    """The nearest centres of a dense task's targets, as vectors a pixel.

    What a mirror changes in a vector is the sign of some entries: of a normal's x. Vectors are turned to one side before
    they are coded. A centre that is its own mirror image, or nearly, is one code; any other is two, one a side.

    Attributes:
        task: Whose targets are coded.
        mean: Of the vectors' entries.
        scale: One over their standard deviations; 0 for an entry that does not vary.
        odd: Which entries change their sign in a mirror.
        centres: In standardised vectors, turned to one side.
        sided: How many of the centres, the last ones, are two codes; those of the other side come last of all.
    """

    task: Task
    mean: Float[Tensor, " d"]
    scale: Float[Tensor, " d"]
    odd: Bool[Tensor, " d"]
    centres: Float[Tensor, "m d"]
    sided: int

    @property
    @override
    def mirrored(self) -> Int64[Tensor, " k"]:
        count = len(self.centres)
        plain, one, other = torch.arange(count + self.sided).split([count - self.sided, self.sided, self.sided])
        return torch.cat([plain, other, one])

    @override
    def __call__(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Int64[Tensor, "n h w"]:
        vectors = self.task.vectors(of_task(targets, self.task.name)[rows]).float().movedim(1, -1)
        turned, other_side = self.turned(vectors)
        codes = torch.cdist(turned, self.centres).argmin(-1)
        two = codes >= len(self.centres) - self.sided
        codes = torch.where(two & other_side, codes + self.sided, codes)
        return codes.masked_fill(vectors.isnan().all(-1), -1)

    def turned(self, vectors: Float[Tensor, "*pixels d"]) -> tuple[Float[Tensor, "*pixels d"], Bool[Tensor, "*pixels"]]:
        """Standardised vectors turned to one side, and whether they were on the other."""
        standard = ((vectors - self.mean) * self.scale).nan_to_num(0.0)
        other = standard[..., self.odd].sum(-1) < 0
        return torch.where(other[..., None] & self.odd, -standard, standard), other


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


def find_codes(task: Task, targets: Targets, count: int, *, generator: Generator) -> Codebook:
    """Finds `count` centres by k-means on some pixels of some rows; fewer where the targets have fewer values.

    Raises:
        ValueError: if none of these rows has a value.
    """
    from sklearn.cluster import MiniBatchKMeans

    pixels, odd = sampled_pixels(task, targets, generator=generator)
    mean = torch.where(odd, 0.0, pixels.mean(0))
    deviation = (pixels - mean).square().mean(0).sqrt()
    scale = torch.where(deviation > 1e-6, 1 / deviation.clamp_min(1e-6), 0.0)
    book = Codebook(task, mean, scale, odd, torch.zeros(0, len(mean)), 0)
    turned = book.turned(pixels)[0]
    count = min(count, len(torch.unique(turned, dim=0)))
    seed = int(torch.randint(2**31, (), generator=generator))
    found = MiniBatchKMeans(count, batch_size=4096, n_init=1, random_state=seed).fit(turned.numpy())
    centres = torch.from_numpy(found.cluster_centers_).to(turned.dtype)
    spread = turned[:, odd].square().sum(1).mean().sqrt()
    sided = (centres[:, odd].norm(dim=1) > spread / 2).long()
    return replace(book, centres=centres[sided.argsort(stable=True)], sided=int(sided.sum()))


def sampled_pixels(
    task: Task, targets: Targets, *, generator: Generator
) -> tuple[Float[Tensor, "m d"], Bool[Tensor, " d"]]:
    """Vectors of some pixels of some rows that have a value, and which of the entries change their sign in a mirror.

    Args:
        task: Dense.
        targets: Of all training samples.
        generator: Draws rows and pixels.

    Raises:
        ValueError: if none of these rows has a value.
    """
    every = of_task(targets, task.name)
    rows = torch.randperm(len(every), generator=generator)[: _PIXELS // _PIXELS_AN_IMAGE].sort().values
    shown = every[rows]
    pixels, reflected = (task.vectors(one).float().movedim(1, -1) for one in (shown, task.mirror(shown)))
    known = ~pixels.isnan().any(-1)
    if not known.any():
        raise ValueError(f"{task.name}: none of {len(rows)} training targets has a value; there is nothing to write.")
    odd = (pixels * reflected.flip(-2))[known].sum(0) < 0
    pixels = pixels[known]
    return pixels[torch.randperm(len(pixels), generator=generator)[:_PIXELS]], odd
