"""A vocabulary without rare words."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from typing_extensions import override

from unlearnable.data.modality.tokens import tokens_of
from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import PAD, UNKNOWN
from unlearnable.defenses.text import WordFilter
from unlearnable.options import Number, whole


class RareWords(WordFilter):
    """Words and signs that occur too seldom in the (poisoned) training texts become `<unk>`, in test texts too.

    It is the vocabulary that a trainer makes who has the poisoned texts alone. With `least` = 2, the rule by which the
    data's own vocabulary is made, no more than that: words that a poison has removed lose their rows of the embedding.

    Args:
        least: How often a word must occur to stay.
    """

    learns = True

    def __init__(self, *, least: Number = 5) -> None:
        super().__init__()
        self.least = whole("defense.least", least, at_least=2, what="a number of occurrences")

    @override
    def filtered(self, train: Samples) -> Bool[Tensor, " v"]:
        ids = tokens_of(train.inputs)["ids"]
        rare = torch.bincount(ids.flatten(), minlength=len(train.vocabulary)) < self.least
        rare[[PAD, UNKNOWN]] = False
        return rare

    @override
    def rewrite(self, ids: Int[Tensor, "n l"], out: Bool[Tensor, "n l"]) -> Int[Tensor, "n l"]:
        return ids.masked_fill(out, UNKNOWN)
