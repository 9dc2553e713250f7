"""No poison."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor


class Clean:
    """Returns the images as they are: the reference that every poison is measured against."""

    def apply(
        self,
        images: UInt8[Tensor, "n c h w"],
        labels: Int64[Tensor, " n"],  # noqa: ARG002
        *,
        num_classes: int,  # noqa: ARG002
        seed: int,  # noqa: ARG002
        device: str | torch.device = "cpu",  # noqa: ARG002
        progress: bool = False,  # noqa: ARG002
        work_dir: Path | None = None,  # noqa: ARG002
    ) -> UInt8[Tensor, "n c h w"]:
        """Returns `images` itself; the arguments are those of `Poison.apply`."""
        return images
