"""A transformer for texts that is small enough to train on a laptop's CPU in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from unlearnable.options import Number, whole


class _Attention(nn.Module):
    """Self-attention (Vaswani et al., 2017) over the words of a text that are no padding; without a mask, causal."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n l d"], mask: Bool[Tensor, "n l"] | None) -> Float[Tensor, "n l d"]:
        queries, keys, values = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        seen = None if mask is None else mask[:, None, None]
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=seen, is_causal=mask is None)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention and a two-layer perceptron, each behind a layer norm and beside a shortcut.

    Args:
        width: Of what comes in and goes out.
        heads: Of the attention; `width` is a multiple.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), _Attention(width, heads)
        self.norm2, self.fc1, self.fc2 = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "n l d"], mask: Bool[Tensor, "n l"] | None) -> Float[Tensor, "n l d"]:
        """What follows, with attention to all words of `mask`, or to the words before for None."""
        x = x + self.attn(self.norm1(x), mask)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class TinyTransformer(nn.Module):
    """Embedding, learnt positions, encoder blocks, the mean over the words, and a linear map.

    Its layers are `embed`, `blocks.<i>.attn.qkv`, `blocks.<i>.attn.proj`, `blocks.<i>.fc1`, `blocks.<i>.fc2` and `head`.

    Args:
        num_classes: Length of the output.
        vocabulary: How many words there are.
        length: Most words a text.
        width: Of the embedding.
        depth: Number of blocks.
        heads: Of each attention; `width` must be a multiple.
        dropout: After the embedding, in training.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        vocabulary: Number = 1000,
        length: Number = 64,
        width: Number = 96,
        depth: Number = 2,
        heads: Number = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        vocabulary, length = whole("vocabulary", vocabulary), whole("length", length)
        width, depth, heads = whole("width", width), whole("depth", depth), whole("heads", heads)
        if width % heads:
            raise ValueError(f"`width` must be a multiple of `heads`; got {width} and {heads}.")
        self.embed = nn.Embedding(vocabulary, width)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(length, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)

    def features(self, inputs: Any, *, causal: bool) -> Float[Tensor, "n l d"]:
        """What the head sees of each word, of token ids `[n, l]` with the mask of what is no padding.

        Args:
            inputs: A mapping of `ids` and `mask`.
            causal: Whether a word sees those before it alone. Padding is at the end, so no word sees it.
        """
        if not isinstance(inputs, Mapping):
            raise ValueError(
                "This network is for texts, token ids with their mask, and the data hold images: use dataset=reviews, "
                "sst2 or text."
            )
        ids = inputs["ids"]
        x = self.dropout(self.embed(ids) + self.pos_embed[: ids.shape[1]])
        for block in self.blocks:
            x = block(x, None if causal else inputs["mask"])
        return self.norm(x)

    def forward(self, inputs: Any) -> Float[Tensor, "n k"]:
        """Class scores of a batch of token ids `[n, l]` with the mask of what is no padding."""
        x = self.features(inputs, causal=False)
        weights = inputs["mask"].to(x.dtype)[..., None]
        return self.head((x * weights).sum(1) / weights.sum(1).clamp_min(1))
