"""No poison."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from typing_extensions import override

from unlearnable.poisons.base import Method


class Clean(Method):
    """Returns the images as they are: the reference that every poison is measured against."""

    stored = False
    needs_classes = False

    @override
    def apply(
        self,
        images: UInt8[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],
        *,
        num_classes: int,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> UInt8[Tensor, "n c h w"]:
        """Returns `images` itself; the arguments are those of `Poison.apply`."""
        return images
