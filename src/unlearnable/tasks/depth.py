"""Distance to the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torchmetrics
from jaxtyping import Float
from torch import Tensor
from torchmetrics import MeanMetric, MeanSquaredError
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task, dense_priors, image_mean


@dataclass(frozen=True)
class Depth(Task):
    """Depth in metres, `[n, 1, h, w]`, NaN for none; the head predicts its logarithm. Judged by RMSE in metres.

    Beside it `abs_rel`, the mean relative error, and `delta1`, the share within a factor of 1.25.
    """

    kind: ClassVar[str] = "depth"
    metric: ClassVar[Metric] = Metric("rmse", higher_is_better=False)

    @override
    def loss(self, output: Float[Tensor, "n 1 h w"], target: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        """L1 between logarithms: an error counts by its share, near and far."""
        valid = ~target.isnan()
        return image_mean((output - torch.where(valid, target, torch.ones_like(target)).log()).abs(), valid)

    @override
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        return {"rmse": MeanSquaredError(squared=False), "abs_rel": MeanMetric(), "delta1": MeanMetric()}

    @override
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = ~target.isnan()
        predicted, true = output[known].exp(), target[known]
        ratio = torch.maximum(predicted / true, true / predicted)
        return {
            "rmse": (predicted, true),
            "abs_rel": ((predicted - true).abs() / true,),
            "delta1": ((ratio < 1.25).float(),),
        }

    @override
    def priors(self, target: Float[Tensor, "n 1 h w"]) -> dict[str, Tensor]:
        """The median, which the loss is smallest at."""
        pixel = target.nanmedian(dim=0, keepdim=True).values
        return dense_priors(target.nanmedian().log().view(1, 1, 1, 1), pixel.log())

    @override
    def vectors(self, target: Tensor) -> Tensor:
        """Logarithms, as in the loss."""
        return target.log()
