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
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task
from unlearnable.tasks.heads import ClassHead


class Accuracy(torchmetrics.Metric):
    """The share of known targets, those from 0, that have the largest score.

    torchmetrics' own leaves out unknown targets by their places, for which each update waits on a GPU.
    """

    hits: Tensor
    known: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("hits", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("known", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @override
    def update(self, scores: Float[Tensor, "n k"], target: Int64[Tensor, " n"]) -> None:
        self.hits += (scores.argmax(1) == target).sum()  # an unknown target, −1, is no place of a maximum
        self.known += (target >= 0).sum()

    @override
    def compute(self) -> Float[Tensor, ""]:
        """NaN if no target was known."""
        return self.hits / self.known


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
    def loss(self, output: Tensor, target: Int64[Tensor, " n"] | Float[Tensor, "n k"]) -> Float[Tensor, ""]:
        """Cross-entropy.

        Raises:
            ValueError: if the scores are not one row a sample.
        """
        if output.ndim != 2:
            raise ValueError(
                f"A class takes one row of scores a sample, [n, {self.channels}]; the network gives {tuple(output.shape)}. "
                "A network that predicts at each word, such as model=tiny_gpt, is for task=next_token."
            )
        if target.is_floating_point():
            return F.cross_entropy(output, target, reduction="sum") / target.sum().clamp_min(1e-12)
        total = F.cross_entropy(output, target, ignore_index=-1, reduction="sum")
        return total / (target >= 0).sum().clamp_min(1)

    @override
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        return {"acc": Accuracy()}

    @override
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        if target.is_floating_point():
            target = torch.where(target.sum(1) > 0, target.argmax(1), -1)
        return {"acc": (output, target)}

    @override
    def priors(self, target: Int64[Tensor, " n"]) -> dict[str, Tensor]:
        """The classes' shares: what is predicted is the most frequent one."""
        counts = torch.bincount(target[target >= 0], minlength=self.channels)
        return {"constant": (counts / counts.sum()).log()[None]}

    @override
    def head(self, in_channels: int, *, stages: int, width: int, skips: Sequence[int] = ()) -> nn.Module:
        return ClassHead(in_channels, self.channels)
