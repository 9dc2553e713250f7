"""No poison."""

from __future__ import annotations

from pathlib import Path

import torch
from typing_extensions import override

from unlearnable.data.samples import Samples
from unlearnable.poisons.base import Poison


class Clean(Poison):
    """Returns the samples as they are: the reference that every poison is measured against."""

    stored = False

    @override
    def apply(
        self,
        samples: Samples,
        *,
        seed: int,
        device: str | torch.device = "cpu",
        progress: bool = False,
        work_dir: Path | None = None,
    ) -> Samples:
        return samples
