"""Words of each text hidden at random."""

from __future__ import annotations

import torch
from torch import Generator
from typing_extensions import override

from unlearnable.data.modality.tokens import tokens_of
from unlearnable.data.samples import Inputs, Targets
from unlearnable.data.vocabulary import UNKNOWN
from unlearnable.defenses.text import TextDefense
from unlearnable.options import Number, number


class WordDropout(TextDefense):
    """Each word of a training batch becomes `<unk>` with a probability, in each epoch anew.

    From `Deep Unordered Composition Rivals Syntactic Methods for Text Classification
    <https://aclanthology.org/P15-1162>`_ (Iyyer et al., ACL 2015), which leaves such words out of a mean, with 0.3; here
    the other words keep their places, as in `Generating Sentences from a Continuous Space
    <https://arxiv.org/abs/1511.06349>`_ (Bowman et al., 2016).

    Args:
        rate: The probability.
    """

    def __init__(self, *, rate: Number = 0.3) -> None:
        self.rate = number("defense.rate", rate, above=0, below=1, what="a probability")

    @override
    def batch(self, inputs: Inputs, targets: Targets, *, generator: Generator) -> tuple[Inputs, Targets]:
        tokens = tokens_of(inputs)
        ids, mask = tokens["ids"], tokens["mask"]
        dropped = torch.rand(ids.shape, generator=generator, device=ids.device) < self.rate
        return {"ids": ids.masked_fill(dropped & mask, UNKNOWN), "mask": mask}, targets
