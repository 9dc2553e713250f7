"""Random crop and flip of whole batches, on the device they lie on, differentiable in the images.

The usual libraries draw from the global random state; here each batch has a generator of its own, so that a resumed run
sees the very images that an uninterrupted one sees. Gradients with respect to the images are exact, as needed by poisons
that are made in expectation over these transformations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int64, Shaped
from torch import Generator, Tensor


@dataclass(frozen=True)
class Moves:
    """How each image of a batch is moved.

    Attributes:
        shift: Rows and columns `[2, n]` by which its window lies off the image, in pixels; None does not crop.
        mirrored: Whether it is then mirrored left to right; None mirrors none.
    """

    shift: Int64[Tensor, "2 n"] | None
    mirrored: Bool[Tensor, " n"] | None

    @classmethod
    def draw(cls, count: int, *, crop: int, flip: bool, generator: Generator) -> Moves:
        """Draws the moves of `count` images: shifts uniform in −crop … crop, mirrored with probability 1/2."""
        device = generator.device
        shift = mirrored = None
        if crop:
            shift = torch.randint(-crop, crop + 1, (2, count), generator=generator, device=device)
        if flip:
            mirrored = torch.rand(count, generator=generator, device=device) < 0.5
        return cls(shift, mirrored)

    def apply(self, images: Shaped[Tensor, "n c h w"]) -> Shaped[Tensor, "n c h w"]:
        """The moved images; what comes in from outside is zero."""
        if self.shift is None:
            return images if self.mirrored is None else self.choose(images.flip(-1), images)
        height, width = images.shape[-2:]
        shift = self.shift.to(images.device)
        down = torch.arange(height, device=images.device).expand(len(images), -1)
        across = torch.arange(width, device=images.device).expand(len(images), -1)
        # out[i, j] = image[i + shift, mirrored(j) + shift], and the other way round for the gradient.
        there = (down + shift[0, :, None], self._mirror(across, width) + shift[1, :, None])
        back = (down - shift[0, :, None], self._mirror(across - shift[1, :, None], width))
        moved: Tensor = _Move.apply(images, *there, *back)
        return moved

    def choose(
        self, mirrored: Shaped[Tensor, "n *rest"], plain: Shaped[Tensor, "n *rest"]
    ) -> Shaped[Tensor, "n *rest"]:
        """Of two variants of each row, the mirrored one where its image is mirrored."""
        if self.mirrored is None:
            return plain
        return torch.where(self.mirrored.to(plain.device).view(-1, *[1] * (plain.ndim - 1)), mirrored, plain)

    def _mirror(self, columns: Tensor, width: int) -> Tensor:
        return self.choose(width - 1 - columns, columns)


def crop_and_flip(
    images: Shaped[Tensor, "n c h w"], *, crop: int, flip: bool, generator: Generator
) -> Shaped[Tensor, "n c h w"]:
    """Cuts each image's own random window out of it, padded with zeros, and mirrors half of them: CIFAR's augmentation.

    Args:
        images: Of any type; gradients flow through.
        crop: The padding, in pixels: most that a window lies off the image; 0 does not crop.
        flip: Whether to mirror left to right with probability one half.
        generator: The source of the draws; it may be on another device than the images.
    """
    return Moves.draw(len(images), crop=crop, flip=flip, generator=generator).apply(images)


class _Move(torch.autograd.Function):
    """Reads every image at its own rows and columns, zero outside; the gradient is the inverse move.

    Autograd would scatter the gradient instead, several times slower than a network's own passes on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, rows: Tensor, columns: Tensor, back_rows: Tensor, back_columns: Tensor
    ) -> Tensor:
        ctx.save_for_backward(back_rows, back_columns)
        return _read(images, rows, columns)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        return _read(gradient, *ctx.saved_tensors), None, None, None, None


def _read(images: Tensor, rows: Int64[Tensor, "n h"], columns: Int64[Tensor, "n w"]) -> Tensor:
    count, _, height, width = images.shape
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None]
    flat = rows.clamp(0, height - 1)[:, :, None] * width + columns.clamp(0, width - 1)[:, None]
    flat = flat + torch.arange(count, device=images.device)[:, None, None] * (height * width)
    # With the channels last a pixel is one row of a table.
    table = images.movedim(1, -1).reshape(count * height * width, -1)
    picked = table.index_select(0, flat.flatten()).view(count, height, width, -1)
    return (picked * inside.unsqueeze(-1)).movedim(-1, 1)
