"""The loss of each kind of task, with its mask.

Every loss is the mean over images of each image's mean over its pixels that have a value; images without any are left
out, and a batch without any has loss 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from unlearnable.tasks.base import Task

#: Pairs of pixels that groupings are judged on: (down, right) in pixels.
PAIRS = ((0, 1), (1, 0), (0, 4), (4, 0), (0, 8), (8, 0))
# Added to squared distances: log(1 − s) is −∞ where two embeddings are equal.
_SMALLEST = 1e-2


def image_mean(values: Float[Tensor, "n *rest"], valid: Tensor) -> Float[Tensor, ""]:
    """The mean over images of the mean over an image's `valid` entries."""
    values, valid = values.flatten(1), valid.flatten(1)
    counts = valid.sum(1)
    sums = torch.where(valid, values, torch.zeros_like(values)).sum(1)
    return (sums / counts.clamp_min(1)).sum() / (counts > 0).sum().clamp_min(1)


def class_loss(scores: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> Float[Tensor, ""]:
    """Cross-entropy; label −1 is no label."""
    return image_mean(F.cross_entropy(scores, labels, ignore_index=-1, reduction="none")[:, None], labels[:, None] >= 0)


def segmentation_loss(
    scores: Float[Tensor, "n k h w"], labels: Int64[Tensor, "n h w"], class_weights: Sequence[float] | None = None
) -> Float[Tensor, ""]:
    """Cross-entropy of each pixel; label −1 is no label. With class weights an image's mean is the weighted one."""
    valid = labels >= 0
    entropy = F.cross_entropy(scores, labels, ignore_index=-1, reduction="none")
    if class_weights is None:
        return image_mean(entropy, valid)
    weights = torch.tensor(class_weights, device=scores.device)[labels.clamp_min(0)] * valid
    mean = weights.flatten(1).sum(1) / valid.flatten(1).sum(1).clamp_min(1)
    return image_mean(entropy * weights / mean.clamp_min(1e-12)[:, None, None], valid)


def depth_loss(log_depth: Float[Tensor, "n 1 h w"], depth: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    """L1 between logarithms of depth in metres: an error counts by its share, near and far."""
    valid = ~depth.isnan()
    return image_mean((log_depth - torch.where(valid, depth, torch.ones_like(depth)).log()).abs(), valid)


def normal_loss(vectors: Float[Tensor, "n 3 h w"], normals: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
    """One minus the cosine of the angle to the true normal; the prediction's length does not count."""
    valid = ~normals.isnan().any(1)
    return image_mean(1 - F.cosine_similarity(vectors, normals.nan_to_num(0.0), dim=1), valid)


def heatmap_loss(logits: Float[Tensor, "n 1 h w"], targets: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
    """Binary cross-entropy with targets in [0, 1].

    L1, which Taskonomy takes, is minimised by the median, and that of a sparse map is nothing at all.
    """
    valid = ~targets.isnan()
    return image_mean(F.binary_cross_entropy_with_logits(logits, targets.nan_to_num(0.0), reduction="none"), valid)


def map_loss(values: Float[Tensor, "n c h w"], targets: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
    """L1."""
    return image_mean((values - targets.nan_to_num(0.0)).abs(), ~targets.isnan())


def grouping_loss(embedding: Float[Tensor, "n d h w"], segments: Int64[Tensor, "n h w"]) -> Float[Tensor, ""]:
    """Cross-entropy of whether two pixels are of one segment: the numbers of segments mean nothing across images.

    As in Taskonomy (from Fathi et al., 2017, arXiv 1703.10277), the probability is 2 / (1 + exp ‖e_p − e_q‖²) of the
    pixels' embeddings; here over fixed offsets instead of random pairs, so that a loss is a number one can measure
    SAL of, and with half of the weight on pairs of either kind.
    """
    squared, same, valid = pairs(embedding, segments)
    squared = squared + _SMALLEST
    together = F.softplus(squared) - math.log(2)
    apart = F.softplus(squared) - torch.log(torch.expm1(squared.clamp_max(50)))
    return (image_mean(together, valid & same) + image_mean(apart, valid & ~same)) / 2


def pairs(
    embedding: Float[Tensor, "n d h w"], segments: Int64[Tensor, "n h w"]
) -> tuple[Float[Tensor, "n p"], Tensor, Tensor]:
    """Squared distances of the embeddings of all pairs at `PAIRS`, whether they are one segment, and both have one."""
    squared, same, valid = [], [], []
    height, width = segments.shape[-2:]
    for down, right in PAIRS:
        here = (..., slice(0, height - down), slice(0, width - right))
        there = (..., slice(down, height), slice(right, width))
        squared.append((embedding[here] - embedding[there]).square().sum(1).flatten(1))
        same.append((segments[here] == segments[there]).flatten(1))
        valid.append(((segments[here] >= 0) & (segments[there] >= 0)).flatten(1))
    return torch.cat(squared, 1), torch.cat(same, 1), torch.cat(valid, 1)


#: Kind of task → its loss of a prediction and a target.
LOSSES: Mapping[str, Callable[..., Tensor]] = MappingProxyType(
    {
        "class": class_loss,
        "segmentation": segmentation_loss,
        "grouping": grouping_loss,
        "depth": depth_loss,
        "normal": normal_loss,
        "heatmap": heatmap_loss,
        "map": map_loss,
    }
)


@dataclass(frozen=True)
class TaskLoss:
    """One task's loss, from the predictions and targets of all."""

    task: Task

    def __call__(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Its mean over the batch."""
        loss, options = LOSSES[self.task.kind], {}
        if self.task.class_weights is not None:
            options["class_weights"] = self.task.class_weights
        return loss(outputs[self.task.name], targets[self.task.name], **options)


@dataclass(frozen=True)
class JointLoss:
    """The sum of the tasks' losses, each with weight 1 whatever weighting trains the model: comparable between runs."""

    losses: Mapping[str, TaskLoss]

    def __call__(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """Its mean over the batch."""
        return torch.stack([loss(outputs, targets) for loss in self.losses.values()]).sum()
