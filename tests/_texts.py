"""Short texts that several tests share."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from unlearnable.data.samples import Samples
from unlearnable.data.vocabulary import build_vocabulary, decode, encode, words_of
from unlearnable.tasks import Classification


def text_set(texts: Sequence[str], labels: Sequence[int], *, length: int = 12, classes: int = 2) -> Samples:
    """Texts as samples, with a vocabulary of their own."""
    words = [words_of(text) for text in texts]
    vocabulary = build_vocabulary(words, most=1000)
    tasks = {"class": Classification("class", classes)}
    return Samples(encode(words, vocabulary, length=length), torch.tensor(labels), tasks, vocabulary)


def many(count: int = 40) -> Samples:
    """Texts of two classes with 3 to 12 words, of which a few tell the class."""
    generator = torch.Generator().manual_seed(0)
    texts = []
    for row in range(count):
        size = int(torch.randint(2, 12, (), generator=generator))
        words = ["plain" + chr(97 + int(letter)) for letter in torch.randint(8, (size,), generator=generator)]
        texts.append(" ".join([*words, "good" if row % 2 else "bad"]))
    return text_set(texts, [row % 2 for row in range(count)])


def shown(samples: Samples) -> list[str]:
    """The texts again, from their ids."""
    return [" ".join(decode(row.tolist(), samples.vocabulary)) for row in samples.inputs["ids"]]
