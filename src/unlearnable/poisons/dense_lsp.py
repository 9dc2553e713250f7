"""Local textures that spell out the targets of any tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from typing_extensions import override

from unlearnable.data.samples import Samples, Targets
from unlearnable.options import Number, number, switch, whole
from unlearnable.poisons.image.base import ImagePoison, Perturb
from unlearnable.poisons.image.budget import Norm
from unlearnable.poisons.image.codes import ClassCodes, Codes, codable, find_codes
from unlearnable.poisons.image.tiles import deal_cells, lay, separated_tiles
from unlearnable.poisons.image.training_set import Batch, TrainingSet


class DenseLSP(ImagePoison):
    """Writes every task's target into the picture as a texture: linearly separable perturbations, pixel by pixel.

    LSP (Yu et al., 2022, see `LSP`) gives each class a pattern of its own that is easier to read than the picture. Here
    the same is done for tasks with a target a pixel, for which nothing is published: k-means makes `codes` of the
    targets (depth as its logarithm, normals, one-hot classes, maps as they are; each task standardised to variance 1),
    and every pixel shows its code's tile, a small pattern of ±1 in all channels, far from the other codes' tiles. In a
    mirrored picture each code has the mirrored tile: a tile is symmetric, but where a mirror changes the target itself,
    as the normal of a wall, and with it the code. So random flips do not take the texture's meaning. An image's class
    has a tile of its own, over the whole picture. A pixel without a target has no code, and so no noise.

    No network is trained. Several class tasks (and dense ones, without `joint`) take turns in cells of one tile.

    Args:
        radius: See `ImagePoison`; shared between dense tasks and class tasks where there are both.
        norm: `linf`, or `l2`: each picture's noise is scaled to the radius.
        fraction: See `ImagePoison`; shares are drawn from the classes of the first class task.
        tasks: Names of the tasks to be made unlearnable; None takes all. The noise depends on no other task.
        codes: Centres of k-means; those that a mirror changes become two codes.
        joint: One code for all dense tasks together; else each has codes of its own.
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
        codes: int = 24,
        joint: bool = True,
        tile: int = 4,
        grain: int = 2,
        class_share: Number = 0.25,
        batch_size: int = 128,
    ) -> None:
        super().__init__(radius=radius, norm=norm, fraction=fraction, batch_size=batch_size)
        if norm == "l0":
            raise ValueError("`norm` must be 'linf' or 'l2' for dense_lsp, which changes every pixel; got 'l0'.")
        self.chosen = None if tasks is None else list(tasks)
        self.codes = whole("codes", codes)
        self.joint = switch("joint", joint)
        self.tile, self.grain = whole("tile", tile), whole("grain", grain)
        self.class_share = number("class_share", class_share, above=0, below=1)

    @override
    def check(self, samples: Samples) -> None:
        """Also checks that the chosen tasks are among the samples', and that their targets can be coded."""
        super().check(samples)
        codable(samples, self.chosen)

    @override
    def prepare(self, data: TrainingSet) -> Perturb:
        """Finds codes and their tiles; a batch's targets are then looked up and painted."""
        layers, targets = self.layers(data), data.samples.targets

        def perturb(batch: Batch, generator: Generator) -> Tensor:  # noqa: ARG001
            signs = torch.stack([layer.paint(targets, batch.rows) for layer in layers]).sum(0).to(data.device)
            if self.norm == "linf":
                return signs * self.radius
            return signs * (self.radius / signs.flatten(1).norm(dim=1).clamp_min(1e-12)).view(-1, 1, 1, 1)

        return perturb

    def layers(self, data: TrainingSet) -> list[Layer]:
        """What is painted: dense codes, classes, or both, with their shares of the radius."""
        dense, classes = codable(data.samples, self.chosen)
        parts = [dense] if self.joint and dense else [{name: task} for name, task in dense.items()]
        targets = data.samples.targets
        books = [find_codes(part, targets, self.codes, generator=data.stream("codes", *part)) for part in parts]
        groups: list[Sequence[Codes]] = [group for group in (books, [*map(ClassCodes, classes.values())]) if group]
        shares = [1 - self.class_share, self.class_share] if len(groups) == 2 else [1.0]
        channels, height, width = data.shape
        mirrored = [codes.mirrored for group in groups for codes in group]
        sizes = [len(part) for part in mirrored]
        numbered = torch.cat([part + sum(sizes[:place]) for place, part in enumerate(mirrored)])
        tiles = iter(separated_tiles(numbered, channels, self.tile, generator=data.stream("tiles")).split(sizes))
        cell = self.tile * self.grain
        return [
            Layer(
                share=share,
                codes=group,
                tiles=[next(tiles) for _ in group],
                grain=self.grain,
                turns=deal_cells(height, width, cell, len(group), generator=data.stream("turns", len(group))),
            )
            for share, group in zip(shares, groups, strict=True)
        ]


@dataclass(frozen=True)
class Layer:
    """Codes that share an amplitude.

    Attributes:
        share: Of the radius.
        codes: Of one task each, or of several together.
        tiles: Those of each, `[k, c, s, s]`.
        grain: Pixels along a sign's side.
        turns: Whose turn each pixel is.
    """

    share: float
    codes: Sequence[Codes]
    tiles: Sequence[Tensor]
    grain: int
    turns: Int64[Tensor, "h w"]

    def paint(self, targets: Targets, rows: Int64[Tensor, " n"]) -> Float[Tensor, "n c h w"]:
        """The texture of these rows, of values ±`share`; 0 where there is no code."""
        painted = []
        for turn, (codes, tiles) in enumerate(zip(self.codes, self.tiles, strict=True)):
            here = codes(targets, rows).expand(-1, *self.turns.shape).masked_fill(self.turns != turn, -1)
            painted.append(lay(tiles, here, grain=self.grain))
        return torch.stack(painted).sum(0) * self.share
