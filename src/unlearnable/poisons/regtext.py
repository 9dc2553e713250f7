"""Words that tell the class, and little else, put in at random places: RegText."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from typing_extensions import override

from unlearnable.options import Number, whole
from unlearnable.poisons.text.base import Replacing, Texts, plain_words


class RegText(Replacing):
    """Replaces words by the ten that are most the class's own, and rare in all.

    From `RegText <https://arxiv.org/abs/2411.08506>`_ (NAACL 2025), by its code: a word w of class c scores
    log₂(p(w|c)³ / (p(w) p(c))) − 2 log₂(1 + n(w)), where p are shares of the plain words and of the texts, and n(w) is
    how often it occurs. Plain words are those without stop words (scikit-learn's list), numbers and signs. The code
    lemmatises them before; here words are as they are written.

    Args:
        radius: Budget, the share of a text's words that is changed, see `Replacing`; the code's is 0.1, and 0.05 for
            one set.
        words: How many words a class.
    """

    def __init__(self, *, radius: Number, words: Number = 10) -> None:
        super().__init__(radius=radius)
        self.words = whole("words", words)

    @override
    def candidates(self, texts: Texts) -> list[Int64[Tensor, " k"]]:
        score = scores(texts)
        found = []
        for label in range(texts.num_classes):
            # Stable: of equals, the more frequent word.
            best = score[label].argsort(descending=True, stable=True)[: self.words]
            best = best[score[label][best].isfinite()]
            if not len(best) and (texts.labels == label).any():
                raise ValueError(
                    f"The texts of class {label} have no word of their own: none that occurs twice and is neither a "
                    "stop word nor has digits. RegText needs one."
                )
            found.append(best)
        return found


#: How tokenizers mark that a token begins a word, or goes on with one.
_BEGINNINGS = "Ġ▁#"


def scores(texts: Texts) -> Float[Tensor, "c v"]:
    """The score of each word of the vocabulary for each class; −∞ for what is no plain word, or not in the class."""
    counts = torch.zeros(texts.num_classes, len(texts.vocabulary), dtype=torch.float64)
    ids = texts.ids
    for label in range(texts.num_classes):
        counts[label] = torch.bincount(ids[texts.labels == label].flatten(), minlength=len(texts.vocabulary))
    counts = counts * _plain(texts)
    total = counts.sum(0)
    of_class = counts / counts.sum(1, keepdim=True).clamp_min(1)
    texts_of_class = torch.bincount(texts.labels, minlength=texts.num_classes).double() / len(texts)
    score = 3 * of_class.log2() - (total / total.sum()).log2() - texts_of_class[:, None].log2() - 2 * (1 + total).log2()
    return torch.where(counts > 0, score, -torch.inf)


def _plain(texts: Texts) -> Bool[Tensor, " v"]:
    """Which entries of the vocabulary are words without digits, and no stop words."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    plain = torch.zeros(len(texts.vocabulary), dtype=torch.bool)
    for number in plain_words(texts).tolist():
        word = texts.vocabulary[number].lstrip(_BEGINNINGS)
        plain[number] = (
            word not in ENGLISH_STOP_WORDS
            and word not in ("http", "https", "www")
            and any(letter.isalpha() for letter in word)
            and not any(letter.isdigit() for letter in word)
        )
    return plain
