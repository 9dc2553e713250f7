"""One class an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torchmetrics
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task
from unlearnable.tasks.heads import ClassHead


@dataclass(frozen=True)
class Classification(Task):
    """The class of an image, `[n]` integers, −1 for none; judged by accuracy.

    Targets may be mixtures too, `[n, k]`: each class's share, all zero where there is none. They are judged by the class
    with the largest share.
    """

    kind: ClassVar[str] = "class"
    metric: ClassVar[Metric] = Metric("acc", higher_is_better=True)
    dense: ClassVar[bool] = False

    @override
    def loss(
        self, output: Float[Tensor, "n k"], target: Int64[Tensor, " n"] | Float[Tensor, "n k"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy."""
        if target.is_floating_point():
            return F.cross_entropy(output, target, reduction="sum") / target.sum().clamp_min(1e-12)
        total = F.cross_entropy(output, target, ignore_index=-1, reduction="sum")
        return total / (target >= 0).sum().clamp_min(1)

    @override
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        return {"acc": MulticlassAccuracy(max(2, self.channels), average="micro")}

    @override
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        if target.is_floating_point():
            target = torch.where(target.sum(1) > 0, target.argmax(1), -1)
        known = target >= 0
        return {"acc": (output[known], target[known])}

    @override
    def head(self, in_channels: int, *, stages: int, width: int, skips: Sequence[int] = ()) -> nn.Module:
        return ClassHead(in_channels, self.channels)
