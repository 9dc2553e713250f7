"""Texts without punctuation."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from typing_extensions import override

from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import PAD, UNKNOWN, check_words
from unlearnable.defenses.text import WordFilter


class NoSigns(WordFilter):
    """Takes all signs out of training and test texts, and closes the gaps; a text of signs alone becomes one `<unk>`.

    Signs are the ASCII ones and every other entry of the vocabulary without a letter or a digit, such as `…`.
    """

    @override
    def check(self, samples: Samples) -> None:
        super().check(samples)
        check_words(samples.vocabulary, "NoSigns")

    @override
    def filtered(self, train: Samples) -> Bool[Tensor, " v"]:
        words = train.vocabulary
        signs = [number > UNKNOWN and not any(map(str.isalnum, word)) for number, word in enumerate(words)]
        return torch.tensor(signs)

    @override
    def rewrite(self, ids: Int[Tensor, "n l"], out: Bool[Tensor, "n l"]) -> Int[Tensor, "n l"]:
        left = ids.masked_fill(out, PAD)
        order = (left == PAD).byte().argsort(dim=1, stable=True)  # what is left comes first, in its order
        found = left.gather(1, order)
        found[:, 0] = found[:, 0].masked_fill(found[:, 0] == PAD, UNKNOWN)
        return found
