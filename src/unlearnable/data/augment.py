"""Crop and flip for a whole batch at once, on the device it lies on.

The usual libraries draw from the global random state, one image at a time or a batch at a time; here each epoch has
its own generator, so that a resumed run sees the very images that an uninterrupted one sees.
"""

from __future__ import annotations

import torch
from jaxtyping import Shaped
from torch import Generator, Tensor
from torch.nn import functional as F


def random_crop(images: Shaped[Tensor, "n c h w"], padding: int, *, generator: Generator) -> Shaped[Tensor, "n c h w"]:
    """Pads each image with zeros on all sides and cuts its own random window of the original size out of it."""
    n, c, h, w = images.shape
    top = torch.randint(0, 2 * padding + 1, (n, 1), generator=generator, device=images.device)
    left = torch.randint(0, 2 * padding + 1, (n, 1), generator=generator, device=images.device)
    rows = top + torch.arange(h, device=images.device)
    columns = left + torch.arange(w, device=images.device)
    sample = torch.arange(n, device=images.device)
    padded = F.pad(images, (padding,) * 4)
    return padded[
        sample[:, None, None, None],
        torch.arange(c, device=images.device)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]


def random_flip(images: Shaped[Tensor, "n c h w"], *, generator: Generator) -> Shaped[Tensor, "n c h w"]:
    """Mirrors each image left to right with probability one half."""
    mirrored = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)
