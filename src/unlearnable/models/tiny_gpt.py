"""A small decoder: scores of the next word at every word of a text."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from unlearnable.models.tiny_transformer import TinyTransformer


class TinyGPT(TinyTransformer):
    """`TinyTransformer` whose words see those before them alone (GPT: Radford et al., 2018), with a head at each word.

    Layers and arguments are those of `TinyTransformer`; the head is not tied to the embedding. `num_classes` is the number
    of words that may come next.
    """

    @override
    def forward(self, inputs: Any) -> Float[Tensor, "n l k"]:
        """Scores of each word's successor, for a batch of token ids `[n, l]` with the mask of what is no padding.

        Padding has scores of 0: most of a batch is padding, and the head is most of the work.
        """
        x, mask = self.features(inputs, causal=True), inputs["mask"]
        found = self.head(x[mask])
        scores = found.new_zeros(*mask.shape, self.head.out_features)
        scores[mask] = found
        return scores
