"""Crop and flip on the device, for whole batches, differentiable in the images."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor


def crop_and_flip(
    images: Float[Tensor, "n c h w"], *, crop: int, flip: bool, generator: Generator
) -> Float[Tensor, "n c h w"]:
    """Shifts every image by up to `crop` pixels each way (zeros come in) and, for `flip`, mirrors half of them.

    The usual CIFAR augmentation, drawn per image. Gradients with respect to the images are exact, which TAP's and
    REM's expectation over transformations needs.
    """
    if not (crop or flip):
        return images
    count, _, height, width = images.shape
    shift = torch.randint(-crop, crop + 1, (2, count, 1), generator=generator).to(images.device)
    turned = (torch.rand(count, 1, generator=generator) < 0.5 * flip).to(images.device)
    down, across = torch.arange(height, device=images.device), torch.arange(width, device=images.device)

    def mirrored(columns: Tensor) -> Tensor:
        return torch.where(turned, width - 1 - columns, columns)

    # out[i, j] = image[i + shift, mirrored(j) + shift], and the other way round for the gradient.
    there = (down + shift[0], mirrored(across.expand(count, -1)) + shift[1])
    back = (down - shift[0], mirrored(across - shift[1]))
    moved: Tensor = _Move.apply(images, *there, *back)
    return moved


class _Move(torch.autograd.Function):
    """Reads every image at its own rows and columns, zero outside; the gradient is the inverse move.

    Autograd would scatter the gradient instead, several times slower than the network's own passes on a CPU.
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
