"""The token that comes next, at every token of a text: what language models are trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torchmetrics
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanMetric
from typing_extensions import override

from unlearnable.tasks.base import Metric, Task
from unlearnable.tasks.classification import Accuracy


class _Perplexity(MeanMetric):
    """exp of the mean cross-entropy; torchmetrics' takes the logarithm of probabilities, of which small ones are 0."""

    @override
    def compute(self) -> Tensor:
        return super().compute().exp()


@dataclass(frozen=True)
class NextToken(Task):
    """The id of the token that follows each token, `[n, l]`, −1 where none does; judged by perplexity.

    Beside it `token_acc`, the share of tokens that had the largest score. Padding is never predicted, nor is a text's
    first token, which nothing comes before. All tokens count alike, so a batch counts by how many it has.
    """

    kind: ClassVar[str] = "next_token"
    metric: ClassVar[Metric] = Metric("perplexity", higher_is_better=False)
    dense: ClassVar[bool] = False

    @override
    def loss(self, output: Tensor, target: Int64[Tensor, "n l"]) -> Float[Tensor, ""]:
        """Cross-entropy in nats, the mean over the tokens that are predicted.

        Args:
            output: Scores of each token's successor, `[n, l, channels]`.
            target: See :class:`NextToken`.

        Raises:
            ValueError: if the scores have another shape.
        """
        if output.shape != (*target.shape, self.channels):
            raise ValueError(
                f"Next-token prediction takes scores of all {self.channels} tokens at each token of a text, of shape "
                f"{(*target.shape, self.channels)}; the network gives {tuple(output.shape)}. Use model=tiny_gpt."
            )
        known = self.known(target)  # the others, most of a batch of short texts, take as long
        return F.cross_entropy(output[known], target[known], reduction="sum") / known.sum().clamp_min(1)

    @override
    def weight(self, target: Int64[Tensor, "n l"]) -> Int64[Tensor, ""]:
        """How many tokens are predicted."""
        return self.known(target).sum()

    @override
    def metrics(self) -> dict[str, torchmetrics.Metric]:
        return {"perplexity": _Perplexity(), "token_acc": Accuracy()}

    @override
    def judged(self, output: Tensor, target: Tensor) -> dict[str, tuple[Tensor, ...]]:
        known = self.known(target)
        scores, tokens = output[known], target[known]
        return {
            "perplexity": (F.cross_entropy(scores.float(), tokens, reduction="none"),),
            "token_acc": (scores, tokens),
        }

    @override
    def priors(self, target: Int64[Tensor, "n l"]) -> dict[str, Tensor]:
        """How frequent each token is, one added to its count: no token is impossible."""
        counts = 1 + torch.bincount(target[self.known(target)], minlength=self.channels)
        return {"constant": (counts / counts.sum()).log().expand(1, target.shape[1], -1)}


def next_tokens(ids: Int[Tensor, "n l"], mask: Bool[Tensor, "n l"]) -> Int64[Tensor, "n l"]:
    """Each token's successor in its text, −1 where the text has ended."""
    following = torch.full_like(ids, -1, dtype=torch.int64)
    following[:, :-1] = torch.where(mask[:, 1:], ids[:, 1:], -1)
    return following
