"""Local textures that spell out the targets of any tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Samples, Targets
from unlearnable.options import Number, number, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.codes import ClassCodes, codable
from unlearnable.poisons.image.signs import Signs, find_signs
from unlearnable.poisons.image.tiles import deal_cells, lay, separated_tiles
from unlearnable.poisons.image.training_set import Batch, TrainingSet

# Of a class's tile: signs along its side, and pixels along a sign's.
_TILE, _GRAIN = 4, 2


class DenseLSP(ImagePoison):
    """Writes every task's target into the picture as a texture: linearly separable perturbations, pixel by pixel.

    LSP (Yu et al., 2022, see `LSP`) gives each class a pattern of its own that is easier to read than the picture. Here
    the same is done for tasks with a target a pixel, for which nothing is published. Each place of a small tile, in
    each channel, belongs to one of the tasks and has a direction in the space of its targets (depth as its logarithm,
    normals, one-hot classes, maps as they are) and a threshold: its sign in a pixel says on which side that pixel's
    target lies. Over a tile the targets are, nearly, a linear function of the signs, see `find_signs`. The tile's right
    half is the left one's mirror image, with directions mirrored as the task mirrors its targets, and tiles are laid
    from both sides inwards: a mirrored picture with mirrored targets has the mirrored noise, so random flips do not
    take its meaning. An image's class has a tile of its own, over the whole picture. A place whose task has no value in
    a pixel shows nothing there.

    No network is trained. Several class tasks take turns in cells of one tile.

    Args:
        radius: See `ImagePoison`; shared between dense tasks and class tasks where there are both.
        norm: `linf`, or `l2`: each picture's noise is scaled to the radius.
        fraction: See `ImagePoison`; shares are drawn from the classes of the first class task.
        tasks: Names of the tasks to be made unlearnable; None takes all. The noise depends on no other task.
        tile: Signs along a tile's side.
        grain: Pixels along a sign's side.
        class_share: Share of the radius for class tasks, where there are dense ones beside them.
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
        class_share: Number = 0.375,
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        if norm == "l0":
            raise ValueError("`norm` must be 'linf' or 'l2' for dense_lsp, which changes every pixel; got 'l0'.")
        self.chosen = None if tasks is None else list(tasks)
        self.tile, self.grain = whole("tile", tile), whole("grain", grain)
        self.class_share = number("class_share", class_share, above=0, below=1)

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
            painted = torch.stack([share * layer.paint(targets, batch.rows) for share, layer in layers])
            signs = painted.sum(0).to(data.device)
            if self.norm == "linf":
                return signs * self.radius
            return signs * (self.radius / signs.flatten(1).norm(dim=1).clamp_min(1e-12)).view(-1, 1, 1, 1)

        return perturb

    def layers(self, data: TrainingSet) -> list[tuple[float, Signs | ClassTiles]]:
        """What is painted, with its share of the radius: dense targets, classes, or both."""
        dense, classes = codable(data.samples, self.chosen)
        share = self.class_share if dense else 1.0
        layers: list[tuple[float, Signs | ClassTiles]] = []
        if dense:
            signs = find_signs(
                dense,
                data.samples.targets,
                data.shape,
                side=self.tile,
                grain=self.grain,
                generator=data.stream("signs"),
            )
            layers.append((1 - share if classes else 1.0, signs))
        if classes:
            layers.append((share, self._classes([*map(ClassCodes, classes.values())], data)))
        return layers

    def _classes(self, codes: Sequence[ClassCodes], data: TrainingSet) -> ClassTiles:
        channels, height, width = data.shape
        sizes = [code.task.channels for code in codes]
        tiles = separated_tiles(torch.arange(sum(sizes)), channels, _TILE, generator=data.stream("tiles")).split(sizes)
        turns = deal_cells(height, width, _TILE * _GRAIN, len(codes), generator=data.stream("turns", len(codes)))
        return ClassTiles(codes, tiles, turns)


@dataclass(frozen=True)
class ClassTiles:
    """The texture of class tasks: a tile a class, over the whole picture.

    Attributes:
        codes: Of each task.
        tiles: Those of each, `[k, c, s, s]`.
        turns: Whose turn each pixel is.
    """

    codes: Sequence[ClassCodes]
    tiles: Sequence[Tensor]
    turns: Int64[Tensor, "h w"]

    def paint(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        """The texture of these rows, ±1; 0 where there is no class."""
        painted = []
        for turn, (codes, tiles) in enumerate(zip(self.codes, self.tiles, strict=True)):
            here = codes(targets, rows).expand(-1, *self.turns.shape).masked_fill(self.turns != turn, -1)
            painted.append(lay(tiles, here, grain=_GRAIN))
        return torch.stack(painted).sum(0)
