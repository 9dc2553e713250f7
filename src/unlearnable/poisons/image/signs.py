"""Targets spelt out in signs: each place of a small tile says on which side of a threshold a pixel's target lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor
from torch.nn import functional as F

from unlearnable.data.samples import Targets
from unlearnable.poisons.image.codes import sampled_pixels
from unlearnable.poisons.image.tiles import from_edge
from unlearnable.tasks.base import Task, of_task

# Thresholds lie within so many standard deviations of the mean: of a sparse map most of the range hardly occurs.
_DEVIATIONS = 2.0


@dataclass(frozen=True)
class Place:
    """One place of the tile, and what it says of a pixel: whether its target along `direction` exceeds `threshold`.

    Attributes:
        task: Whose target; dense.
        row: In the tile.
        column: In the tile.
        channel: Of the picture.
        direction: Of unit length, in the space of the task's `vectors`.
        threshold: Of the target's component in that direction.
    """

    task: Task
    row: int
    column: int
    channel: int
    direction: Float[Tensor, " d"]
    threshold: float


@dataclass(frozen=True)
class Signs:
    """The texture of several dense tasks: in every place of a tile the sign that its task's target has there.

    Attributes:
        places: All of the tile's.
        side: Of the tile, in signs.
        grain: Pixels along a sign's side.
        shape: Channels, height and width of the pictures.
    """

    places: Sequence[Place]
    side: int
    grain: int
    shape: tuple[int, int, int]

    def paint(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        """The texture of these rows, ±1; 0 where the place's task has no value. Mirrored targets have it mirrored."""
        channels, height, width = self.shape
        down = torch.arange(height) // self.grain % self.side
        inwards = from_edge(width) // self.grain % self.side
        across = torch.where(torch.arange(width) < (width + 1) // 2, inwards, self.side - 1 - inwards)
        tasks = {place.task.name: place.task for place in self.places}
        vectors = {name: task.vectors(of_task(targets, name)[rows]).float() for name, task in tasks.items()}
        painted = torch.zeros(len(rows), channels, height, width)
        for place in self.places:
            here = (down == place.row).nonzero(), (across == place.column).nonzero().squeeze(1)
            shown = torch.einsum("ndhw,d->nhw", vectors[place.task.name][:, :, *here], place.direction)
            painted[:, place.channel, *here] = torch.where(shown > place.threshold, 1.0, -1.0) * ~shown.isnan()
        return painted


def find_signs(
    tasks: Mapping[str, Task],
    targets: Targets,
    places: Mapping[str, Bool[Tensor, "c s s"]],
    *,
    grain: int,
    shape: tuple[int, int, int],
    generator: Generator,
) -> Signs:
    """Gives each place of a tile a random direction in its task's targets, and thresholds that are evenly spread.

    With thresholds spread evenly over what occurs, the mean of the signs that share a direction is linear in the
    target's component there. So over a tile the target itself is, nearly, a linear function of the noise.

    Args:
        tasks: Dense ones.
        targets: Of all training samples.
        places: Of each of them (others' are not looked at), the same in a mirror.
        grain: Pixels along a sign's side.
        shape: Channels, height and width of the pictures.
        generator: Draws the directions, and which threshold goes where.

    Raises:
        ValueError: if one of the tasks has no value.
    """
    side = next(iter(places.values())).shape[-1]
    signs = []
    for name, task in tasks.items():
        own = places[name][..., : (side + 1) // 2].nonzero().tolist()  # the right half is the left one's mirror image
        pixels, odd = sampled_pixels(task, targets, generator=generator)
        directions = F.normalize(torch.randn(len(own), pixels.shape[1], generator=generator), dim=1)
        directions *= directions[:, :1].sign()
        levels = (torch.randperm(len(own), generator=generator) + 0.5) / len(own)
        for number, ((channel, row, column), direction) in enumerate(zip(own, directions, strict=True)):
            mirror = side - 1 - column
            if mirror == column:  # the middle of an odd tile is its own mirror image
                direction = direction.masked_fill(odd, 0.0)
            along = pixels @ direction
            middle, reach = along.mean(), _DEVIATIONS * along.std()
            low, high = max(along.min(), middle - reach), min(along.max(), middle + reach)
            # Every other one the other way round, so that on the whole the noise is neither lighter nor darker.
            sign = 1 - 2 * (number % 2)
            threshold = float(low + (high - low) * levels[number])
            left = Place(task, row, column, channel, sign * direction, sign * threshold)
            signs.append(left)
            if mirror != column:
                signs.append(replace(left, column=mirror, direction=torch.where(odd, -left.direction, left.direction)))
    return Signs(signs, side, grain, shape)
