"""How much of something each pixel shows: key points, edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torchmetrics
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanSquaredError
from torchmetrics.classification import BinaryAveragePrecision
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task, dense_priors, image_mean

#: Of the average precision: exact curves would keep every pixel of the test set; these change the third digit.
_THRESHOLDS = 200
#: A target from which a pixel counts as a key point or an edge.
POSITIVE = 0.25


class BinnedAveragePrecision(BinaryAveragePrecision):
    """torchmetrics' own at fixed thresholds, counted by one histogram a batch.

    The library compares each pixel with each threshold: in 200 passes, or, below 50,000 pixels, in one that takes
    gigabytes where torch is to be deterministic.
    """

    @override
    def update(self, preds: Float[Tensor, " n"], target: Int64[Tensor, " n"]) -> None:
        thresholds: Any = self.thresholds
        reached = torch.searchsorted(thresholds, preds.contiguous(), right=True)  # how many thresholds a pixel reaches
        bins = len(thresholds) + 1
        counts = torch.bincount(reached + bins * target, minlength=2 * bins).view(2, bins)
        positive = counts.flip(1).cumsum(1).flip(1)[:, 1:]  # [target, threshold]
        self.confmat[:, :, 0] += (counts.sum(1, keepdim=True) - positive).T
        self.confmat[:, :, 1] += positive.T


@dataclass(frozen=True)
class Heatmap(Task):
    """Responses in [0, 1], `[n, 1, h, w]`, NaN for none; judged by the average precision of pixels above `POSITIVE`."""

    kind: ClassVar[str] = "heatmap"
    metric: ClassVar[Metric] = Metric("ap", higher_is_better=True)

    @override
    def loss(self, output: Float[Tensor, "n 1 h w"], target: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        """Binary cross-entropy of the logits.

        L1, which Taskonomy takes, is minimised by the median, which is zero for a sparse map.
        """
        entropy = F.binary_cross_entropy_with_logits(output, target.nan_to_num(0.0), reduction="none")
        return image_mean(entropy, ~target.isnan())

    @override
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        ap = BinnedAveragePrecision(thresholds=_THRESHOLDS, validate_args=False)
        return {"ap": ap, "rmse": MeanSquaredError(squared=False)}

    @override
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = ~target.isnan()
        predicted, true = output[known].sigmoid(), target[known]
        return {"ap": (predicted, (true >= POSITIVE).long()), "rmse": (predicted, true)}

    @override
    def priors(self, target: Float[Tensor, "n 1 h w"]) -> dict[str, Tensor]:
        """The average map."""
        constant, pixel = target.nanmean().view(1, 1, 1, 1), target.nanmean(dim=0, keepdim=True)
        return dense_priors(constant.logit(eps=1e-6), pixel.logit(eps=1e-6))
