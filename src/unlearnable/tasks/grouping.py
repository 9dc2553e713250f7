"""Which pixels belong together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torchmetrics
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassAccuracy
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task, image_mean, one_hot

#: Pairs of pixels that groupings are judged on: (down, right) in pixels.
PAIRS = ((0, 1), (1, 0), (0, 4), (4, 0), (0, 8), (8, 0))
# Added to squared distances: log(1 − s) is −∞ where two embeddings are equal.
_SMALLEST = 1e-2
# Squared distance from which two pixels count as apart: 2 / (1 + exp d²) is 1/2 there.
_APART = math.log(3)
# Segments that touch have near numbers in most segmentations, and so different remainders.
_COLOURS = 4


@dataclass(frozen=True)
class Grouping(Task):
    """The segment of each pixel, `[n, h, w]` integers that mean nothing across images, −1 for none.

    Judged by `pair_acc`: whether two pixels are of one segment, balanced, so that chance is 1/2.
    """

    kind: ClassVar[str] = "grouping"
    metric: ClassVar[Metric] = Metric("pair_acc", higher_is_better=True)

    @override
    def loss(self, output: Float[Tensor, "n d h w"], target: Int64[Tensor, "n h w"]) -> Float[Tensor, ""]:
        """Cross-entropy of whether two pixels are of one segment.

        As in Taskonomy (from Fathi et al., 2017, arXiv 1703.10277), the probability is 2 / (1 + exp ‖e_p − e_q‖²) of the
        pixels' embeddings; here over fixed offsets instead of random pairs, so that the loss is deterministic and SAL can be
        measured, and with half of the weight on pairs of either kind.
        """
        squared, same, valid = pairs(output, target)
        squared = squared + _SMALLEST
        together = F.softplus(squared) - math.log(2)
        apart = F.softplus(squared) - torch.log(torch.expm1(squared.clamp_max(50)))
        return (image_mean(together, valid & same) + image_mean(apart, valid & ~same)) / 2

    @override
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        return {"pair_acc": MulticlassAccuracy(2, average="macro", validate_args=False)}

    @override
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        squared, same, valid = pairs(output, target)
        return {"pair_acc": ((squared[valid] < _APART).long(), same[valid].long())}

    @override
    def priors(self, target: Int64[Tensor, "n h w"]) -> dict[str, Tensor]:
        """All pixels together; and neighbours together, up to the distance that tells the training pairs best.

        An embedding that grows with the position says so by itself: no picture is needed to know that pixels far from
        each other are seldom of one segment.
        """
        height, width = target.shape[1:]
        position = torch.zeros(1, self.channels, height, width)
        position[:, 0] = torch.arange(height)[:, None] + torch.arange(width)
        # Squared distances are below `_APART` for pairs nearer than the reach.
        return {"constant": 0 * position, "pixel": position * math.sqrt(_APART) / _best_reach(target)}

    @override
    def vectors(self, target: Tensor) -> Tensor:
        """One of four colours for a whole segment, by its number: numbers mean nothing across images."""
        return one_hot(torch.where(target < 0, target, target % _COLOURS), _COLOURS)


def pairs(
    embedding: Float[Tensor, "n d h w"], segments: Int64[Tensor, "n h w"]
) -> tuple[Float[Tensor, "n p"], Tensor, Tensor]:
    """Squared distances of the embeddings of all pairs at `PAIRS`, whether they are one segment, and both have one."""
    squared = [(first - second).square().sum(1).flatten(1) for first, second in _ends(embedding)]
    same = [(first == second).flatten(1) for first, second in _ends(segments)]
    valid = [((first >= 0) & (second >= 0)).flatten(1) for first, second in _ends(segments)]
    return torch.cat(squared, 1), torch.cat(same, 1), torch.cat(valid, 1)


def _ends(values: Float[Tensor, "... h w"] | Int64[Tensor, "... h w"]) -> Iterator[tuple[Tensor, Tensor]]:
    """What lies at the two ends of the pairs of each of `PAIRS`."""
    height, width = values.shape[-2:]
    for down, right in PAIRS:
        yield values[..., : height - down, : width - right], values[..., down:, right:]


def _best_reach(segments: Int64[Tensor, "n h w"]) -> float:
    """The length of pairs below which calling them one segment has the best balanced accuracy."""
    lengths = torch.tensor([down + right for down, right in PAIRS])  # all lie along an axis
    same = torch.tensor([int(((first == second) & (first >= 0)).sum()) for first, second in _ends(segments)])
    known = torch.tensor([int(((first >= 0) & (second >= 0)).sum()) for first, second in _ends(segments)])

    def accuracy(reach: float) -> float:
        near, apart = lengths < reach, known - same
        return float(same[near].sum() / same.sum().clamp_min(1) + apart[~near].sum() / apart.sum().clamp_min(1))

    return max((float(length) + 0.5 for length in lengths.unique()), key=accuracy)
