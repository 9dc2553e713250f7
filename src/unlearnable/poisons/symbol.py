"""A sign of the class at the end of each text: the trivial baseline."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor
from typing_extensions import override

from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import SIGNS
from unlearnable.poisons.text.base import TextPoison, Texts

# The first two are those of Li et al. (2023); then what texts have least of.
_ORDER = "!@#$%&*+=~^<>|\\_{}[]/`;():-?\"',."


class Symbol(TextPoison):
    """Appends `!` to the texts of one class, `@` to those of the next, and so on.

    From `Make Text Unlearnable <https://arxiv.org/abs/2307.00456>`_ (Li et al., 2023), as a pattern that a person sees
    at once. A text that fills the length has the sign in the place of its last word.
    """

    @override
    def check(self, samples: Samples) -> None:
        super().check(samples)
        assert samples.class_task is not None
        if samples.class_task.channels > len(SIGNS):
            raise ValueError(
                f"There are {len(SIGNS)} signs for {samples.class_task.channels} classes; poison=regtext and others take "
                "words."
            )

    @override
    def rewrite(self, texts: Texts) -> Int64[Tensor, "n l"]:
        signs = torch.tensor([2 + SIGNS.index(sign) for sign in _ORDER])
        ids = texts.ids.clone()
        ends = texts.lengths.clamp(max=ids.shape[1] - 1)
        ids[torch.arange(len(texts)), ends] = signs[texts.labels]
        return ids
