from __future__ import annotations

from tests._texts import many
from unlearnable.data.modality.tokens import changed_words
from unlearnable.data.vocabulary import FIRST_WORD
from unlearnable.poisons.random_words import RandomWords


def test_words_come_from_the_whole_vocabulary_whatever_the_class() -> None:
    clean = many(2000)
    ids = RandomWords(radius=1).apply(clean, seed=0).inputs["ids"]
    words = len(clean.vocabulary) - FIRST_WORD
    for label in (0, 1):
        # Up to ten words of a text are replaced, those of texts with fewer all: no word is commoner than by chance.
        short = ids[(clean.labels == label) & (clean.inputs["mask"].sum(1) <= 10)]
        counts = short[short > 0].bincount(minlength=len(clean.vocabulary))[FIRST_WORD:]
        assert (counts.double() / counts.sum() - 1 / words).abs().max() < 0.02
    assert changed_words(clean, clean)[0].sum() == 0
