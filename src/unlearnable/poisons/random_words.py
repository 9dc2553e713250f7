"""Random words at random places: what a change of so many words does by itself."""

from __future__ import annotations

from jaxtyping import Int64
from torch import Tensor
from typing_extensions import override

from unlearnable.poisons.text.base import Replacing, Texts, plain_words


class RandomWords(Replacing):
    """Replaces words by words of the vocabulary, drawn evenly and whatever the class: a control, no shortcut.

    Args:
        radius: Budget, the share of a text's words that is changed, see `Replacing`.
    """

    @override
    def candidates(self, texts: Texts) -> list[Int64[Tensor, " k"]]:
        return [plain_words(texts)] * texts.num_classes
