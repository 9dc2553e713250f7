"""The DataModule that sources of text extend."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Int64
from torch import Tensor
from typing_extensions import override

from unlearnable.data.modality.tokens import Tokens
from unlearnable.data.module import DataModule
from unlearnable.data.samples import Samples, stratified
from unlearnable.data.tokenizer import Tokenizer
from unlearnable.data.vocabulary import FIRST_WORD, build_vocabulary, encode, words_of
from unlearnable.options import Number, whole

log = logging.getLogger(__name__)


class TextDataModule(DataModule):
    """Texts of several classes, as ids of words.

    The vocabulary is that of the clean training texts that are used, and poisons write words of it alone: poisoned and
    clean models have layers of one shape, so that their SAL can be compared layer by layer. Other words of the test
    are `<unk>`.

    Args:
        length: See `Tokens`.
        vocabulary: Most entries of the vocabulary, with padding, the unknown and 32 signs.
        tokenizer: A language model's folder, whose tokenizer splits the texts: all its tokens that the training texts
            have are in the vocabulary. None splits into words.
        words: Words that the vocabulary has even if the texts have not: those of an imported poison, say.
        **options: See `DataModule`; `modality` is set.
    """

    def __init__(
        self,
        *,
        length: Number = 64,
        vocabulary: Number = 20000,
        tokenizer: str | Path | None = None,
        words: Sequence[str] = (),
        **options: Any,
    ) -> None:
        tokens = Tokens(length=length, tokenizer=None if tokenizer is None else Tokenizer(tokenizer))
        self.split: Callable[[str], list[str]] = words_of if tokens.tokenizer is None else tokens.tokenizer.split
        self.words = [str(word).lower() for word in ([words] if isinstance(words, str) else words)]
        if wrong := [word for word in self.words if self.split(word) != [word]]:
            raise ValueError(
                f"`dataset.words` must be a list of single words; {wrong[0]!r} has {self.split(wrong[0])}."
            )
        least = FIRST_WORD + len(self.words) + 1
        self.vocabulary = whole("dataset.vocabulary", vocabulary, at_least=least, what="a number of words")
        self.length = tokens.length
        super().__init__(modality=tokens, **options)

    @abstractmethod
    def texts(self) -> tuple[tuple[Sequence[str], Int64[Tensor, " n"]], tuple[Sequence[str], Int64[Tensor, " m"]]]:
        """The texts and labels of the training and the test set."""

    @override
    def load(self) -> tuple[Samples, Samples]:
        train, test = self.texts()
        train = _part(*train, self.subset, "dataset.subset")
        test = _part(*test, self.test_subset, "dataset.test_subset")
        if len(train[1].unique()) < 2:
            name = self.class_names[int(train[1][0])]
            raise ValueError(
                f"All {len(train[1])} training texts are of class {name!r}: there is nothing to tell apart."
            )
        words = [self.split(text) for text in train[0]]
        least = 2 if self.split is words_of else 1  # a pretrained network knows what occurs once
        vocabulary = build_vocabulary(words, most=self.vocabulary, least=least, words=self.words)
        return self._encoded(words, train[1], vocabulary, "training"), self._encoded(
            [self.split(text) for text in test[0]], test[1], vocabulary, "test"
        )

    def _encoded(
        self, texts: Sequence[Sequence[str]], labels: Tensor, vocabulary: tuple[str, ...], split: str
    ) -> Samples:
        empty = next((row for row, words in enumerate(texts) if not words), None)
        if empty is not None:
            raise ValueError(f"The {split} text {empty} (counted from 0) has no words. Leave it out of the file.")
        if cut := sum(len(words) > self.length for words in texts):
            log.info("%d of %d %s texts are cut at dataset.length = %d words", cut, len(texts), split, self.length)
        return Samples(encode(texts, vocabulary, length=self.length), labels, vocabulary=vocabulary)


def _part(
    texts: Sequence[str], labels: Int64[Tensor, " n"], count: int | None, what: str
) -> tuple[Sequence[str], Int64[Tensor, " m"]]:
    """A stratified part, all for None: taken before the vocabulary is built, which is of what is trained on."""
    if count is None or count == len(labels):
        return texts, labels
    rows = stratified(labels, count, what=what)
    return [texts[row] for row in rows.tolist()], labels[rows]
