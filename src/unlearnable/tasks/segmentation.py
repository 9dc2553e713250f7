"""One class a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
import torchmetrics
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task, dense_priors, image_mean, one_hot


@dataclass(frozen=True)
class Segmentation(Task):
    """The class of each pixel, `[n, h, w]` integers, −1 for none; judged by mIoU over the classes that occur.

    Args:
        class_weights: What a pixel of each class counts in the loss; None counts all alike.
    """

    kind: ClassVar[str] = "segmentation"
    metric: ClassVar[Metric] = Metric("miou", higher_is_better=True)

    class_weights: tuple[float, ...] | None = None

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_weights is not None and len(self.class_weights) != self.channels:
            raise ValueError(
                f"`class_weights` must hold one number a class, {self.channels} for task {self.name!r}; "
                f"got {len(self.class_weights)}."
            )

    @override
    def loss(self, output: Float[Tensor, "n k h w"], target: Int64[Tensor, "n h w"]) -> Float[Tensor, ""]:
        """Cross-entropy of each pixel. With class weights an image's mean is the weighted one."""
        valid = target >= 0
        # Pixel by pixel: outputs lie with the channels last, and the library would copy them, and their gradient.
        scores = output.movedim(1, -1).reshape(-1, output.shape[1])
        entropy = F.cross_entropy(scores, target.flatten(), ignore_index=-1, reduction="none").view_as(target)
        if self.class_weights is None:
            return image_mean(entropy, valid)
        weights = _on_device(self.class_weights, output.device)[target.clamp_min(0)] * valid
        mean = weights.flatten(1).sum(1) / valid.flatten(1).sum(1).clamp_min(1)
        return image_mean(entropy * weights / mean.clamp_min(1e-12)[:, None, None], valid)

    @override
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        classes = max(2, self.channels)
        return {
            "miou": _Jaccard(classes, validate_args=False),
            "pixel_acc": MulticlassAccuracy(classes, average="micro", validate_args=False),
        }

    @override
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = target >= 0
        pair = output.argmax(1)[known], target[known]
        return {"miou": pair, "pixel_acc": pair}

    @override
    def priors(self, target: Int64[Tensor, "n h w"]) -> dict[str, Tensor]:
        """The classes' shares: what is predicted is the most frequent one."""
        counts = torch.stack([(target == label).sum(0) for label in range(self.channels)])[None]
        everywhere = counts.sum((2, 3), keepdim=True)
        return dense_priors((everywhere / everywhere.sum()).log(), (counts / counts.sum(1, keepdim=True)).log())

    @override
    def vectors(self, target: Tensor) -> Tensor:
        """One-hot classes."""
        return one_hot(target, self.channels)


class _Jaccard(MulticlassJaccardIndex):
    """torchmetrics' index; what it counts, counted by `bincount`.

    Where torch is to be deterministic, torchmetrics compares each pixel with each pair of classes instead, which took
    half of an epoch on `rooms`, and gigabytes. Of whole numbers the counts are the same in any order.
    """

    @override
    def update(self, preds: Int64[Tensor, " p"], target: Int64[Tensor, " p"]) -> None:
        pairs = torch.bincount(target * self.num_classes + preds, minlength=self.num_classes**2)
        self.confmat += pairs.view(self.num_classes, self.num_classes)


@cache
def _on_device(weights: tuple[float, ...], device: torch.device) -> Float[Tensor, " k"]:
    # Kept there: copied anew, each training step would wait for it.
    return torch.tensor(weights, device=device)
