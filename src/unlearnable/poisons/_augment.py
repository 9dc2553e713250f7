"""Crop and flip on the device, for whole batches, differentiable in the images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F


def crop_and_flip(
    images: Float[Tensor, "n c h w"], generator: Generator, *, padding: int = 4
) -> Float[Tensor, "n c h w"]:
    """Shifts every image by up to `padding` pixels each way (zeros come in) and mirrors half of them.

    The usual CIFAR augmentation, drawn per image. Only indexing is involved, so gradients with respect to the images
    are exact, which TAP's and REM's expectation over transformations needs.
    """
    count, _, height, width = images.shape
    device = images.device
    shift = torch.randint(0, 2 * padding + 1, (2, count), generator=generator).to(device)
    flip = (torch.rand(count, generator=generator) < 0.5).to(device)
    rows = shift[0, :, None] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(count, width)
    columns = shift[1, :, None] + torch.where(flip[:, None], columns.flip(1), columns)
    padded = F.pad(images, (padding,) * 4)
    which = torch.arange(count, device=device)[:, None, None]
    # Advanced indices around the channel slice put the channels last.
    return padded[which, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
