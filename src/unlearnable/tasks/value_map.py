"""Any values a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torchmetrics
from jaxtyping import Float
from torch import Tensor
from torchmetrics import MeanSquaredError
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task, dense_priors, image_mean


@dataclass(frozen=True)
class ValueMap(Task):
    """Values a pixel, `[n, c, h, w]`, NaN for none; judged by RMSE."""

    kind: ClassVar[str] = "map"
    metric: ClassVar[Metric] = Metric("rmse", higher_is_better=False)

    @override
    def loss(self, output: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        """L1."""
        return image_mean((output - target.nan_to_num(0.0)).abs(), ~target.isnan())

    @override
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        return {"rmse": MeanSquaredError(squared=False)}

    @override
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = ~target.isnan()
        return {"rmse": (output[known], target[known])}

    @override
    def priors(self, target: Float[Tensor, "n c h w"]) -> dict[str, Tensor]:
        """The average map, which the RMSE is smallest at."""
        return dense_priors(target.nanmean(dim=(0, 2, 3), keepdim=True), target.nanmean(dim=0, keepdim=True))
