"""How much of something each pixel shows: key points, edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torchmetrics
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanSquaredError
from torchmetrics.classification import BinaryAveragePrecision
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task, dense_priors, image_mean

#: A target from which a pixel counts as a key point or an edge.
POSITIVE = 0.25


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
        # Exact curves would keep every pixel of the test set; 200 thresholds change the third digit.
        return {"ap": BinaryAveragePrecision(thresholds=200), "rmse": MeanSquaredError(squared=False)}

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
