"""Local textures that spell out the targets of any tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Samples, Targets
from unlearnable.options import Number, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.codes import ClassCodes, codable
from unlearnable.poisons.image.signs import Signs, find_signs
from unlearnable.poisons.image.tiles import deal_places, lay, separated_tiles
from unlearnable.poisons.image.training_set import Batch, TrainingSet
from unlearnable.tasks.base import Task


class DenseLSP(ImagePoison):
    """Writes every task's target into the picture as a texture: linearly separable perturbations, pixel by pixel.

    LSP (Yu et al., 2022, see `LSP`) gives each class a pattern of its own that is easier to read than the picture. Here
    the same is done for tasks with a target a pixel, for which nothing is published. Each place of a small tile, in
    each channel, belongs to one of the tasks and has a direction in the space of its targets (depth as its logarithm,
    normals, one-hot classes, maps as they are) and a threshold: its sign in a pixel says on which side that pixel's
    target lies. Over a tile the targets are, nearly, a linear function of the signs, see `find_signs`. The tile's right
    half is the left one's mirror image, with directions mirrored as the task mirrors its targets, and tiles are laid
    from both sides inwards: a mirrored picture with mirrored targets has the mirrored noise, so random flips do not
    take its meaning. Class tasks have places of the tile like any other task; there each class has signs of its own,
    the same over the whole picture. A place whose task has no value in a pixel shows nothing there.

    No network is trained. Tasks share places, not the radius: every sign has all of it, and a sum of textures at parts
    of it would have less energy.

    Args:
        radius: See `ImagePoison`.
        norm: `linf`, or `l2`: each picture's noise is scaled to the radius.
        fraction: See `ImagePoison`; shares are drawn from the classes of the first class task.
        tasks: Names of the tasks to be made unlearnable; None takes all. The noise depends on no other task.
        tile: Signs along a tile's side; its places are dealt out evenly to the tasks.
        grain: Pixels along a sign's side.
        batch_size: See `ImagePoison`.
    """

    needs_classes = False

    def __init__(
        self,
        *,
        radius: Number,
        norm: Norm = "linf",
        fraction: Number | Sequence[int] = 1.0,
        tasks: Sequence[str] | None = None,
        tile: int = 4,
        grain: int = 1,
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        if norm == "l0":
            raise ValueError("`norm` must be 'linf' or 'l2' for dense_lsp, which changes every pixel; got 'l0'.")
        self.chosen = None if tasks is None else list(tasks)
        self.tile, self.grain = whole("tile", tile), whole("grain", grain)

    @override
    def check(self, samples: Samples) -> None:
        """Also checks that the chosen tasks are among the samples', and that their targets can be written."""
        super().check(samples)
        codable(samples, self.chosen)

    @override
    def prepare(self, data: TrainingSet) -> Perturb:
        """Finds what each place of the tiles says; a batch's targets are then looked up and painted."""
        layers, targets = self.layers(data), data.samples.targets

        def perturb(batch: Batch, generator: Generator) -> Tensor:  # noqa: ARG001
            signs = torch.stack([layer.paint(targets, batch.rows) for layer in layers]).sum(0).to(data.device)
            if self.norm == "linf":
                return signs * self.radius
            return signs * (self.radius / signs.flatten(1).norm(dim=1).clamp_min(1e-12)).view(-1, 1, 1, 1)

        return perturb

    def layers(self, data: TrainingSet) -> list[Signs | ClassTiles]:
        """What is painted, in places apart."""
        dense, classes = codable(data.samples, self.chosen)
        names, targets = [*dense, *classes], data.samples.targets
        form: dict[str, Any] = {"grain": self.grain, "shape": data.shape}
        dealt = deal_places(data.shape[0], self.tile, len(names), generator=data.stream("places"))
        places = dict(zip(names, dealt, strict=True))
        layers: list[Signs | ClassTiles] = []
        if dense:
            layers.append(find_signs(dense, targets, places, **form, generator=data.stream("signs")))
        for name, task in classes.items():
            layers.append(find_class_tiles(task, places[name], **form, generator=data.stream("tiles", name)))
        return layers


@dataclass(frozen=True)
class ClassTiles:
    """The texture of a class task: a tile a class, over the whole picture.

    Attributes:
        codes: Of the task.
        tiles: Of each class, ±1, and 0 in the places of other tasks.
        grain: Pixels along a sign's side.
        shape: Channels, height and width of the pictures.
    """

    codes: ClassCodes
    tiles: Float[Tensor, "k c s s"]
    grain: int
    shape: tuple[int, int, int]

    def paint(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        """The texture of these rows, ±1; 0 where there is no class."""
        return lay(self.tiles, self.codes(targets, rows).expand(-1, *self.shape[1:]), grain=self.grain)


def find_class_tiles(
    task: Task,
    places: Bool[Tensor, "c s s"],
    *,
    grain: int,
    shape: tuple[int, int, int],
    generator: Generator,
) -> ClassTiles:
    """Tiles with signs in these places, far apart; twice, four times as long where the classes need more signs."""
    bits = math.ceil(math.log2(max(2, task.channels))) + 1  # one more than would tell them apart
    while int(places[..., : (places.shape[-1] + 1) // 2].sum()) < bits:
        places = places.repeat(1, 2, 2)
    codes = ClassCodes(task)
    return ClassTiles(codes, separated_tiles(codes.mirrored, places, generator=generator), grain, shape)
