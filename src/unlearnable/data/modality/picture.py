"""A poison at a glance."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from unlearnable.files import whole_file


def preview(
    clean: UInt8[Tensor, "n c h w"],
    poisoned: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    *,
    path: Path | None = None,
    columns: int = 10,
    tile: int = 64,
) -> UInt8[Tensor, "3 height width"]:
    """Draws three rows, clean, noise and poisoned, with one image of each class.

    The noise is scaled so that its largest change over the images shown reaches black or white; grey is no change.
    Shown is the first image of a class that the poison changes, or its first image.

    Args:
        clean: Clean images.
        poisoned: Poisoned images, row for row.
        labels: Their classes.
        path: Where to save the picture as PNG, if anywhere.
        columns: Most classes shown: the first of those that occur.
        tile: Height of an image in the picture, in pixels; small images are enlarged by a whole factor up to it.
    """
    if clean.shape != poisoned.shape or len(clean) != len(labels):
        raise ValueError(
            f"`clean`, `poisoned` and `labels` must describe the same images; got {tuple(clean.shape)}, "
            f"{tuple(poisoned.shape)} and {len(labels)} labels."
        )
    rows = torch.tensor([_example(clean, poisoned, labels, label) for label in labels.unique()[:columns].tolist()])
    before, after = clean[rows].float(), poisoned[rows].float()
    noise = after - before
    largest = noise.abs().max().clamp_min(1)
    shown = torch.stack([before, 127.5 + 127.5 * noise / largest, after])
    factor = max(1, tile // clean.shape[2])
    shown = shown.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
    if shown.shape[2] == 1:
        shown = shown.expand(-1, -1, 3, -1, -1)
    gap = 2
    shown = F.pad(shown, (gap, gap, gap, gap), value=255.0)
    picture = torch.cat([torch.cat(list(line), dim=2) for line in shown], dim=1).round().to(torch.uint8)
    if path is not None:
        save_png(picture, path)
    return picture


def save_png(picture: UInt8[Tensor, "c h w"], path: Path) -> None:
    """Writes one image as PNG, whole or not at all."""
    from PIL import Image

    pixels = picture.movedim(0, -1).squeeze(-1).contiguous().numpy()
    with whole_file(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def _example(clean: Tensor, poisoned: Tensor, labels: Tensor, label: int) -> int:
    members = (labels == label).nonzero().squeeze(1)
    for row in members[:256].tolist():
        if not torch.equal(clean[row], poisoned[row]):
            return int(row)
    return int(members[0])
