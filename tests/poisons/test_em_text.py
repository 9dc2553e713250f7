"""The choice of place and word against brute force; the alternation lowers a surrogate's loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests._texts import many
from unlearnable.data.modality.tokens import Tokens
from unlearnable.data.vocabulary import FIRST_WORD
from unlearnable.models.tiny_transformer import TinyTransformer
from unlearnable.poisons.em_text import EMText, best_words


def test_place_and_word_are_the_smallest_products_of_embedding_and_gradient() -> None:
    clean = many(6)
    net = TinyTransformer(2, vocabulary=len(clean.vocabulary), length=12, width=8, heads=2).eval()
    inputs = Tokens(length=12).to_model(clean.inputs)
    words = torch.arange(FIRST_WORD, len(clean.vocabulary))
    places, chosen = best_words(net, inputs, clean.labels, words)
    for row in range(6):
        # Alone, with the gradient taken by moving each place's embedding on its own.
        size = int(inputs["mask"][row].sum())
        one = {key: tensor[row : row + 1, :size] for key, tensor in inputs.items()}
        shift = torch.zeros(1, size, 8, requires_grad=True)
        handle = net.embed.register_forward_hook(lambda module, arguments, output: output + shift)  # noqa: B023
        loss = F.cross_entropy(net(one), clean.labels[row : row + 1])
        handle.remove()
        (gradient,) = torch.autograd.grad(loss, shift)
        products = {
            (place, word): float(net.embed.weight[word].detach() @ gradient[0, place])
            for place in range(size)
            for word in words.tolist()
        }
        assert products[int(places[row]), int(chosen[row])] < min(products.values()) + 1e-6


def test_a_word_a_text_is_enough_for_a_new_network_to_learn_by() -> None:
    clean = many(80)

    def surrogate(classes: int, **sizes: int) -> TinyTransformer:
        return TinyTransformer(classes, width=16, heads=2, depth=1, dropout=0.0, **sizes)

    method = EMText(surrogate=surrogate, surrogate_steps=10, max_rounds=5, lr=3e-3)
    poisoned = method.apply(clean, seed=0)
    assert ((poisoned.inputs["ids"] != clean.inputs["ids"]).sum(1) <= 1).all()
    # The words that are written tell the class: no word is written into texts of both as often.
    changed = poisoned.inputs["ids"] != clean.inputs["ids"]
    written = [
        poisoned.inputs["ids"][changed & (clean.labels == label)[:, None]].bincount(minlength=60) for label in (0, 1)
    ]
    overlap = torch.minimum(*written).sum() / min(w.sum() for w in written)
    assert overlap < 0.2


def test_a_surrogate_that_diverged_makes_no_poison() -> None:
    def surrogate(classes: int, **sizes: int) -> TinyTransformer:
        net = TinyTransformer(classes, width=8, heads=2, depth=1, **sizes)
        net.embed.weight.register_hook(lambda gradient: gradient * torch.nan)
        return net

    with pytest.raises(ValueError, match="TinyTransformer that the poison is made on are not finite"):
        EMText(surrogate=surrogate, surrogate_steps=2, max_rounds=2).apply(many(20), seed=0)
